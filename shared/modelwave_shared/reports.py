"""What devices say of themselves, unsigned: the report and the metrics, field by field.

report   a device's whole state, retained
metrics  what a device's inferences came to since the last of these
"""

from modelwave_shared import strict_json
from modelwave_shared.fields import check as check_fields
from modelwave_shared.fields import name, sha256, text
from modelwave_shared.limits import MAX_EPOCH, MAX_MODELS, MAX_SEQ
from modelwave_shared.schema import EPOCH, target, token_or_empty
from modelwave_shared.words import METRICS, OUTCOMES, REPORT, STATES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from modelwave_shared.fields import Document

COUNT = (0, MAX_SEQ)


def sha256_or_empty(value: object, where: str) -> None:
    if value != "":
        sha256(value, where)


MODEL = {
    "release": (0, MAX_EPOCH),  # live and confirmed; 0: none
    "sha256": sha256_or_empty,  # of that release's manifest
    "state": STATES,
    "epoch": EPOCH,
    "seq": COUNT,  # the order that outcome and reason speak of; 0: none yet
    "outcome": OUTCOMES + ("",),  # "": under way
    "reason": text,
}

FIELDS = {
    REPORT: {
        "boot": COUNT,  # (boot, n) grows with every report
        "n": COUNT,
        "target": target,
        "agent": text,
        "free": {"flash": COUNT, "ram": COUNT},  # ram: largest piece
        "runtime": token_or_empty,
        "runtime_version": token_or_empty,
        "accelerator": token_or_empty,
        "refused": text,  # why the last message that proved nothing was refused; "": none
        "models": [name, MODEL, 0, MAX_MODELS],
    },
    METRICS: {
        "boot": COUNT,
        "n": COUNT,
        "model": name,
        "release": (0, MAX_EPOCH),
        "inferences": COUNT,
        "failures": COUNT,
        "labelled": COUNT,  # inferences whose right answer was known
        "correct": COUNT,
    },
}


def read(kind: str, payload: bytes) -> "Document":
    """The checked report or metrics in `payload` (bytes). Raises ValueError."""
    value: "Document" = strict_json.loads(payload)
    check(kind, value)
    return value


def check(kind: str, value: "Any") -> None:
    """Raises DocumentError if the parsed `value` is no `kind`."""
    check_fields(FIELDS[kind], value, kind)
