"""strace on a process that is there already."""

import asyncio
import contextlib
import functools
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable

from tests.inject.calls import CALLS, KILL, Point

SECONDS = 60


@functools.cache
def why_not() -> str:
    """Why nothing can be traced here; "" if something can."""
    if shutil.which("strace") is None:
        return "strace is not installed: apt install strace"
    tried = subprocess.run(
        ["strace", "-o", os.devnull, "true"], capture_output=True, text=True, timeout=SECONDS
    )
    return " ".join(tried.stderr.split()) if tried.returncode else ""


class Log:
    """What strace has said, a line each."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self._lines)

    async def follow(self, stream: asyncio.StreamReader, let_go: Callable[[], None]) -> None:
        """Reads to the end. strace must let its processes go as soon as one was disturbed: each new
        thread and each child has counts of its own, so it would happen again and again."""
        while line := (await stream.readline()).decode(errors="replace"):
            self._lines.append(line)
            if "(INJECTED)" in line or "+++ killed by SIGKILL" in line:
                let_go()


@contextlib.asynccontextmanager
async def traced(pid: int, log: Log, point: Point | None) -> AsyncIterator[None]:
    """Traces the process and all that it starts, until it has been disturbed at `point`, or they
    have ended. `log` is whole at the end of the block."""
    wanted = [point.call] if point else list(CALLS)
    read_end, write_end = os.pipe()
    command = ["strace", "-f", "-yy", "-o", f"/dev/fd/{write_end}", "-p", str(pid)]
    command += ["-e", "trace=" + ",".join(wanted), *_injection(point)]
    try:
        strace = await asyncio.create_subprocess_exec(
            *command, stderr=asyncio.subprocess.PIPE, pass_fds=[write_end]
        )
    finally:
        os.close(write_end)
    assert strace.stderr is not None
    handle = os.pidfd_open(strace.pid)  # Popen.send_signal would take the exit code from asyncio

    def let_go() -> None:
        """Kills strace, and the system lets its processes go. To a SIGTERM it would have to wait
        for each, and one that waits for its child's exec (vfork) waits for strace."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)

    async with _reading(read_end) as stream:
        following = asyncio.create_task(log.follow(stream, let_go))
        try:
            async with asyncio.timeout(SECONDS):
                said = await strace.stderr.readline()
            if b"attached" not in said:
                raise RuntimeError(f"strace: {said.decode().strip()}")
            yield
            async with asyncio.timeout(SECONDS):
                await strace.communicate()
                await following
        finally:
            let_go()
            await strace.communicate()
            os.close(handle)
            following.cancel()


@contextlib.asynccontextmanager
async def _reading(read_end: int) -> AsyncIterator[asyncio.StreamReader]:
    stream = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(stream)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: protocol, os.fdopen(read_end, "rb"))
    try:
        yield stream
    finally:
        transport.close()


def _injection(point: Point | None) -> list[str]:
    if point is None:
        return []
    what = "signal=KILL" if point.fault == KILL else f"error={point.fault}"
    return ["-e", f"inject={point.call}:{what}:when={point.number}"]
