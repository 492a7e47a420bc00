"""Offers of deltas: with one, a device makes a new model from the live one, and downloads little.

An order has them in `extra`, the best one first; a device that does not know the field, or finds
none that it can use, downloads the whole file. Each offer is a text of four words:

    KIND BASE SIZE SHA256

    KIND    how it is applied: 1 by agent/modelwave_agent/patch.py, 2 as bsdiff 4 (hosts only)
    BASE    the first 16 digits of the sha256 of the model that it was made from
    SIZE    its bytes
    SHA256  of its bytes; it is at URL/SHA256, as all files are

No signature is over a delta itself: what counts is the sha256 of the result, which the manifest
has, and the release key has signed that.
"""

from modelwave_shared.fields import HEX
from modelwave_shared.limits import MAX_BYTES

SUBTRACTED, BSDIFF = 1, 2  # the kinds
MAX_OFFERS = 4  # in one order
BASE_DIGITS = 16
_DIGITS = "0123456789"


class Offer:
    """One delta, as an order offers it."""

    def __init__(self, kind: int, base: str, size: int, sha256: str) -> None:
        self.kind = kind
        self.base = base[:BASE_DIGITS]
        self.size = size
        self.sha256 = sha256

    def text(self) -> str:
        return "%d %s %d %s" % (self.kind, self.base, self.size, self.sha256)


def read(text: str) -> "Offer | None":
    """Returns the offer in a text of an order; None for one that this program does not know."""
    words = text.split(" ")
    if len(words) != 4:
        return None
    kind, base, size, sha256 = words
    if len(base) != BASE_DIGITS or len(sha256) != 64 or (base + sha256).strip(HEX):
        return None
    if not (kind and size) or len(kind) > 2 or len(size) > 10 or (kind + size).strip(_DIGITS):
        return None
    offer = Offer(int(kind), base, int(size), sha256)
    return offer if offer.kind and 0 < offer.size <= MAX_BYTES else None
