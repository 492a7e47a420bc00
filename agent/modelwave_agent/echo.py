"""Notices that a broker acknowledges reports and drops them: it acknowledges also what it denies
(MQTT 3.1.1). The device subscribes to its own report, and waits for it to come back.

If reports have come back before, the rules allow it, and it is the connection that brings nothing
any more, such as to a node that has lost its cluster: orders would not come either.
"""

import hashlib

from modelwave_shared.limits import MAX_ENVELOPE_BYTES

ECHO_SECONDS = 60
MAX_PATIENCE_SECONDS = 3600
MAX_ECHO_BYTES = 2 * MAX_ENVELOPE_BYTES  # links pass on no longer message as it is
LOST = (
    "reports: the broker acknowledges them, and does not send them back: let this device write and"
    " read its own topic reported/"
)
DENIED = "reports: the broker does not let this device read its own topic reported/"


class Echo:
    """What came back of the reports that were sent. `trouble` is for the report."""

    def __init__(self) -> None:
        self.listens = False
        self.trouble = ""
        # Whether a report has come back since the start; if the broker lets none come back, whether
        # it has acknowledged one.
        self.is_heard = False
        self._digest = b""  # of the newest report
        self._has_come = False  # that one
        self._since: "float | None" = None  # since when none has come back
        self._patience = 0  # seconds until a deaf connection is left; 0: no report ever came back

    def connected(self, is_granted: bool) -> None:
        """The broker has answered the subscription of a new connection."""
        self.listens = is_granted
        self._since = None

    def sends(self, payload: bytes) -> None:
        """The report `payload` is sent now; it may come back before it is acknowledged."""
        is_short = len(payload) <= MAX_ECHO_BYTES
        self._digest = hashlib.sha256(payload).digest() if is_short else b""
        self._has_come = not is_short

    def acknowledged(self, now: float) -> None:
        self.is_heard = self.is_heard or not self.listens
        if self.listens and not self._has_come and self._since is None:
            self._since = now

    def came(self, payload: bytes) -> bool:
        """A report of this device's name came. Returns whether `trouble` has changed."""
        if hashlib.sha256(payload).digest() != self._digest:
            return False  # an older one, or somebody else's
        self._has_come, self._since, self.is_heard = True, None, True
        self._patience = ECHO_SECONDS
        return self._tell("")

    def is_deaf(self, now: float) -> bool:
        """Returns whether the connection is to be made anew. The next one is given more time."""
        if not self._patience or self._since is None or now - self._since < self._patience:
            return False
        self._since = None
        self._patience = min(2 * self._patience, MAX_PATIENCE_SECONDS)
        return True

    def look(self, now: float) -> bool:
        """Returns whether `trouble` has changed, as time has passed."""
        if self._since is None or now - self._since < ECHO_SECONDS:
            return False
        return self._tell(LOST)

    def _tell(self, trouble: str) -> bool:
        is_new = trouble != self.trouble
        self.trouble = trouble
        return is_new
