"""The fields of the documents that devices send, unsigned: the report and the metrics.

report   the whole state of a device; retained
metrics  counts of a device's inferences since its last metrics document
"""

from modelwave_shared import strict_json
from modelwave_shared.errors import DocumentError
from modelwave_shared.fields import HEX, name, text
from modelwave_shared.limits import MAX_EPOCH, MAX_MODELS, MAX_READS
from modelwave_shared.rules import Integer, MapOf, Object, OneOf, shown
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

INSTALL_CHARACTERS = 16


def install_id(value: "Any", where: str) -> None:
    """The random id that a device draws when its state folder is new."""
    if type(value) is not str or len(value) != INSTALL_CHARACTERS or value.strip(HEX):
        raise DocumentError(where, "%s is no install id: 16 digits of 0-9 a-f" % shown(value))


RELEASE_OR_NONE = Integer(0, MAX_EPOCH)  # live and confirmed; 0: none

MODEL = Object(
    {
        "release": RELEASE_OR_NONE,
        "sha256": sha256_or_empty,  # of that release's manifest
        "state": OneOf(*STATES),
        "epoch": EPOCH,
        "seq": COUNT,  # of the order that outcome and reason belong to; 0: none yet
        "outcome": OneOf("", *OUTCOMES),  # "": in progress
        "reason": text,
    },
    # While a fault that may pass is tried again: failed tries, and seconds until the next one.
    {"tries": COUNT, "next_seconds": COUNT},
)

KINDS = {
    REPORT: Kind(
        REPORT,
        {
            "boot": COUNT,  # (boot, n) increases with every document of one install
            "n": COUNT,
            "target": target,
            "agent": text,
            "free": Object({"flash": COUNT, "ram": COUNT}),  # ram: largest piece
            "runtime": token_or_empty,
            "runtime_version": token_or_empty,
            "accelerator": token_or_empty,
            # Why the last message was refused that was not proven authentic; "": none.
            "refused": text,
            "models": MapOf(name, MODEL, 0, MAX_MODELS),
        },
        # {kind: the highest format version that the device reads}; 1 for an absent kind.
        {"reads": MapOf(name, FORMAT_VERSION, 0, MAX_READS), "install": install_id},
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
        {"install": install_id},
    ),
}


def read(kind: str, payload: bytes) -> "Document":
    """Returns the checked report or metrics in `payload` (bytes). Raises ValueError."""
    value: "Document" = strict_json.loads(payload)
    check(kind, value)
    return value


def check(kind: str, value: "Any") -> None:
    """Raises DocumentError if the parsed `value` is not a valid document of `kind`."""
    KINDS[kind].check(value)
