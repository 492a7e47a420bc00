"""`modelwave-agent supervise`: starts the agent, and the one before if a new one fails. It is never
updated itself, so it does as little as possible: it reads a journal (choice.py says what follows
from it), starts a process, and reads lines from it (line.py).

    python -m modelwave_agent.host.self_update.launcher --config agent.toml

To systemd it is the service: it says that it is ready and that it lives, and looks itself whether
its agent does. It ends when it gets SIGTERM or SIGINT, after its agent; else only if its own agent
finds the settings wrong.
"""

import argparse
import contextlib
import logging
import math
import os
import selectors
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modelwave_agent.host.self_update import environments, line
from modelwave_agent.host.self_update.choice import (
    OWN,
    End,
    Failures,
    Start,
    is_readable,
    next_start,
)
from modelwave_agent.host.self_update.life import Life, Limits
from modelwave_agent.journal import Journal
from modelwave_agent.record import clean
from modelwave_shared import supervisor
from modelwave_shared.agent_releases import AGENT

WRONG_SETTINGS = 2  # exit code of an agent
OF_SYSTEMD = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
PAUSE_SECONDS = (1, 5, 15, 60)  # before an agent is started again that has ended by itself
# What settings of any content raise; the last two a number without end, and tables that are nested
# too deep.
UNUSABLE = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError),
    *(OverflowError, RecursionError),
)

_PIECE_BYTES = 4096
_PIPE_BYTES = 65536  # capacity of a pipe (pipe(7))

log = logging.getLogger("modelwave_agent.launcher")


class Launcher:
    def __init__(self, config: Path, state: Path, limits: Limits) -> None:
        self.config = config
        self.folder = state / AGENT
        self.limits = limits
        self.failures = Failures()
        self.is_stopping = False
        self._alive_seconds = (supervisor.watchdog_seconds() or 3600) / 3
        self.trial_seconds = 0.0  # of the trial that was asked for last
        self._wake, self._wakes = os.pipe()
        for end in (self._wake, self._wakes):
            os.set_blocking(end, False)

    def run(self) -> int:
        signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        supervisor.tell(supervisor.READY)
        end: End | None = None
        tries = 0
        while not self.is_stopping:
            start = next_start(self._record(), end, self._is_usable, self.failures)
            if end and not self._is_wanted(start, end):
                self._pause(PAUSE_SECONDS[min(tries, len(PAUSE_SECONDS) - 1)])
                tries = 0 if end.reported else tries + 1
                if self.is_stopping:
                    break
            code, end = self._live(start)
            self.failures.note(end)
            if code == WRONG_SETTINGS and start.place == OWN and not self.is_stopping:
                return code
        supervisor.tell(supervisor.STOPPING)
        return 0

    def _is_wanted(self, start: Start, end: End) -> bool:
        """Whether `start` follows from what the agent before it wanted, or has to take its place:
        then it starts at once."""
        return start.on_trial or start.verdict != "" or start.place != end.start.place

    def _live(self, start: Start) -> tuple[int, End]:
        """Starts an agent, and waits for its end. Returns its exit code and how it ended."""
        log.info("starts %s", told(start))
        supervisor.tell(supervisor.status(told(start)))
        reading, writing = os.pipe()
        try:
            process = subprocess.Popen(
                self._command(start),
                env={**_environment(), **line.environment(start, writing)},
                pass_fds=(writing,),
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE if start.on_trial else None,
                start_new_session=True,
            )
        except OSError as error:  # there is no such Python any more, or no memory
            os.close(reading)
            return -1, End(start, False, False, clean(str(error)))
        finally:
            os.close(writing)
        life = Life(start, self.limits, self.trial_seconds, time.monotonic())
        with os.fdopen(reading, "rb", buffering=0) as lines:
            self._watch(process, life, lines.fileno())
        if process.stderr:
            process.stderr.close()
        self.trial_seconds = life.asked_seconds
        reason = life.reason(process.returncode)
        log.info("%s: %s", told(start), "asks for another" if life.asked else reason)
        return process.returncode, End(start, life.asked, life.reported, clean(reason))

    def _watch(self, process: "subprocess.Popen[bytes]", life: Life, lines: int) -> None:
        """Returns when the process has ended, by itself or because it had to."""
        errors = process.stderr.fileno() if process.stderr else -1
        while process.poll() is None:
            ready = self._ready(life, lines, errors)
            now = time.monotonic()
            if lines in ready:
                life.read(os.read(lines, _PIECE_BYTES), now)
            if errors in ready:
                life.read_error(_passed_on(os.read(errors, _PIECE_BYTES)))
            if life.problem(now):
                process.kill()  # in order, it would give back the try of its trial
                process.wait()
            elif self.is_stopping and not life.is_stopped:
                life.stop(now)
                process.terminate()
        life.read(_left_in(lines), time.monotonic())
        if process.stderr:
            life.read_error(_passed_on(_left_in(errors)))
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # what it has left running in its session

    def _ready(self, life: Life, lines: int, errors: int) -> list[int]:
        """Waits for lines, a signal, or the next limit."""
        wanted = [self._wake]
        wanted += [] if life.is_closed else [lines]
        wanted += [] if errors < 0 or life.is_quiet else [errors]
        ready = self._waited(wanted, life.left(time.monotonic()))
        if self._wake in ready:
            os.read(self._wake, _PIECE_BYTES)
        return ready

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.is_stopping and (left := end - time.monotonic()) > 0:
            if self._waited([self._wake], left):
                os.read(self._wake, _PIECE_BYTES)

    def _waited(self, descriptors: list[int], seconds: float) -> list[int]:
        """Returns those of the descriptors that can be read, after at most `seconds`; sooner if
        systemd wants a sign of life."""
        supervisor.tell(supervisor.ALIVE)
        with selectors.DefaultSelector() as selector:
            for one in descriptors:
                selector.register(one, selectors.EVENT_READ)
            return [key.fd for key, _ in selector.select(min(seconds, self._alive_seconds))]

    def _stop(self, _number: int, _frame: object) -> None:
        self.is_stopping = True

    def _command(self, start: Start) -> list[str]:
        if start.place == OWN:
            python = [sys.executable, *environments.OWN_AGENT]
        else:
            python = [str(environments.python_of(self._venv(start.place))), *environments.AGENT]
        return [*python, "run", "--config", str(self.config)]

    def _venv(self, place: str) -> Path:
        return self.folder / f"{place}.venv"

    def _is_usable(self, place: str) -> bool:
        try:
            return environments.is_complete(self._venv(place))
        except OSError as error:  # the medium does not answer
            log.warning("%s: %s", self._venv(place), error)
            return False

    def _record(self) -> dict[str, Any] | None:
        """Returns the journal's record of the model `agent`; None if there is none. A journal that
        cannot be read says nothing."""
        try:
            if not all((self.folder / f"journal.{number}").exists() for number in (0, 1)):
                return None
            found = Journal(str(self.folder), "journal").read()
        except (OSError, ValueError) as error:
            log.warning("%s: %s", self.folder, error)
            return None
        if found is not None and not is_readable(found):
            log.warning(
                "%s: its record is of an agent that this launcher is too old for", self.folder
            )
            return None
        return found


def told(start: Start) -> str:
    """Returns a start for people."""
    agent = f"the agent of bank {start.place}" if start.place else "the agent installed with this"
    reasons = [f": {reason}" for reason in (start.verdict, start.lost) if reason]
    return agent + " on trial" * start.on_trial + "".join(reasons)


def _environment() -> dict[str, str]:
    """Returns the agent's environment: the launcher talks to systemd, and not the agent."""
    return {name: value for name, value in os.environ.items() if name not in OF_SYSTEMD}


def _left_in(descriptor: int) -> bytes:
    """Returns what a process that has ended left in a pipe, as far as a pipe holds."""
    os.set_blocking(descriptor, False)
    try:
        return os.read(descriptor, _PIPE_BYTES)
    except BlockingIOError:
        return b""


def _passed_on(data: bytes) -> bytes:
    """Writes what an agent said to stderr there."""
    with contextlib.suppress(OSError):
        os.write(sys.stderr.fileno(), data)
    return data


def settings(config: Path) -> tuple[Path, Limits]:
    """Returns the state folder and the limits in agent.toml. What is wrong there, the agent says:
    then there are the defaults, and a folder without a journal."""
    try:
        found = tomllib.loads(config.read_text())
        table = found.get("self_update", {})
        limits = Limits(
            **{
                name: float(table[f"{name}_seconds"])
                for name in Limits._fields
                if f"{name}_seconds" in table
            }
        )
        if not all(0 < seconds < math.inf for seconds in limits):
            limits = Limits()
        return config.parent / found["state"], limits
    except UNUSABLE:
        return config.parent / "no-state", Limits()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="launcher", description="Start the agent.")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="agent.toml")
    config = parser.parse_args(arguments).config
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s launcher: %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S %z",
    )
    return Launcher(config, *settings(config)).run()


if __name__ == "__main__":
    sys.exit(main())
