"""Tests that no life is left when the command that began it has gone."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.inject.lives import ROOT

SLEEPER = """
import os, signal
from tests.inject.lives import fork_lives

def run(arguments):
    os.write(os.open(arguments[0], os.O_WRONLY), b"%d" % os.getpid())
    signal.pause()

if __name__ == "__main__":
    fork_lives(run)
"""
COMMAND = """
import asyncio, sys
from pathlib import Path
from tests.inject.lives import forked

async def main(said, fifo):
    async with forked("sleeper", fifo) as forker, forker.life([fifo], said, None, None):
        await asyncio.Event().wait()

asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_lives_end_with_their_command_however_it_ends(tmp_path: Path, number: int) -> None:
    fifo = tmp_path / "told"
    os.mkfifo(fifo)
    told = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    around = os.environ | {"PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT), *sys.path))}
    command = [sys.executable, "-c", COMMAND, str(tmp_path / "said"), str(fifo)]
    with subprocess.Popen(command, env=around, stderr=subprocess.DEVNULL) as process:
        assert select.select([told], [], [], 60)[0]
        life = os.pidfd_open(int(os.read(told, 100)))
        process.send_signal(number)
        process.wait(60)
    assert select.select([life], [], [], 60)[0], "the life goes on"
