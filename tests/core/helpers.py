"""Helpers of the core's tests; like these they run on CPython and on MicroPython."""

import json

from modelwave_shared import documents, dsse, reports, words
from modelwave_shared.errors import DocumentError
from modelwave_shared.rules import PRINTABLE
from modelwave_shared.words import HEARTBEAT, MANIFEST, METRICS, ORDER, REPORT, ROOT
from tests.core import signed

SHA256 = "0123456789abcdef" * 4
UNSIGNED = {
    REPORT: {
        "boot": 1,
        "n": 2,
        "target": "linux-cpu",
        "agent": "0.1.0",
        "free": {"flash": 1000, "ram": 1000},
        "runtime": "tflite",
        "runtime_version": "2.14.0",
        "accelerator": "",
        "refused": "",
        "reads": {"order": 1},
        "install": "0123456789abcdef",
        "models": {
            "digits": {
                "release": 0,
                "sha256": "",
                "state": "idle",
                "epoch": 0,
                "seq": 0,
                "outcome": "",
                "reason": "",
            }
        },
    },
    METRICS: {
        "boot": 1,
        "n": 2,
        "model": "digits",
        "release": 3,
        "inferences": 10,
        "failures": 1,
        "labelled": 5,
        "correct": 4,
        "install": "0123456789abcdef",
        "window": 7,
        "windows": 2,
        "seconds": 1800,
        "age_seconds": 3,
        "latency": {"bins": [5, 1, 0, 8], "log": 2302585, "over": [1, 1]},
        "confidence": [14, 3, 6],
        "classes": {"3": 5, "cat": 3},
        "classes_rest": 1,
        "shadow": {"compared": 8, "agreed": 7},
        "numbers": {"power_mw": [9, 310000000, 5000000, 300000000, 320000000, 5736572]},
    },
}
ENVELOPES = {
    ROOT: signed.ROOT,
    MANIFEST: signed.MANIFEST,
    ORDER: signed.ORDER,
    HEARTBEAT: signed.HEARTBEAT,
}


KINDS = list(words.SIGNER) + list(reports.KINDS)
# Thousands of documents are read here: their code stays, as it does on CPython. That it comes and
# goes on a board is tested by test_phase.py and tests/board.
for phase in (dsse.SCANNING, documents.PARSING, documents.CHECKING):
    phase.__enter__()


def refused(error, function, *arguments):
    """The message with which `function` raises `error`."""
    try:
        found = function(*arguments)
    except error as raised:
        return str(raised)
    raise AssertionError(f"not refused: {arguments!r} gave {found!r}")


def all_refused(rule, *values):
    """Checks that a field's rule refuses each value, with a message that is safe for a log."""
    for value in values:
        message = refused(DocumentError, rule, value, "order.field")
        assert message.startswith("order.field"), message
        assert len(message) < 200, message
        assert not message.strip(PRINTABLE), message


def passes(rule, *values):
    for value in values:
        rule(value, "order.field")


def payload(kind):
    if kind in ENVELOPES:
        return dsse.read(ENVELOPES[kind]).payload
    return json.dumps(UNSIGNED[kind]).encode()


def sample(kind):
    """Returns a valid document that the test may change."""
    return reading(kind).read(kind, payload(kind))


def changed(kind, path, value):
    """The sample with another value at a path such as "needs.ram" or "files.0.size"."""
    document = place = sample(kind)
    steps = path.split(".")
    for step in steps[:-1]:
        place = place[int(step) if step.isdigit() else step]
    last = steps[-1]
    place[int(last) if last.isdigit() else last] = value
    return document


def check(kind, value):
    reading(kind).check(kind, value)


def reading(kind):
    return documents if kind in words.SIGNER else reports


def accepted(kind, path, *values):
    """Checks that each of the values is accepted at the path."""
    for value in values:
        check(kind, changed(kind, path, value))


def none_accepted(kind, path, *values):
    """Checks that each value is refused, and that the error's message names a field of the
    document."""
    for value in values:
        message = refused(DocumentError, check, kind, changed(kind, path, value))
        assert message.startswith(kind + "."), message
