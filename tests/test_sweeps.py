"""Tests the command that runs all sweeps."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests import sweeps
from tests.ending import INTERRUPTED

TOP = Path(__file__).parents[1]


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


@pytest.mark.parametrize("code", [0, 1])
def test_ctrl_c_is_told_apart_from_a_fault(
    code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(module: str) -> tuple[int, str]:
        if module == "tests.disk":
            return code, "disk: a line (0 min)"
        raise KeyboardInterrupt

    monkeypatch.setattr(sweeps, "_run", run)
    monkeypatch.setattr(sys, "argv", ["sweeps", "disk", "sqlite", "day"])
    assert sweeps.main() == INTERRUPTED
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"sweeps: {1 - code} of 1 without a fault; ended by Ctrl-C, 2 did not come to their end"
    )


@pytest.mark.parametrize(("module", "kind"), [("disk", "scene"), ("histories", "course")])
def test_a_name_that_a_sweep_does_not_know_is_told_in_one_line(module: str, kind: str) -> None:
    command = [sys.executable, "-m", f"tests.{module}", "nosuch"]
    ran = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert f"nosuch: no such {kind}; there are " in ran.stderr.splitlines()[-1]
