"""The checks of an order's bytes, signatures and fields (checks.py lists all checks).

Each check raises ValueError with the problem, or stores in the case what it has decoded.
"""

from modelwave_agent.case import AlreadyJudged
from modelwave_shared import documents, dsse
from modelwave_shared.limits import MAX_ENVELOPE_BYTES
from modelwave_shared.words import FAILED, MANIFEST, ORDER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_agent.case import Case

MAX_MESSAGE_BYTES = 2 * MAX_ENVELOPE_BYTES + 1  # two envelopes and the end of the first line


def lines(case: "Case") -> None:
    size = len(case.message)
    if size > MAX_MESSAGE_BYTES:
        raise ValueError("the message has %d bytes, the limit is %d" % (size, MAX_MESSAGE_BYTES))
    case.lines = bytes(case.message).split(b"\n")
    if len(case.lines) != 2:
        raise ValueError(
            "the message has %d lines, it must have an order and its manifest on two"
            % len(case.lines)
        )


def envelope(case: "Case") -> None:
    case.envelopes = [dsse.read(line) for line in case.lines]
    case.lines = []  # a board has no memory for both


def kind(case: "Case") -> None:
    for found, wanted in zip(case.envelopes, (ORDER, MANIFEST)):
        documents.require_kind(found, wanted)


def judged(case: "Case") -> None:
    digest, record = case.digest, case.record
    if digest in case.judged:
        raise AlreadyJudged()
    # FAILED is not final, so that order may be taken again.
    is_over = record["state"] == "idle" and record["outcome"] not in ("", FAILED)
    if is_over and digest == record["order"]["sha256"]:
        raise AlreadyJudged()


def signed(case: "Case") -> None:
    documents.verify(case.envelopes[0], case.device.root)


def fields(case: "Case") -> None:
    case.order = documents.read(ORDER, case.envelopes[0].payload)


def paired(case: "Case") -> None:
    given = case.envelopes[1]
    if given.digest() != case.order["manifest"]:
        raise ValueError("the second line is not the manifest that the order names")
    documents.verify(given, case.device.root)


def manifest(case: "Case") -> None:
    order = case.order
    case.manifest = found = documents.read(MANIFEST, case.envelopes[1].payload)
    # The manifest stays in memory in an update, and of `extra` one number is used.
    limit = found.pop("extra", {}).get("latency_limit_us")
    found["limit_us"] = limit if type(limit) is int else 0
    for field in ("fleet", "model", "target"):
        if found[field] != order[field]:
            raise ValueError(
                "it is for %s %s, but the order is for %s" % (field, found[field], order[field])
            )
