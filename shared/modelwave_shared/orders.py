"""The fields of an order: which slots, or which device, must run which release (see schema.py)."""

from modelwave_shared.errors import DocumentError
from modelwave_shared.fields import boolean, name, sha256, url
from modelwave_shared.limits import (
    MAX_BYTES,
    MAX_SEQ,
    MAX_SLOT_RANGES,
    MAX_TIME,
    MAX_TRIAL_INFERENCES,
    MAX_TRIAL_SECONDS,
    MAX_URLS,
    MILLION,
    SLOTS,
)
from modelwave_shared.rules import Integer, ListOf, Object
from modelwave_shared.schema import EPOCH, Kind, target
from modelwave_shared.words import ORDER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from modelwave_shared.fields import Document
    from modelwave_shared.rules import Rule

TIME = Integer(0, MAX_TIME)
TRIAL_SECONDS = Integer(0, MAX_TRIAL_SECONDS)
TRIAL_INFERENCES = Integer(0, MAX_TRIAL_INFERENCES)
# What a shadow may take: the model runs beside the live one, and answers nothing.
SHADOW_SECONDS = Integer(60, MAX_TRIAL_SECONDS)
SHADOW_SHARE_PPM = Integer(1, MILLION)  # of the live model's inputs
SHADOW_RAM = Integer(2**20, MAX_BYTES)  # bytes of its process
SHADOW_LATENCY_US = Integer(1, 10**9)  # mean of an inference
SHADOW = Object(
    {
        "seconds": SHADOW_SECONDS,
        "share_ppm": SHADOW_SHARE_PPM,
        "ram": SHADOW_RAM,
        "latency_us": SHADOW_LATENCY_US,
        "else_trial": boolean,  # a device that cannot do it goes straight to the trial
    }
)
# The fields of `extra` that this program knows. A device that does not know them is only stricter:
# the first failure ends its trial, and what it has banned stays banned (docs/documents.md).
EXTRA: "dict[str, Rule]" = {
    "max_failed_ppm": Integer(0, MILLION),  # of the inferences on trial; 0, or absent: none
    "lift_ban": boolean,  # a device that has banned the release may take it again
    # Of an order with `shadow`; without it a device refuses that order.
    "shadow": SHADOW,
}


def slot_range(value: "Any", where: str) -> None:
    """A list [first slot, last slot]."""
    ListOf(Integer(0, SLOTS - 1), 2, 2)(value, where)
    first, last = value
    if first > last:
        raise DocumentError(where, "its first slot, %d, is above its last, %d" % (first, last))


def _agrees(document: "Document") -> None:
    if ("slots" in document) == ("device" in document):
        raise DocumentError("order.slots", "an order has either slots or a device")
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
    {"slots": ListOf(slot_range, 1, MAX_SLOT_RANGES), "device": name},
    _agrees,
)
