"""Tests the command that runs the sweeps, with small sweeps in their place."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trust.command import INTERRUPTED, ROOT, Result, main
from tests.trust.sweeps import SWEEPS, Sweep

pytestmark = pytest.mark.slow

GOOD = """
import os
from tests.trust.figures import tell
def test_good():
    tell(f"100 cases, long is {os.environ['MODELWAVE_LONG']}")
"""
ENDLESS = """
import os, threading
from tests.trust.figures import tell
def test_endless():
    tell(f"begun in process {os.getpid()}")
    threading.Event().wait()
"""


def sweep(folder: Path, name: str, text: str) -> Sweep:
    file = folder / f"test_{name}.py"
    file.write_text(text)
    return Sweep(name, f"what is {name}", (str(file), f"--rootdir={ROOT}"))


def test_a_sweep_runs_in_its_long_form_and_its_figures_are_printed_last(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([], [sweep(tmp_path, "good", GOOD)]) == 0
    printed = capfd.readouterr().out.splitlines()
    assert printed[-3] == "== figures"
    assert printed[-2].startswith("good             ok, ")
    assert printed[-1].strip() == "100 cases, long is 1"


def test_one_that_fails_does_not_keep_the_others_from_running(
    capsys: pytest.CaptureFixture[str],
) -> None:
    codes = {"bad": 1, "good": 0}
    both = [Sweep(name, "", ()) for name in codes]
    assert main([], both, lambda one: Result(one, codes[one.name], 1.4, ("12 cases",))) == 1
    assert capsys.readouterr().out.split("== figures\n")[1].splitlines() == [
        "bad              FAILED, 1 s",
        "                   12 cases",
        "good             ok, 1 s",
        "                   12 cases",
    ]
    assert main(["good"], both, lambda one: Result(one, codes[one.name], 1, ("x",))) == 0


def test_one_without_figures_has_failed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], [Sweep("silent", "", ())], lambda one: Result(one, 0, 1, ())) == 1
    assert "silent           NO FIGURES" in capsys.readouterr().out


def test_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["nothing"], [Sweep("good", "", ())])
    assert "nothing: no such sweep; there are good" in capsys.readouterr().err


def test_ctrl_c_ends_what_runs_and_prints_the_figures_that_there_are(tmp_path: Path) -> None:
    both = (sweep(tmp_path, "endless", ENDLESS), Sweep("good", "", ()))
    rows = [tuple(one) for one in both]
    program = (
        "import sys; from tests.trust.command import main; from tests.trust.sweeps import Sweep; "
        f"sys.exit(main([], [Sweep(*row) for row in {rows!r}]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Where these tests run in the background of a shell, they ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as command:
        assert command.stdout is not None
        begun = next(line for line in command.stdout if "begun in process" in line)
        command.send_signal(signal.SIGINT)
        out, err = command.communicate(timeout=60)
    assert (command.returncode, err) == (INTERRUPTED, "")
    assert not Path(f"/proc/{begun.split()[-1]}").exists()
    figures = out.split("== figures\n")[1]
    assert figures.startswith("endless          INTERRUPTED")
    assert "begun in process" in figures
    assert figures.endswith('to go on: make trust SWEEPS="endless good"\n')


def test_each_row_names_tests_that_are_there() -> None:
    assert len({one.name for one in SWEEPS}) == len(SWEEPS)
    for one in SWEEPS:
        files = [name.partition("::")[0] for name in one.tests if name.startswith("tests/")]
        assert files
        assert [name for name in files if not (ROOT / name).exists()] == []
