"""Starts the demo's processes as a user would, and ends them all with the demo."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import IO

from modelwave_controller.errors import StorageError
from modelwave_controller.interruption import ENDING, Interrupted

END_SECONDS = 10
POLL_SECONDS = 0.05

CONTROLLER = (sys.executable, "-m", "modelwave_controller")
AGENT = (sys.executable, "-m", "modelwave_agent.host.daemon")
FLEET = (sys.executable, "-m", "modelwave_agent.host.fleet")


class Processes:
    """The processes started here, by name; each writes to `<folder>/<name>.log`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._logs: list[IO[bytes]] = []

    def start(self, name: str, command: Sequence[str], wire: int | None = None) -> None:
        """`wire`: a descriptor that is the input and output of the process; else its output goes
        into its log."""
        log = (self.folder / f"{name}.log").open("ab")
        self._logs.append(log)
        # In a session of its own, so that Ctrl-C reaches only the demo, which ends it in order.
        self.running[name] = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL if wire is None else wire,
            stdout=log if wire is None else wire,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def wait_for(self, name: str, path: Path, seconds: float) -> None:
        """Waits until the process `name` has written `path`. Raises StorageError if it ends
        before, or does not write it in time."""
        deadline = time.monotonic() + seconds
        while not path.exists():
            if self.running[name].poll() is not None:
                raise StorageError(f"{name} did not start:\n{self.last_words(name)}")
            if time.monotonic() > deadline:
                busy = f"{name} was not ready after {seconds:.0f} s: is this machine very busy?"
                raise StorageError(f"{busy}\n{self.last_words(name)}")
            time.sleep(POLL_SECONDS)

    def last_words(self, name: str) -> str:
        text = (self.folder / f"{name}.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-15:])

    def end(self, name: str) -> None:
        """Terminates a process, and kills it if it has not ended after END_SECONDS."""
        process = self.running.pop(name)
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def dead(self) -> list[str]:
        """Returns the names of the processes that ended by themselves."""
        return [name for name, process in self.running.items() if process.poll() is not None]

    def end_all(self) -> None:
        for process in self.running.values():
            process.terminate()
        for name in reversed(list(self.running)):
            self.end(name)
        for log in self._logs:
            log.close()


@contextlib.contextmanager
def processes(folder: Path, then: Callable[[], None] = lambda: None) -> Iterator[Processes]:
    """Yields Processes; at the end of the block ends them all and calls `then`, also after an
    error or a signal. A first signal interrupts the block, further ones do not interrupt the
    cleanup. Signals that are ignored already (nohup) stay ignored."""
    made = Processes(folder)
    before = {n: signal.getsignal(n) for n in ENDING if signal.getsignal(n) != signal.SIG_IGN}

    def ignore() -> None:
        for number in before:
            signal.signal(number, signal.SIG_IGN)

    def interrupt(number: int, _frame: FrameType | None) -> None:
        ignore()
        raise Interrupted(number)

    try:
        try:
            for number in before:
                signal.signal(number, interrupt)
            yield made
        finally:
            ignore()
    finally:
        try:
            made.end_all()
        finally:
            then()
            for number, handler in before.items():
                signal.signal(number, handler)
