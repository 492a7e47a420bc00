"""Runs another program in such a way that it cannot block the agent.

It has a session of its own: a terminal's Ctrl-C does not reach it, and it is killed together
with the processes that it started. Its output comes through pipes, whose end is not waited for:
a program that it leaves running (such as one that a swap hook restarts) may keep them open.
"""

import asyncio
import contextlib
import errno
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

MAX_TAIL_BYTES = 4096
_PIPE_BYTES = 65536  # capacity of a pipe (pipe(7))


@dataclass(frozen=True)
class Ended:
    """The result of a program. `code` is its exit code, or minus the signal that ended it; `out`
    and `err` are the last MAX_TAIL_BYTES of stdout and stderr."""

    code: int
    out: bytes
    err: bytes

    def last_line(self) -> str:
        """Returns the last line of stderr that is not empty; "" if there is none."""
        lines = [line.strip() for line in self.err.decode(errors="replace").splitlines()]
        return next((line for line in reversed(lines) if line), "")


async def run(command: Sequence[str], env: Mapping[str, str] | None = None) -> Ended:
    """Runs `command` without a shell until it ends, and kills it when cancelled. Raises OSError if
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
            # Shielded, because asyncio would kill only the program, not its session.
            process = await asyncio.shield(starting)
            code = await process.wait()
        except RuntimeError as error:  # asyncio could not start the thread that waits for it
            raise OSError(errno.EAGAIN, str(error)) from error
        except asyncio.CancelledError:
            with contextlib.suppress(OSError):
                await _kill(await starting)
            raise
        out.drain()
        err.drain()
        return Ended(code, out.data, err.data)


async def _kill(process: asyncio.subprocess.Process) -> None:
    """Kills a program with all processes of its session, and waits for its end."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


class _Tail:
    """A pipe that keeps only the last bytes; it is read constantly, so it never fills."""

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
