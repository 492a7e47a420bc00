"""Tests that Ctrl-C ends the sweeps of the disk in order."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.disk.device import Life
from tests.disk.every import begun
from tests.disk.medium import Disk
from tests.disk.mounted import patched
from tests.disk.sweep import Count
from tests.tools import needed

TOP = Path(__file__).parents[2]
SLEEPER = "import time; print('begun', flush=True); time.sleep(100)"
RECORDING = f"""
import sys
from pathlib import Path
from tests.disk import calls
try:
    calls.record(["-c", {SLEEPER!r}], Path(sys.argv[1]))
except KeyboardInterrupt:
    print("ended by Ctrl-C")
"""


def test_what_is_recorded_ends_with_the_recording(tmp_path: Path) -> None:
    """Ctrl-C reaches each process of the terminal, so the whole group gets it here."""
    needed("strace")
    with subprocess.Popen(
        [sys.executable, "-c", RECORDING, str(tmp_path / "calls")],
        cwd=TOP,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.communicate(timeout=60) == ("ended by Ctrl-C\n", "")


def test_a_sweep_is_ended_before_a_life_and_not_in_one() -> None:
    asked = False

    def check() -> None:
        if asked:
            raise KeyboardInterrupt

    count = Count()
    with patched():
        sweep, start, facts = begun("update", count)
        sweep.check = check
        live = sweep.live

        def live_and_ask(disk: Disk, facts: Any) -> Life:
            nonlocal asked
            asked = count.boots == 1
            return live(disk, facts)

        sweep.live = live_and_ask
        with pytest.raises(KeyboardInterrupt):
            sweep.run(start, facts)
    assert count.boots == 2  # the last one was counted, and did not begin
