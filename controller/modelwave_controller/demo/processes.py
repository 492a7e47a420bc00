"""The demo's processes: started as a user would start them, and all ended with it."""

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

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
END_SECONDS = 10
POLL_SECONDS = 0.05

CONTROLLER = (sys.executable, "-m", "modelwave_controller")
AGENT = (sys.executable, "-m", "modelwave_agent.host.daemon")
FLEET = (sys.executable, "-m", "modelwave_agent.host.fleet")


class Processes:
    """What was started here, by name; each writes to `<folder>/<name>.log`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._logs: list[IO[bytes]] = []

    def start(self, name: str, command: Sequence[str]) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        self._logs.append(log)
        # A session of its own: Ctrl-C reaches the demo alone, which then ends them in order.
        self.running[name] = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def wait_for(self, name: str, path: Path, seconds: float) -> None:
        """Returns when process `name` has written `path`. StorageError if it ends first."""
        deadline = time.monotonic() + seconds
        while not path.exists():
            if self.running[name].poll() is not None or time.monotonic() > deadline:
                raise StorageError(f"{name} did not start:\n{self.last_words(name)}")
            time.sleep(POLL_SECONDS)

    def last_words(self, name: str) -> str:
        text = (self.folder / f"{name}.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-15:])

    def end(self, name: str) -> None:
        """Asks it to end; if it does not in END_SECONDS, ends it."""
        process = self.running.pop(name)
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def dead(self) -> list[str]:
        """Those that ended though nobody asked them to."""
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
    """Processes that are ended, and `then` is called, however the block is left: a signal
    interrupts it, and further ones do not interrupt the clearing up. Those that whoever
    started us ignores (nohup) stay ignored."""
    made = Processes(folder)
    before = {n: signal.getsignal(n) for n in ENDING if signal.getsignal(n) != signal.SIG_IGN}

    def ignore() -> None:
        for number in before:
            signal.signal(number, signal.SIG_IGN)

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        ignore()
        raise KeyboardInterrupt

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
