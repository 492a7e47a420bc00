"""Whether an order is taken: the checks in their order, cheapest first.

    lines       two lines, each no longer than an envelope may be
    envelope    both are DSSE envelopes, by byte template; no JSON parser yet
    kind        an order, then a manifest
    judged      the same payload was not judged before
    signed      enough distinct keys of the order role, under this device's root
    fields      now it is parsed: a format that is read here, exact types, ranges, known fields
    addressed   this fleet, target and model, and this slot or device
    sequence    the root's epoch; above the durable floor, or the same order again
    time        not expired, against the latest time that can be trusted
    manifest    the one the order names, signed by the release role, for this target
    minimum     not below the least release that the root allows
    blacklist   did not fail a health check here
    fit         runtime, accelerator, kernels, flash, largest piece of RAM

The first that fails raises Refused and nothing after it runs. What fails before `sequence`
has passed proves nothing about any order, so it gets no outcome, only a note in the
report; what fails after it is an authentic order that is not for this device: REJECTED.
Only authentic payloads are remembered as judged, or a stranger could spoil an order by
sending its payload first under a bad signature; and none that may fit or be valid later
(PASSING). An order that is under way was judged when it was taken: when it comes again
after a reset, only its signatures and addresses are looked at again, as a newer model may
hold the RAM by then, or the time may be over.
"""

from modelwave_shared import documents, dsse
from modelwave_shared.errors import advised
from modelwave_shared.lean import Phase
from modelwave_shared.limits import MAX_ENVELOPE_BYTES
from modelwave_shared.words import MANIFEST, ORDER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from typing import Any

    from modelwave_agent.ports import Breathe
    from modelwave_agent.record import Record
    from modelwave_shared.fields import Document

    Device = dict[str, Any]  # {fleet, device, target, slot}

TERMS = Phase("modelwave_agent.terms", "modelwave_shared.fit")


class Refused(Exception):
    """The order is not taken. `check` is the row above, `reason` says why, `order` is the
    parsed order once it is known to be authentic and new, else None."""

    def __init__(self, check: str, reason: str, order: "Document | None" = None) -> None:
        super().__init__("%s: %s" % (check, reason))
        self.check = check
        self.reason = "%s: %s" % (check, reason)
        self.order = order


class Judged(Exception):
    """The same order again, and there is nothing to do about it."""


class Case:
    """An order and all that it is judged by."""

    def __init__(
        self,
        message: bytes,
        model: str,
        device: "Device",
        root: "Document",
        record: "Record",
        has: "Document",
        judged: "Container[str]" = (),
        wall: "int | None" = None,
    ) -> None:
        """`message`: the received bytes. `model`: the topic's. `device`: {fleet, device,
        target, slot}. `root`: the checked root document. `record`: the model's journal
        record. `has`: what the device has (modelwave_shared.fit). `judged`: digests of
        payloads refused before. `wall`: Unix seconds, or None where no clock can be
        trusted."""
        self.message = message
        self.model = model
        self.device = device
        self.root = root
        self.record = record
        self.has = has
        self.judged = judged
        self.wall = wall
        # The checks fill these in; each finds what those before it have left.
        self.envelopes: "Any" = None  # two lines of bytes, then two dsse.Envelopes
        self.order: "Any" = None
        self.manifest: "Any" = None

    @property
    def under_way(self) -> bool:
        """Whether the device is at work on this very order."""
        record = self.record
        return bool(record["state"] != "idle" and record["order"]["sha256"] == self.digest)

    @property
    def digest(self) -> str:
        order: dsse.Envelope = self.envelopes[0]
        return order.digest()


async def judge(case: Case, breathe: "Breathe") -> None:
    """Fills in `case.order` and `case.manifest` (checked dicts), or raises Refused or Judged.
    `breathe` is awaited between the checks."""
    for name in CHECKS:
        # Of one that is under way, who signed it and for whom is asked again.
        if name == "manifest" or name not in PROVEN or not case.under_way:
            _check(name, case)
            await breathe()


def _check(name: str, case: Case) -> None:
    try:
        check = HERE.get(name)
        if check:
            check(case)
        else:
            with TERMS:
                _check_terms(name, case)
    except ValueError as error:
        raise Refused(name, advised(error, "agent"), case.order if name in PROVEN else None)


def _check_terms(name: str, case: Case) -> None:
    from modelwave_agent import terms

    terms.CHECKS[name](case)


# Each check raises ValueError, which says what is wrong.


def lines(case: Case) -> None:
    if len(case.message) > 2 * MAX_ENVELOPE_BYTES + 1:
        raise ValueError("%d bytes are too many" % len(case.message))
    case.envelopes = bytes(case.message).split(b"\n")
    if len(case.envelopes) != 2:
        raise ValueError("an order and its manifest are two lines")


def envelope(case: Case) -> None:
    case.envelopes = [dsse.read(line) for line in case.envelopes]


def kind(case: Case) -> None:
    for found, wanted in zip(case.envelopes, (ORDER, MANIFEST)):
        documents.require_kind(found, wanted)


def judged(case: Case) -> None:
    digest, record = case.digest, case.record
    if digest in case.judged:
        raise Judged()
    if digest == record["order"]["sha256"] and record["state"] == "idle" and record["outcome"]:
        raise Judged()


def signed(case: Case) -> None:
    documents.verify(case.envelopes[0], case.root)


def fields(case: Case) -> None:
    case.order = documents.read(ORDER, case.envelopes[0].payload)


def manifest(case: Case) -> None:
    given, order = case.envelopes[1], case.order
    if given.digest() != order["manifest"]:
        raise ValueError("not the one that the order names")
    case.manifest = found = documents.open_signed(MANIFEST, given, case.root)
    for field in ("fleet", "model", "target"):
        if found[field] != order[field]:
            raise ValueError("its %s is %s, the order's is not" % (field, found[field]))


CHECKS = (
    "lines",
    "envelope",
    "kind",
    "judged",
    "signed",
    "fields",
    "addressed",
    "sequence",
    "time",
    "manifest",
    "minimum",
    "blacklist",
    "fit",
)
# Those of bytes and signatures; the others look at what an order says (terms.py).
HERE: "dict[str, Callable[[Case], None]]" = {
    "lines": lines,
    "envelope": envelope,
    "kind": kind,
    "judged": judged,
    "signed": signed,
    "fields": fields,
    "manifest": manifest,
}

# Of an order that is known to be authentic and new.
PROVEN = CHECKS[8:]
# What may pass later, though it does not now.
PASSING = ("time", "minimum", "fit")
