import json
import sys
from pathlib import Path

import pytest

from modelwave_controller.home import Home
from modelwave_controller.releases import golden_sets, measuring
from tests.controller.operator_home import Run, make_home, runner


@pytest.fixture
def modelwave(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    return make_home(tmp_path / "home", monkeypatch)


@pytest.fixture
def prover(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts a program that finds every model healthy in the place of the one that runs golden
    sets."""
    healthy = {"healthy": True, "reason": "", "runtime": "fake", "version": "1"}
    command = (sys.executable, "-c", f"print({json.dumps(healthy)!r})")
    monkeypatch.setattr(golden_sets, "PROVE_COMMAND", command)


@pytest.fixture(autouse=True)
def _unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """No release is run to measure its memory, which takes a second; as if no runtime were
    installed. test_measuring.py has the tests of it."""
    monkeypatch.setattr(measuring, "measure", lambda *_: None)
