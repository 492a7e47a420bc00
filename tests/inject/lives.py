"""Lives of a program that has imported all that it needs: each is a fork, so that it begins at
once, and its system calls are those of its work alone.

The other side of `forked` is a program that calls `fork_lives`. For each line on its stdin, a list
of arguments, it forks a life, which waits for SIGUSR1, so that strace can be there from its first
call on. It answers with the life's pid, and with its exit code when it has ended.
"""

import asyncio
import contextlib
import ctypes
import gc
import itertools
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.inject.calls import KILL, Point
from tests.inject.tracing import Log, traced

ROOT = Path(__file__).resolve().parents[2]
_PR_SET_PDEATHSIG = 1  # prctl(2)
SECONDS = 60  # for what takes a second: a life that takes longer hangs


class Hangs(Exception):
    """What was awaited did not come."""


class End(NamedTuple):
    """How a life has ended. `code` is minus the signal if one ended it."""

    code: int
    said: str  # on stderr

    @property
    def last(self) -> str:
        return (self.said.splitlines() or [""])[-1]

    def problems(self, program: str, point: Point | None) -> list[str]:
        """What is wrong with the end of a life that was disturbed at `point`, if at all: the
        program may be killed there, and may end with an error that it names."""
        found = [f"a traceback: {self.last}"] if self._has_traceback() else []
        is_killed = point and point.fault == KILL and self.code == -signal.SIGKILL
        is_named = point and self.code > 0 and f"\n{program}: " in f"\n{self.said}"
        if self.code and not is_killed and not is_named:
            found.append(f"it ended with {self.code}: {self.last}")
        return found

    def _has_traceback(self) -> bool:
        """Whether the program said one; not Python, when it clears up what could not be made."""
        lines = ["", *self.said.splitlines()]
        return any(
            line.startswith("Traceback") and not before.startswith("Exception ignored")
            for before, line in itertools.pairwise(lines)
        )


class Life:
    """One life of the program, from outside."""

    def __init__(self, pid: int, said: Path, code: "asyncio.Task[int]") -> None:
        """`said`: the file of what it says on stderr. `code`: as of End. Its pid is nobody else's
        until the next life begins."""
        self.pid = pid
        self.said = said
        self.code = code

    def send(self, number: int) -> None:
        if not self.code.done():
            os.kill(self.pid, number)

    def end(self) -> End:
        """How it has ended."""
        return End(self.code.result(), self.said.read_text(errors="replace"))


async def first_of(name: str, *awaited: "asyncio.Future[Any]") -> None:
    """Returns when one of them is done, and raises Hangs if none is."""
    done, _ = await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED, timeout=SECONDS)
    if not done:
        raise Hangs(f"{name} did not come within {SECONDS} seconds")


class Forker:
    """The program that forks, from outside. There is one life at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @contextlib.asynccontextmanager
    async def life(
        self, arguments: Sequence[str], said: Path, log: Log | None, point: Point | None
    ) -> AsyncIterator[Life]:
        """A life, which has ended at the end of the block: it is killed there if it has not.
        `log`: of strace; None: the life is not traced."""
        await self._tell(json.dumps([str(said), *arguments]))
        pid = await self._answer()
        life = Life(pid, said, asyncio.create_task(self._answer()))
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self._end, life)  # strace may not come to be there
            if log is not None:
                await stack.enter_async_context(traced(pid, log, point))
                stack.push_async_callback(self._end, life)
            life.send(signal.SIGUSR1)
            yield life

    async def _end(self, life: Life) -> None:
        life.send(signal.SIGKILL)
        await life.code

    async def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        await self._process.stdin.drain()

    async def _answer(self) -> int:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the program that forks has ended")
        return int(line)


@contextlib.asynccontextmanager
async def forked(module: str, *arguments: str) -> AsyncIterator[Forker]:
    """Runs `module`, whose main calls `fork_lives`, until the end of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C comes to the command alone
    )
    try:
        yield Forker(process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # with a life that is left, after Ctrl-C
        await process.wait()


def fork_lives(run: Callable[[list[str]], int]) -> None:
    """`run(arguments)` is a life, and returns its exit code."""
    _end_with_parent()
    gc.freeze()  # else the first collection of each life copies everything
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    pid = 0
    for line in sys.stdin:
        if pid:
            os.waitpid(pid, 0)  # so late that no other process has had its pid meanwhile
        said, *arguments = json.loads(line)
        reading, writing = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(reading)
            _live(run, said, arguments, writing)
        os.close(writing)
        os.read(reading, 1)  # it waits for SIGUSR1: what it did before is not disturbed
        os.close(reading)
        print(pid, flush=True)
        end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert end is not None
        print(end.si_status if end.si_code == os.CLD_EXITED else -end.si_status, flush=True)


def _live(run: Callable[[list[str]], int], said: str, arguments: list[str], ready: int) -> None:
    """Never returns. Closes `ready` when it waits."""
    code = 1
    try:
        _end_with_parent()
        into = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
        for number in (1, 2):
            os.dup2(into, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.close(ready)
        signal.sigwait([signal.SIGUSR1])
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
        code = run(arguments)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    sys.stderr.flush()
    os._exit(code)


def _end_with_parent() -> None:
    """Has the kernel end this process when the one that started it has gone, in whatever way."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
