"""What the launcher knows of an agent that runs, and when it has waited long enough for it. Times
are seconds of a clock that never goes back."""

from typing import NamedTuple

from modelwave_agent.host.launch_limits import CONNECT_SECONDS, SILENT_SECONDS
from modelwave_agent.host.self_update import line
from modelwave_agent.host.self_update.choice import Start

CONFIRM_SECONDS = 300  # more than the order's trial takes, to confirm itself
LEAVE_SECONDS = 60  # to end after it has asked for another
STOP_SECONDS = 90  # to end after SIGTERM, as systemd waits
POLL_SECONDS = 0.05  # for the end of an agent that has closed its line
MAX_TRIAL_SECONDS = 8 * 86400
_TAIL_BYTES = 1000


class Limits(NamedTuple):
    """The limits that agent.toml may set, in seconds."""

    connect: float = CONNECT_SECONDS
    silent: float = SILENT_SECONDS


class Life:
    """One run of an agent."""

    def __init__(self, start: Start, limits: Limits, trial_seconds: float, now: float) -> None:
        """`trial_seconds`: of the order that it is on trial for."""
        self.limits = limits
        self.on_trial = start.on_trial
        self.trial_seconds = trial_seconds
        self.since = now  # when that began which it is waited for
        self.heard = now
        self.reported = self.asked = self.is_stopped = False
        self.is_closed = self.is_quiet = False  # its line, and its stderr
        self.asked_seconds = 0.0
        self.failed = ""  # why it had to be ended
        self._rest = self._errors = b""

    def stop(self, now: float) -> None:
        """It was asked to end."""
        self.is_stopped, self.since = True, now

    def read(self, data: bytes, now: float) -> None:
        """Takes what it wrote on its line; b"" if that is closed."""
        self.is_closed = not data
        self.heard = now
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[-line.MAX_LINE_BYTES :]
        for text in lines:
            self._take(text[: line.MAX_LINE_BYTES].decode("ascii", "replace"), now)

    def read_error(self, data: bytes) -> None:
        """Takes what it wrote to stderr."""
        self.is_quiet = not data
        self._errors = (self._errors + data)[-_TAIL_BYTES:]

    def _take(self, text: str, now: float) -> None:
        word, _, more = text.partition(" ")
        if word == line.REPORTED and not self.reported:
            self.reported, self.since = True, now
        elif word == line.CONFIRMED:
            self.on_trial = False
        elif word == line.SWITCH and not self.asked:
            self.asked, self.since = True, now
            self.asked_seconds = min(int(more), MAX_TRIAL_SECONDS) if more.isdecimal() else 0

    def _limits(self) -> list[tuple[float, str]]:
        """Returns (when, what is wrong then)."""
        if self.is_stopped:
            return [(self.since + STOP_SECONDS, "it did not end")]
        if self.asked:
            return [(self.since + LEAVE_SECONDS, "it did not end")]
        silent = self.limits.silent
        found = [(self.heard + silent, f"it hangs: no sign of life for {silent:g} seconds")]
        if self.on_trial and not self.reported:
            seconds = self.limits.connect
            told = f"no report of it came back from the broker within {seconds:g} seconds"
            found.append((self.since + seconds, told))
        elif self.on_trial:
            seconds = self.trial_seconds + CONFIRM_SECONDS
            told = f"it has not confirmed itself {seconds:g} seconds after its first report"
            found.append((self.since + seconds, told))
        return found

    def left(self, now: float) -> float:
        """Returns the seconds until it has to be looked at again."""
        left = max(0.0, min(when for when, _ in self._limits()) - now)
        return min(left, POLL_SECONDS) if self.is_closed else left

    def problem(self, now: float) -> str:
        """Returns why it has to be killed now, or ""."""
        self.failed = next((told for when, told in self._limits() if now >= when), "")
        return self.failed

    def reason(self, code: int) -> str:
        """Returns why it has ended; `code`: its exit code, or minus the signal."""
        ended = f"exit code {code}" if code >= 0 else f"signal {-code}"
        lines = [one.strip() for one in self._errors.decode("ascii", "replace").splitlines()]
        last = next((one for one in reversed(lines) if one), "")
        return self.failed or f"it ended with {ended}" + (f": {last}" if last else "")
