"""The hash chain over the event log. It shows that no entry was changed, removed, added or moved
since its hash was written.

The hash of an event is SHA-256 of these bytes, one after the other:

    the hash of the event before it                    32 bytes
    the hash of the newest event before it that        32
    is no answer of a device
    id, rollout and time, and the bytes of its kind    8 each (the time a double), 4: big-endian
    its kind, and its body as it is stored             UTF-8

Before the first event both hashes are `beginning`. The second one is there for pruning, which
deletes answers and keeps of a range of them only the hash of the last one (deleted_answers.py):
who deletes another event, and says that it was in such a range, breaks all that follow.

`heads` has both hashes of the newest event, in the row of its id.
"""

import hashlib
import struct
from typing import NamedTuple

from modelwave_controller.rollout.events import REPORTED

_NUMBERS = struct.Struct(">qqdI")
_sha256 = hashlib.sha256


class Links(NamedTuple):
    """The hash of the newest event, and of the newest one that is no answer."""

    newest: bytes
    no_answer: bytes


def beginning(unnoted: int) -> Links:
    """Returns what stands before the first event. `unnoted`: how many answers were deleted, when
    the chain was made for the log, of which no event says so (0 for a new log)."""
    found = _sha256(b"modelwave log %d" % unnoted).digest()
    return Links(found, found)


def follow(before: Links, id: int, rollout: int, at: float, kind: str, body: str) -> Links:
    """Returns the links after this event. Raises struct.error, AttributeError or UnicodeError for
    values that no event has."""
    name = kind.encode()
    numbers = _NUMBERS.pack(id, rollout, at, len(name))
    found = _sha256(b"".join((*before, numbers, name, body.encode()))).digest()
    return Links(found, before.no_answer if kind == REPORTED else found)
