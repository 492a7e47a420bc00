"""The fields of an order: which slots, or which device, must run which release (see schema.py).

Slots have two forms. In format version 1 they are a list of up to 16 ranges [first, last]. From
version 2 on they are a text: the base64 of a bitmap of 125 bytes, in which slot k is bit k % 8 of
byte k // 8; bit 0 is the lowest one, which counts 1.
"""

import binascii

from modelwave_shared.errors import DocumentError
from modelwave_shared.fields import boolean, name, sha256, text, url
from modelwave_shared.limits import (
    MAX_BYTES,
    MAX_EXTRA_ENTRIES,
    MAX_SEQ,
    MAX_SLOT_RANGES,
    MAX_TIME,
    MAX_TRIAL_INFERENCES,
    MAX_TRIAL_SECONDS,
    MAX_URLS,
    MILLION,
    SLOTS,
)
from modelwave_shared.rules import Integer, ListOf, Object, shown
from modelwave_shared.schema import EPOCH, Kind, target
from modelwave_shared.words import OFFERS, ORDER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from modelwave_shared.fields import Document
    from modelwave_shared.rules import Rule

TIME = Integer(0, MAX_TIME)
TRIAL_SECONDS = Integer(0, MAX_TRIAL_SECONDS)
TRIAL_INFERENCES = Integer(0, MAX_TRIAL_INFERENCES)
BITMAP_FORMAT = 2  # the first format version whose slots are a bitmap
BITMAP_BYTES = SLOTS // 8
# What a shadow may take: the model runs beside the live one, and answers nothing.
SHADOW_SECONDS = Integer(1, MAX_TRIAL_SECONDS)
SHADOW_SHARE_PPM = Integer(1, MILLION)  # of the live model's inputs
SHADOW_RAM = Integer(2**20, MAX_BYTES)  # bytes of its process
SHADOW_LATENCY_US = Integer(1, 10**9)  # of an inference, as a median
SHADOW = Object(
    {
        "seconds": SHADOW_SECONDS,
        "share_ppm": SHADOW_SHARE_PPM,
        "ram": SHADOW_RAM,
        "latency_us": SHADOW_LATENCY_US,
        # Whether outputs agree that have their greatest value at the same place; else as the golden
        # set's tolerance says.
        "classes": boolean,
        "else_trial": boolean,  # a device that cannot do it goes straight to the trial
    }
)
# The fields of `extra` that this program knows. A device that does not know them is only stricter:
# the first failure ends its trial, and what it has banned stays banned (docs/documents.md).
EXTRA: "dict[str, Rule]" = {
    "max_failed_ppm": Integer(0, MILLION),  # of the inferences on trial; 0, or absent: none
    "lift_ban": boolean,  # a device that has banned the release may take it again
    OFFERS: ListOf(text, 1, MAX_EXTRA_ENTRIES),  # of deltas, the best one first (deltas.py)
    # Of an order with `shadow`; without it a device refuses that order.
    "shadow": SHADOW,
}


_TWO_SLOTS = ListOf(Integer(0, SLOTS - 1), 2, 2)


def slot_range(value: "Any", where: str) -> None:
    """A list [first slot, last slot]."""
    _TWO_SLOTS(value, where)
    first, last = value
    if first > last:
        raise DocumentError(where, "its first slot, %d, is above its last, %d" % (first, last))


SLOT_RANGES = ListOf(slot_range, 1, MAX_SLOT_RANGES)


def slot_set(value: "Any", where: str) -> None:
    """Slot ranges or a bitmap."""
    if type(value) is str:
        _bitmap(value, where)
    else:
        SLOT_RANGES(value, where)


def _bitmap(value: str, where: str) -> None:
    try:
        data = binascii.a2b_base64(value)
    except ValueError:
        data = b""
    # The decoder skips characters that are no base64, and ignores the bits that the padding leaves.
    if len(data) != BITMAP_BYTES or binascii.b2a_base64(data, newline=False) != value.encode():
        allowed = "canonical base64 of %d bytes" % BITMAP_BYTES
        raise DocumentError(where, "%s is not the %s" % (shown(value), allowed))
    if not any(data):
        raise DocumentError(where, "the bitmap names no slot")


def _agrees(document: "Document") -> None:
    if ("slots" in document) == ("device" in document):
        raise DocumentError("order.slots", "an order has either slots or a device")
    is_bitmap = type(document.get("slots")) is str
    if "slots" in document and is_bitmap != (document.get("v", 1) >= BITMAP_FORMAT):
        problem = "slot ranges are of format 1, a bitmap is of format %d" % BITMAP_FORMAT
        raise DocumentError("order.slots", problem)
    extra = document.get("extra", {})
    for key in EXTRA:
        if key in extra:
            EXTRA[key](extra[key], "order.extra." + key)
    if "shadow" in extra and not document["shadow"]:
        raise DocumentError("order.extra.shadow", "order.shadow is false")
    issued, expires = document["issued"], document["expires"]
    if expires <= issued:
        problem = "%d is not after order.issued, %d" % (expires, issued)
        raise DocumentError("order.expires", problem)


KIND = Kind(
    ORDER,
    {
        "fleet": name,
        "target": target,
        "model": name,
        "epoch": EPOCH,
        "seq": Integer(1, MAX_SEQ),
        "manifest": sha256,  # of the manifest's payload
        "urls": ListOf(url, 1, MAX_URLS),  # a file is at URL/<sha256>
        "issued": TIME,
        "expires": TIME,
        "trial": Object({"seconds": TRIAL_SECONDS, "inferences": TRIAL_INFERENCES}),
        "shadow": boolean,
    },
    {"slots": slot_set, "device": name},
    _agrees,
)
