"""What devices say, read from their topics; and what a report answers to an order.

Pure: topics and bytes in, values out. Whatever cannot be read becomes a `Bad` with its
reason, in printable ASCII: it comes from a stranger, and is shown to people.
"""

from dataclasses import dataclass
from typing import NamedTuple

from modelwave_controller.rollout.events import IN_PROGRESS
from modelwave_controller.trust.documents import Metrics, ModelState, Report, view
from modelwave_shared import fields, reports, slots, topics
from modelwave_shared.errors import DocumentError, advised
from modelwave_shared.limits import MAX_REPORT_BYTES, MAX_TEXT
from modelwave_shared.words import METRICS, REPORT, SUCCEEDED

PRESENCE = {b"online": True, b"offline": False}
CLAIM = "says SUCCEEDED, but another release is live"


@dataclass(frozen=True)
class Reported:
    device: str
    report: Report


@dataclass(frozen=True)
class Present:
    device: str
    online: bool


@dataclass(frozen=True)
class Measured:
    device: str
    metrics: Metrics


@dataclass(frozen=True)
class Bad:
    device: str
    reason: str


Incoming = Reported | Present | Measured | Bad


class Order(NamedTuple):
    """An order that was given out, as answers are held against it."""

    rollout: int
    model: str
    seq: int
    epoch: int
    target: str
    manifest: str
    slots: list[list[int]]


def read(fleet: str, topic: str, payload: bytes) -> Incoming | None:
    """What a message says; None for an empty one (a retained topic that was cleared), and on
    a topic that is no device's."""
    kind, _, device = "/".join(topics.parts(fleet, topic)).partition("/")
    if not payload or not _is_name(device):
        return None
    if len(payload) > MAX_REPORT_BYTES:
        return Bad(device, f"{kind}: longer than {MAX_REPORT_BYTES} bytes")
    try:
        if kind == "reported":
            return Reported(device, view(Report, reports.read(REPORT, payload)))
        if kind == "metrics":
            return Measured(device, view(Metrics, reports.read(METRICS, payload)))
        if kind == "presence":
            return Present(device, PRESENCE[payload])
    except KeyError:
        return Bad(device, "presence: neither online nor offline")
    except ValueError as error:
        return Bad(device, _printable(f"{kind}: {advised(error, 'controller')}"))
    return None


def answer(order: Order, target: str, slot: int, state: ModelState) -> tuple[str, str] | None:
    """(outcome or IN_PROGRESS, reason): what a device of `target` in `slot` says to `order`;
    None if the order was not for it. SUCCEEDED counts only with the ordered release live:
    the next stage may open upon it."""
    if state.epoch != order.epoch or state.seq != order.seq or target != order.target:
        return None
    if not slots.contains(order.slots, slot):
        return None
    if state.outcome == SUCCEEDED and state.sha256 != order.manifest:
        return IN_PROGRESS, CLAIM
    return state.outcome or IN_PROGRESS, state.reason


def _is_name(device: str) -> bool:
    try:
        fields.name(device, "device")
    except DocumentError:
        return False
    return True


def _printable(text: str) -> str:
    return "".join(c if " " <= c <= "~" else "?" for c in text[:MAX_TEXT])
