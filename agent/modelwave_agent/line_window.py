"""The numbering of the frames of one session of a line: go-back-N, both ways apart.

The sender keeps at most `most` frames that are not acknowledged. The receiver takes frames in order
only. It acknowledges what it has taken while no whole message waits for its reader, else later, so
that the sender waits; by then at most a window of frames has come, which it holds.
"""

from modelwave_shared.errors import LineError
from modelwave_shared.line_frames import DATA, GAP, LAST, MAX_PAYLOAD_BYTES
from modelwave_shared.line_messages import MAX_MESSAGE_BYTES

NUMBERS = 256
MAX_DOUBLED = 8  # a pause grows to so many times the first one


class Sender:
    """The frames that this end sends."""

    def __init__(self, most: int, pause: float) -> None:
        """`most`: frames that the other end takes at once; `pause`: seconds in which the last of
        them is acknowledged."""
        self.most = most
        self.pause = pause
        self.message: "bytes | None" = None  # that is being cut, from `cut` on
        self.cut = 0
        self.base = 0  # the number of the first frame of `window`
        self.window: "list[tuple[int, bytes]]" = []  # (kind, payload), not acknowledged
        self.sent = 0  # so many of them were sent since this end went back
        self.doubled = 1
        self.deadline = 0.0

    def offer(self, message: bytes) -> None:
        """Takes the next message; `message` must be None."""
        self.message, self.cut = message, 0

    def next(self, now: float) -> "tuple[int, int, bytes] | None":
        """Returns (kind, number, payload) of the frame that is to be sent now, or None."""
        if self.message is not None and len(self.window) < self.most:
            self._cut(self.message)
        if self.sent >= (len(self.window) if self.doubled == 1 else min(len(self.window), 1)):
            return None
        kind, payload = self.window[self.sent]
        number = (self.base + self.sent) % NUMBERS
        self.sent += 1
        self.deadline = now + self.pause * self.doubled
        return kind, number, payload

    def _cut(self, message: bytes) -> None:
        end = self.cut + MAX_PAYLOAD_BYTES
        is_last = end >= len(message)
        self.window.append((LAST if is_last else DATA, message[self.cut : end]))
        self.cut = end
        if is_last:
            self.message = None

    def acknowledged(self, ack: int, is_gap: bool, now: float) -> None:
        """The other end expects the frame `ack`; `is_gap`: a later one has come before it."""
        count = (ack - self.base) % NUMBERS
        if count > len(self.window):
            return  # older than what was acknowledged since
        if count:
            self.window = self.window[count:]
            self.base = ack
            self.sent = max(0, self.sent - count)
            self.deadline = now + self.pause
        if is_gap:
            self.sent = 0
        if count or is_gap:
            self.doubled = 1

    def patience(self, now: float) -> "float | None":
        """Returns the seconds until the next frame is repeated; None: nothing is to be."""
        return max(0.0, self.deadline - now) if self.sent else None

    def look(self, now: float) -> None:
        """If it is time, goes back. Only one frame is then sent until something comes back."""
        if self.sent and now >= self.deadline:
            self.sent = 0
            self.doubled = min(2 * self.doubled, MAX_DOUBLED)


class Receiver:
    """The frames that come to this end."""

    def __init__(self, most: int) -> None:
        """`most`: frames that this end takes at once; others are dropped."""
        self.most = most
        self.expected = 0  # the number of the next frame
        self.granted = 0  # the one that the other end is told
        self.gap = 0  # how far ahead of `expected` the last frame was
        self.parts: "list[bytes]" = []
        self.size = 0
        self.inbox: "list[bytes]" = []  # whole messages

    def take(self, kind: int, number: int, payload: bytes) -> "bytes | None":
        """Takes a frame; returns the payload of the ACK that answers it, or None. Raises
        LineError for a message that is too long."""
        ahead = (number - self.expected) % NUMBERS
        if ahead >= NUMBERS // 2:
            return b""  # it was taken: the acknowledgement may be lost
        if ahead:
            is_new_round = not self.gap or ahead <= self.gap
            self.gap = ahead
            return GAP if is_new_round else None
        if (number - self.granted) % NUMBERS >= self.most:
            return None  # no honest end sends it
        self.size += len(payload)
        if self.size > MAX_MESSAGE_BYTES:
            raise LineError("message", "longer than %d bytes" % MAX_MESSAGE_BYTES)
        self.gap = 0
        self.expected = (number + 1) % NUMBERS
        self.parts.append(payload)
        if kind == LAST:
            self.inbox.append(b"".join(self.parts))
            self.parts, self.size = [], 0
        return self._grant()

    def pop(self) -> "tuple[bytes, bytes | None]":
        """Returns the next message of the inbox, and the payload of the ACK that is due now."""
        return self.inbox.pop(0), self._grant()

    def _grant(self) -> "bytes | None":
        if self.inbox:
            return None
        self.granted = self.expected
        return b""
