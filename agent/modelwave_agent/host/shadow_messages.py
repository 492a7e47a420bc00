"""The answers of the process of a shadow (shadow_child.py) to the agent, over a pair of sockets.
shadow_input.py has what goes to the process. It runs a model that may do anything, so its answers
are checked."""

import math
import struct
from dataclasses import dataclass

_ANSWER = struct.Struct("<2sBBidQH")
_MAGIC = b"MW"
LOADED, RAN, FAILED, UNLOADABLE, TOO_LARGE, UNABLE = range(6)  # kinds of an answer
NO_CLASS = -1
MAX_TEXT_BYTES = 400
MAX_LATENCY_MS = 1e9


@dataclass(frozen=True)
class Answer:
    """`agreed`: with the live model's output. `predicted`: the number of the class, or NO_CLASS.
    `peak_bytes`: most memory that the process has had. `text`: why it failed."""

    kind: int
    agreed: bool = False
    predicted: int = NO_CLASS
    latency_ms: float = 0.0
    peak_bytes: int = 0
    text: str = ""

    def packed(self) -> bytes:
        text = self.text.encode("ascii", "replace")[:MAX_TEXT_BYTES]
        return (
            _ANSWER.pack(
                _MAGIC,
                self.kind,
                self.agreed,
                self.predicted,
                self.latency_ms,
                self.peak_bytes,
                len(text),
            )
            + text
        )


def read_answer(data: bytes) -> Answer | None:
    """Returns the answer in `data`, None as long as it is not complete. Raises ValueError if it is
    none."""
    if len(data) < _ANSWER.size:
        return None
    magic, kind, agreed, predicted, latency_ms, peak, length = _ANSWER.unpack_from(data)
    if magic != _MAGIC or kind > UNABLE or agreed > 1 or length > MAX_TEXT_BYTES:
        raise ValueError("it is no answer")
    if not 0 <= latency_ms <= MAX_LATENCY_MS or math.isnan(latency_ms) or predicted < NO_CLASS:
        raise ValueError("it is no answer")
    text = data[_ANSWER.size :]
    if len(text) < length:
        return None
    if len(text) > length:
        raise ValueError("there is more than one answer")
    return Answer(kind, bool(agreed), predicted, latency_ms, peak, text.decode("ascii", "replace"))
