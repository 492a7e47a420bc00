"""Tests the command that runs all sweeps."""

import importlib.util
import sys
from pathlib import Path

import pytest

from tests import sweeps


@pytest.mark.parametrize("module", sweeps.SWEEPS.values())
def test_each_sweep_is_there(module: str) -> None:
    found = importlib.util.find_spec(module)
    assert found
    assert not found.submodule_search_locations or importlib.util.find_spec(f"{module}.__main__")


@pytest.mark.parametrize(("code", "ended"), [(0, 0), (1, 1)])
def test_it_ends_with_a_line_and_with_1_if_a_sweep_did(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    code: int,
    ended: int,
) -> None:
    (tmp_path / "one_sweep.py").write_text(
        f"import sys\nprint('a scene')\nprint('one: 7 cases, {code} bad')\nsys.exit({code})\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(sweeps, "SWEEPS", {"one": "one_sweep"})
    monkeypatch.setattr(sys, "argv", ["sweeps"])
    assert sweeps.main() == ended
    *_, scene, last, _, summed, line = capfd.readouterr().out.splitlines()
    assert (scene, last) == ("a scene", f"one: 7 cases, {code} bad")
    assert summed == f"one        one: 7 cases, {code} bad (0 min)"
    assert line == f"sweeps: {1 - code} of 1 without a fault"
