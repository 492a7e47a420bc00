"""Limits how many windows of one device are stored in an hour, so that one that floods the
controller fills neither its database nor its time."""

from collections import Counter
from collections.abc import Iterable

from modelwave_controller.storage.messages import Bad, Incoming, Measured

HOUR_SECONDS = 3600
# 4 are usual for each model and release, and 8 more after a time without a connection. Demos and
# tests have windows of a second.
MAX_WINDOWS_AN_HOUR = 2000


class Allowance:
    """The documents of each device in this hour."""

    def __init__(self) -> None:
        self._hour = 0
        self._counts: Counter[str] = Counter()

    def limited(self, messages: Iterable[Incoming], now: float) -> list[Incoming]:
        """Returns the messages; what is above a device's limit has become a Bad. `now`: seconds."""
        hour = int(now // HOUR_SECONDS)
        if hour != self._hour:
            self._hour, self._counts = hour, Counter()
        return [self._limited(message) for message in messages]

    def _limited(self, message: Incoming) -> Incoming:
        if not isinstance(message, Measured):
            return message
        self._counts[message.device] += 1
        if self._counts[message.device] <= MAX_WINDOWS_AN_HOUR:
            return message
        told = f"metrics: more than {MAX_WINDOWS_AN_HOUR} windows in an hour"
        return Bad(message.device, f"{told}; give the agent longer metrics_seconds")
