"""The fields of the documents that devices send, unsigned: the report and the metrics.

report   the whole state of a device; retained
metrics  a window: what a device measured of one release for some minutes (window_format.py)
"""

from modelwave_shared import strict_json
from modelwave_shared.errors import DocumentError
from modelwave_shared.fields import HEX, name, text
from modelwave_shared.limits import MAX_BYTES, MAX_EPOCH, MAX_MODELS, MAX_READS, MAX_SEQ, MILLION
from modelwave_shared.rules import Integer, ListOf, MapOf, Object, OneOf, shown
from modelwave_shared.schema import (
    COUNT,
    EPOCH,
    FORMAT_VERSION,
    Kind,
    sha256_or_empty,
    target,
    token_or_empty,
)
from modelwave_shared.window_format import (
    BINS,
    MAX_CLASSES,
    MAX_LOG,
    MAX_METRICS_BYTES,
    MAX_NUMBER,
    MAX_NUMBERS,
    MAX_WORD,
    is_word,
)
from modelwave_shared.words import METRICS, OUTCOMES, REPORT, STATES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from modelwave_shared.fields import Document
    from modelwave_shared.rules import Rule

INSTALL_CHARACTERS = 16


def install_id(value: "Any", where: str) -> None:
    """The random id that a device draws when its state folder is new."""
    if type(value) is not str or len(value) != INSTALL_CHARACTERS or value.strip(HEX):
        raise DocumentError(where, "%s is no install id: 16 digits of 0-9 a-f" % shown(value))


def word(value: "Any", where: str) -> None:
    """The name of a class or of a number that a program measures."""
    if type(value) is not str or not is_word(value):
        allowed = "1 to %d characters of a-z A-Z 0-9 _ . -" % MAX_WORD
        raise DocumentError(where, "%s is no name: %s" % (shown(value), allowed))


_BINS = ListOf(Integer(0, MAX_SEQ), 2, BINS + 1)


def histogram(value: "Any", where: str) -> None:
    """The number of the first bin, then the counts from it on (window_format.py)."""
    _BINS(value, where)
    if value[0] + len(value) - 1 > BINS:
        told = "%d bins from %d on, there are %d" % (len(value) - 1, value[0], BINS)
        raise DocumentError(where, told)
    if not (value[1] and value[-1]):
        raise DocumentError(where, "its first and its last bin must not be empty")


_LOG = Integer(-MAX_LOG, MAX_LOG)
_COUNTS = ListOf(COUNT, 2, 2)
_VALUE = Integer(-MAX_NUMBER * MILLION, MAX_NUMBER * MILLION)
_NUMBER = ListOf(Integer(-MAX_SEQ, MAX_SEQ), 5, 6)


_LATENCY = Object(
    {"bins": histogram, "log": _LOG},  # log: mean of ln(ms), in millionths
    {"over": _COUNTS},  # above the manifest's limit, and how many were compared with it
)


def latency(value: "Any", where: str) -> None:
    _LATENCY(value, where)
    over, compared = value.get("over", (0, 0))
    if not over <= compared <= sum(value["bins"][1:]):
        told = "%d above the limit of %d compared, and %d inferences"
        raise DocumentError(where + ".over", told % (over, compared, sum(value["bins"][1:])))


def number(value: "Any", where: str) -> None:
    """Count, mean, standard deviation, least, greatest, and if all are positive the mean of the
    natural logarithms; but for the count in millionths."""
    _NUMBER(value, where)
    count, mean, deviation, least, most = value[:5]
    for one, rule in (
        (count, Integer(1, MAX_SEQ)),
        (least, _VALUE),
        (most, Integer(least, MAX_NUMBER * MILLION)),
        (mean, Integer(least, most)),
        (deviation, Integer(0, most - least)),
    ):
        rule(one, where)
    if len(value) == 6:
        _LOG(value[5], where)
        if least <= 0:
            raise DocumentError(where, "has a mean logarithm, and a value that is not positive")


WINDOW: "dict[str, Rule]" = {
    "window": Integer(1, MAX_EPOCH),  # the number of its first window since the device's start
    "windows": Integer(2, MAX_EPOCH),  # how many it spans; absent: 1
    "seconds": Integer(1, MAX_EPOCH),  # its length; absent: labels that came late
    "age_seconds": Integer(0, MAX_EPOCH),  # since its end, when the document was sent
    "latency": latency,
    "confidence": histogram,
    "classes": MapOf(word, Integer(1, MAX_SEQ), 1, MAX_CLASSES),
    "classes_rest": Integer(1, MAX_SEQ),  # inferences with other predicted classes
    "numbers": MapOf(word, number, 1, MAX_NUMBERS),
    # The release ran beside the live one. Outputs that were compared with those of the live one,
    # and those of them that agreed.
    "shadow": Object({"compared": COUNT, "agreed": COUNT}),
}


def check_window(document: "Document") -> None:
    """The conditions between the fields of metrics."""
    if "window" not in document:
        for field in WINDOW:
            if field in document:
                raise DocumentError("metrics.window", "missing, but there is %s" % field)
        return
    if "age_seconds" not in document:
        raise DocumentError("metrics.age_seconds", "missing")
    for part, whole in (("failures", "inferences"), ("correct", "labelled")):
        if document[part] > document[whole]:
            told = "%d, that is more than %s: %d" % (document[part], whole, document[whole])
            raise DocumentError("metrics." + part, told)
    if "shadow" in document:
        _check_shadow(document["shadow"], document["inferences"] - document["failures"])


def _check_shadow(shadow: "Document", answered: int) -> None:
    compared, agreed = shadow["compared"], shadow["agreed"]
    if compared > answered:
        told = "%d, but %d inferences did not fail" % (compared, answered)
        raise DocumentError("metrics.shadow.compared", told)
    if agreed > compared:
        told = "%d, that is more than compared: %d" % (agreed, compared)
        raise DocumentError("metrics.shadow.agreed", told)


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
    # `saved`: the bytes of the live release's download that a delta has spared; absent: none.
    {"tries": COUNT, "next_seconds": COUNT, "saved": Integer(0, MAX_BYTES)},
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
        dict([("install", install_id)] + list(WINDOW.items())),
        check_window,
    ),
}


def read(kind: str, payload: bytes) -> "Document":
    """Returns the checked report or metrics in `payload` (bytes). Raises ValueError."""
    if kind == METRICS and len(payload) > MAX_METRICS_BYTES:
        told = "%d bytes, allowed are %d" % (len(payload), MAX_METRICS_BYTES)
        raise DocumentError(kind, told)
    value: "Document" = strict_json.loads(payload)
    check(kind, value)
    return value


def check(kind: str, value: "Any") -> None:
    """Raises DocumentError if the parsed `value` is not a valid document of `kind`."""
    KINDS[kind].check(value)
