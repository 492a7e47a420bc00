"""Tests that the demo leaves no process and no file, whichever way it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from simulated_fleet import DEADLINE_SECONDS, poll

from modelwave_controller.demo.command import CommandLine
from modelwave_controller.interruption import Interrupted

pytestmark = pytest.mark.slow

# A demo of three processes that do not mind SIGTERM but note it.
DEMO = """
import shutil, sys
from pathlib import Path
from modelwave_controller.demo import processes
processes.END_SECONDS = 0.5
CHILD = "import pathlib, signal, sys, time; folder = pathlib.Path(sys.argv[1]);" \
    "signal.signal(signal.SIGTERM, lambda *_: (folder / 'asked').touch());" \
    "(folder / sys.argv[2]).touch(); [time.sleep(1) for _ in range(600)]"
folder = Path(sys.argv[1])
with processes.processes(folder, lambda: shutil.rmtree(folder)) as running:
    for name in ("a", "b", "c"):
        running.start(name, [sys.executable, "-c", CHILD, str(folder), name])
        running.wait_for(name, folder / name, 30)
        print(running.running[name].pid, flush=True)
    print("ready", flush=True)
    sys.stdin.read()
"""


ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# A process ignores what its caller ignores, and a CI runner or nohup may well be ours.
MINDING = ("env", "--default-signal=INT,TERM,HUP")


@contextmanager
def demo(folder: Path, *before: str) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """Starts such a demo; yields it and the ids of its processes. It heeds all signals, except for
    those that the command `before` makes it ignore."""
    folder.mkdir()
    with subprocess.Popen(
        [*MINDING, *before, sys.executable, "-c", DEMO, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        children = []
        try:
            while (line := process.stdout.readline()) != "ready\n":
                children.append(int(line))
            yield process, children
        finally:
            process.kill()
            for child in filter(lives, children):
                os.kill(child, signal.SIGKILL)


def lives(child: int) -> bool:
    try:
        os.kill(child, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(params=[False, True], ids=["minding", "ignoring"])
def caller(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whoever runs the tests ignores SIGINT and SIGHUP, or does not."""
    how = signal.SIG_IGN if request.param else signal.SIG_DFL
    before = {number: signal.signal(number, how) for number in (signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("caller")
@pytest.mark.parametrize("how", ENDING)
def test_a_signal_and_all_that_follow_leave_no_process_and_no_folder(
    tmp_path: Path, how: int
) -> None:
    folder = tmp_path / "demo"
    with demo(folder) as (process, children):
        process.send_signal(how)
        poll((folder / "asked").exists)
        while process.poll() is None:  # an impatient person
            for number in ENDING:
                process.send_signal(number)
        assert not folder.exists()
        assert [lives(child) for child in children] == [False] * 3


def test_a_signal_while_it_ends_by_itself_leaves_nothing_either(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with demo(folder) as (process, children):
        assert process.stdin is not None
        process.stdin.close()
        poll((folder / "asked").exists)
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_SECONDS) == 0
        assert not folder.exists()
        assert [lives(child) for child in children] == [False] * 3


@pytest.mark.parametrize(
    ("before", "how"),
    [
        (["nohup"], signal.SIGHUP),  # its terminal was closed
        (["env", "--ignore-signal=INT"], signal.SIGINT),  # a script's `modelwave demo &`
    ],
    ids=["nohup", "background"],
)
def test_a_demo_ignores_what_its_caller_ignores(
    tmp_path: Path, before: list[str], how: int
) -> None:
    folder = tmp_path / "demo"
    with demo(folder, *before) as (process, children):
        assert process.stdin is not None
        process.send_signal(how)
        process.stdin.close()
        assert process.wait(DEADLINE_SECONDS) == 0
        assert [lives(child) for child in children] == [False] * 3


@pytest.mark.parametrize("number", ENDING)
def test_a_command_that_a_signal_ended_ends_the_demo_by_that_signal(
    tmp_path: Path, number: signal.Signals
) -> None:
    line = CommandLine(tmp_path, lambda _arguments: 128 + number)
    with pytest.raises(Interrupted) as ended:
        line.asks("release", "create", "digits")
    assert ended.value.exit_code == 128 + number
