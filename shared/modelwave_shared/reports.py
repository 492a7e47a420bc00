"""What devices say of themselves, unsigned: the report and the metrics, field by field.

report   a device's whole state, retained
metrics  what a device's inferences came to since the last of these
"""

from modelwave_shared import strict_json
from modelwave_shared.fields import name, text
from modelwave_shared.limits import MAX_EPOCH, MAX_MODELS, MAX_READS
from modelwave_shared.rules import Integer, MapOf, Object, OneOf
from modelwave_shared.schema import (
    COUNT,
    EPOCH,
    FORMAT_VERSION,
    Kind,
    sha256_or_empty,
    target,
    token_or_empty,
)
from modelwave_shared.words import METRICS, OUTCOMES, REPORT, STATES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from modelwave_shared.fields import Document

RELEASE_OR_NONE = Integer(0, MAX_EPOCH)  # live and confirmed; 0: none

MODEL = Object(
    {
        "release": RELEASE_OR_NONE,
        "sha256": sha256_or_empty,  # of that release's manifest
        "state": OneOf(*STATES),
        "epoch": EPOCH,
        "seq": COUNT,  # the order that outcome and reason speak of; 0: none yet
        "outcome": OneOf("", *OUTCOMES),  # "": under way
        "reason": text,
    },
    # While a fault that may pass is tried again: failed tries, and seconds until the next one.
    {"tries": COUNT, "next_seconds": COUNT},
)

KINDS = {
    REPORT: Kind(
        REPORT,
        {
            "boot": COUNT,  # (boot, n) grows with every report
            "n": COUNT,
            "target": target,
            "agent": text,
            "free": Object({"flash": COUNT, "ram": COUNT}),  # ram: largest piece
            "runtime": token_or_empty,
            "runtime_version": token_or_empty,
            "accelerator": token_or_empty,
            # Why the last message that proved nothing was refused; "": none.
            "refused": text,
            "models": MapOf(name, MODEL, 0, MAX_MODELS),
        },
        # {kind: the highest format that the device reads}; a kind that is absent: 1.
        {"reads": MapOf(name, FORMAT_VERSION, 0, MAX_READS)},
    ),
    METRICS: Kind(
        METRICS,
        {
            "boot": COUNT,
            "n": COUNT,
            "model": name,
            "release": RELEASE_OR_NONE,
            "inferences": COUNT,
            "failures": COUNT,
            "labelled": COUNT,  # inferences whose right answer was known
            "correct": COUNT,
        },
    ),
}


def read(kind: str, payload: bytes) -> "Document":
    """The checked report or metrics in `payload` (bytes). Raises ValueError."""
    value: "Document" = strict_json.loads(payload)
    check(kind, value)
    return value


def check(kind: str, value: "Any") -> None:
    """Raises DocumentError if the parsed `value` is no `kind`."""
    KINDS[kind].check(value)
