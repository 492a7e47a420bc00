"""Runs another program so that it cannot hold the agent up.

It has a session of its own: a terminal's Ctrl-C is not for it, and it is killed with all
that it started. What it says comes through pipes that are not waited for, since a program
that it leaves running (a swap hook that restarts one) may keep them open for ever.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

MAX_TAIL_BYTES = 4096
_PIPE_BYTES = 65536  # what a pipe holds (pipe(7))


@dataclass(frozen=True)
class Ended:
    """`code`: its exit code, or minus the signal that ended it. `out`, `err`: the last
    MAX_TAIL_BYTES of what it said."""

    code: int
    out: bytes
    err: bytes

    def last_line(self) -> str:
        """Of stderr; "" if there is none."""
        lines = [line.strip() for line in self.err.decode(errors="replace").splitlines()]
        return next((line for line in reversed(lines) if line), "")


async def run(command: Sequence[str], env: Mapping[str, str] | None = None) -> Ended:
    """Runs `command`, without a shell, to its end; killed when this is cancelled. OSError if
    it cannot be started."""
    with _tail() as out, _tail() as err:
        starting = asyncio.create_task(
            asyncio.create_subprocess_exec(
                *command,
                env=env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out.write_end,
                stderr=err.write_end,
                start_new_session=True,
            )
        )
        try:
            # Shielded: cancelled half way, asyncio would kill the program alone.
            process = await asyncio.shield(starting)
            code = await process.wait()
        except asyncio.CancelledError:
            with contextlib.suppress(OSError):
                await _kill(await starting)
            raise
        out.drain()
        err.drain()
        return Ended(code, out.data, err.data)


async def _kill(process: asyncio.subprocess.Process) -> None:
    """Kills it with all of its session, and returns when it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


class _Tail:
    """The last bytes that came through a pipe; it never fills."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        os.set_blocking(self.read_end, False)
        self.data = b""

    def drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            piece = os.read(self.read_end, _PIPE_BYTES)
            self.data = (self.data + piece)[-MAX_TAIL_BYTES:]


@contextlib.contextmanager
def _tail() -> Iterator[_Tail]:
    tail = _Tail()
    loop = asyncio.get_running_loop()
    loop.add_reader(tail.read_end, tail.drain)
    try:
        yield tail
    finally:
        loop.remove_reader(tail.read_end)
        os.close(tail.read_end)
        os.close(tail.write_end)
