"""Reads the messages of devices: reports, presence and metrics.

Pure: takes topics and bytes, returns values. A message that cannot be read becomes a `Bad` with
the reason in printable ASCII, because its text is not trusted and is shown to people.
"""

from dataclasses import dataclass

from modelwave_controller.trust.documents import Metrics, Report, view
from modelwave_shared import fields, reports, topics
from modelwave_shared.errors import DocumentError, advised
from modelwave_shared.limits import MAX_REPORT_BYTES, MAX_TEXT
from modelwave_shared.words import METRICS, REPORT

PRESENCE = {b"online": True, b"offline": False}


@dataclass(frozen=True)
class ReportMessage:
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


Incoming = ReportMessage | Present | Measured | Bad


def understand(fleet: str, topic: str, payload: bytes) -> Incoming | None:
    """Reads a message. Returns None if it is empty (a retained topic was cleared) or the topic is
    not a device's."""
    kind, _, device = "/".join(topics.parts(fleet, topic)).partition("/")
    if not payload or not _is_name(device):
        return None
    if len(payload) > MAX_REPORT_BYTES:
        return Bad(device, f"{kind}: longer than {MAX_REPORT_BYTES} bytes")
    try:
        if kind == "reported":
            return ReportMessage(device, view(Report, reports.read(REPORT, payload)))
        if kind == "metrics":
            return Measured(device, _metrics(payload))
        if kind == "presence":
            return Present(device, PRESENCE[payload])
    except KeyError:
        return Bad(device, "presence: neither online nor offline")
    except ValueError as error:
        return Bad(device, _printable(f"{kind}: {advised(error, 'controller')}"))
    return None


def _metrics(payload: bytes) -> Metrics:
    """Reads metrics. Raises ValueError, also for a part that is more than its whole."""
    found = view(Metrics, reports.read(METRICS, payload))
    for part, whole in (("failures", "inferences"), ("correct", "labelled")):
        some, every = getattr(found, part), getattr(found, whole)
        if some > every:
            raise DocumentError(f"metrics.{part}", f"{some}, more than {whole}: {every}")
    return found


def _is_name(device: str) -> bool:
    try:
        fields.name(device, "device")
    except DocumentError:
        return False
    return True


def _printable(text: str) -> str:
    return "".join(c if " " <= c <= "~" else "?" for c in text[:MAX_TEXT])
