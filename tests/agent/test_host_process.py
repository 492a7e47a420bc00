"""Tests how the agent runs other programs, and hooks that are programs."""

import asyncio
import errno
import gc
import os
import signal
import sys

import pytest

from modelwave_agent.host import hooks as host_hooks
from modelwave_agent.host import process
from modelwave_agent.host.hooks import CommandHooks, variables
from modelwave_agent.host.process import MAX_TAIL_BYTES
from modelwave_agent.types import Live
from modelwave_agent.upcoming import Upcoming

SECONDS = 20  # for what takes a fraction of one
LONG = "60"  # what a test would wait for if it had to


def run(awaitable):
    async def limited():
        async with asyncio.timeout(SECONDS):
            return await awaitable

    return asyncio.run(limited())


def python(code, *arguments):
    return (sys.executable, "-c", code, *arguments)


# Programs.


def test_ended_tells_code_and_what_was_said():
    code = "import sys; print('out'); print('first\\n last \\n', file=sys.stderr); sys.exit(3)"
    ended = run(process.run(python(code)))
    assert (ended.code, ended.out) == (3, b"out\n")
    assert ended.last_line() == "last"


def test_signal_is_a_negative_code():
    ended = run(process.run(python("import os; os.kill(os.getpid(), 11)")))
    assert ended.code == -signal.SIGSEGV


def test_program_that_is_not_there_is_an_os_error():
    with pytest.raises(FileNotFoundError):
        run(process.run(["/nowhere/program"]))


def test_of_endless_words_only_the_last_are_kept():
    code = "import sys; sys.stderr.write('x' * 1_000_000 + '\\nlast'); print('y' * 1_000_000)"
    ended = run(process.run(python(code)))
    assert len(ended.err) == len(ended.out) == MAX_TAIL_BYTES
    assert ended.last_line() == "last"


def test_program_that_it_leaves_running_is_not_waited_for():
    ended = run(process.run(["sh", "-c", f"sleep {LONG} & echo $!; exit 5"]))
    os.kill(int(ended.out), signal.SIGKILL)
    assert ended.code == 5


def test_cancelled_it_is_killed_with_all_that_it_started(tmp_path):
    fifo = tmp_path / "alive"
    os.mkfifo(fifo)
    # Both hold the pipe open for writing; its end is read once both are dead.
    command = f"exec 3>{fifo}; sleep {LONG} & sleep {LONG}; true"

    async def main():
        running = asyncio.create_task(process.run(["sh", "-c", command]))
        reading = await asyncio.to_thread(os.open, fifo, os.O_RDONLY)  # once it is running
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await asyncio.to_thread(os.read, reading, 1) == b""
        os.close(reading)

    run(main())


def test_pipes_are_closed_whatever_comes():
    def count():
        gc.collect()  # what other tests have left
        return len(os.listdir("/proc/self/fd"))

    async def main():
        await process.run(["true"])  # what asyncio keeps open was opened by now
        before = count()
        for _ in range(3):
            await process.run(["true"])
            with pytest.raises(FileNotFoundError):
                await process.run(["/nowhere/program"])
        assert count() <= before  # a thread of another test may close one

    run(main())


# Hooks.


LIVE = Live("digits", 3, "v3", "/state/digits/b.model", "/state/digits/b.labels", True)


def hooks(command=(), **settings):
    return CommandHooks(swap=command, health=command, **settings)


def test_no_command_always_agrees():
    assert run(hooks().serve(LIVE)) == run(hooks().healthy(LIVE)) == ""


def test_exit_code_zero_agrees_whatever_is_said():
    assert run(hooks(["sh", "-c", "echo careful >&2"]).healthy(LIVE)) == ""


def test_hook_is_told_of_the_model(tmp_path):
    said = tmp_path / "said"
    assert run(hooks(["sh", "-c", f"env | grep ^MODELWAVE_ | sort > {said}"]).serve(LIVE)) == ""
    assert said.read_text().splitlines() == [
        "MODELWAVE_LABELS_PATH=/state/digits/b.labels",
        "MODELWAVE_MODEL=digits",
        "MODELWAVE_MODEL_PATH=/state/digits/b.model",
        "MODELWAVE_ON_TRIAL=1",
        "MODELWAVE_RELEASE=3",
        "MODELWAVE_VERSION=v3",
    ]


def test_command_that_is_asked_whether_an_update_may_go_on_is_told_of_the_release(tmp_path):
    said = tmp_path / "said"
    command = ["sh", "-c", f"env | grep ^MODELWAVE_ | sort > {said}; echo battery low >&2; exit 1"]
    upcoming = Upcoming("digits", 4, "v4")
    told = run(hooks(may=command).may_update(upcoming))
    assert told == "may_update hook: exit code 1: battery low"
    assert said.read_text().splitlines() == [
        "MODELWAVE_MODEL=digits",
        "MODELWAVE_RELEASE=4",
        "MODELWAVE_VERSION=v4",
    ]
    assert run(hooks(may=["true"]).may_update(upcoming)) == ""
    assert run(hooks().may_update(upcoming)) == ""


def test_hook_gets_absolute_paths_from_an_agent_with_a_relative_state_folder():
    """The hook passes the paths to a program that has another working directory."""
    told = variables(Live("digits", 3, "v3", "state/b.model", "state/b.labels", True))
    assert told["MODELWAVE_MODEL_PATH"] == os.path.abspath("state/b.model")
    assert told["MODELWAVE_LABELS_PATH"] == os.path.abspath("state/b.labels")


def test_hook_gets_an_empty_labels_path_if_there_are_no_labels():
    assert variables(Live("digits", 3, "v3", "b.model", None, True))["MODELWAVE_LABELS_PATH"] == ""


def test_other_exit_codes_say_why_with_the_last_line():
    command = ["sh", "-c", "echo first >&2; echo the camera is gone >&2; exit 7"]
    assert run(hooks(command).healthy(LIVE)) == "health hook: exit code 7: the camera is gone"


def test_silent_hook_is_said_to_be_silent():
    assert run(hooks(["false"]).serve(LIVE)) == "swap hook: exit code 1: nothing on stderr"


def test_hook_that_is_not_there_says_so():
    assert "No such file" in run(hooks(["/nowhere/hook"]).serve(LIVE))


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EAGAIN, errno.ENOMEM, errno.EIO])
def test_hook_that_cannot_be_started_for_now_is_started_later(monkeypatch, number):
    """That says nothing about the model, which would be rolled back and banned."""
    faults = [OSError(number, os.strerror(number))] * 2
    start = process.run

    async def run_later(*arguments):
        if faults:
            raise faults.pop()
        return await start(*arguments)

    monkeypatch.setattr(host_hooks, "AGAIN_SECONDS", 0)
    monkeypatch.setattr(process, "run", run_later)
    assert run(CommandHooks([], python("")).healthy(LIVE)) == ""
    faults += [OSError(number, "for ever")] * 10**6
    told = run(CommandHooks([], python(""), seconds=0.1).healthy(LIVE))
    assert told == f"health hook: [Errno {number}] for ever"


def test_device_without_threads_cannot_start_a_program(monkeypatch):
    async def no_threads(*_, **__):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", no_threads)
    with pytest.raises(BlockingIOError, match="can't start new thread"):
        run(process.run(python("")))


def test_command_is_not_read_by_a_shell(tmp_path):
    target = tmp_path / "made"
    assert run(hooks(["echo", f"; touch {target}", f"$(touch {target})"]).serve(LIVE)) == ""
    assert not target.exists()


def test_hook_that_hangs_runs_into_its_deadline():
    hanging = hooks(["sh", "-c", f"sleep {LONG}; true"], seconds=0.2)
    assert run(hanging.healthy(LIVE)) == "health hook: not finished within 0.2 seconds"


def test_hook_may_start_a_program_that_stays(tmp_path):
    told = tmp_path / "pid"
    assert run(hooks(["sh", "-c", f"sleep {LONG} & echo $! > {told}"]).serve(LIVE)) == ""
    os.kill(int(told.read_text()), signal.SIGKILL)
