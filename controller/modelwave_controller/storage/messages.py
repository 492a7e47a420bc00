"""Reads the messages of devices: reports, presence and metrics.

Pure: takes topics and bytes, returns values. A message that cannot be read becomes a `Bad` with
the reason in printable ASCII, because its text is not trusted and is shown to people. Whether a
report or a window proves which device sent it, proven.py finds out.
"""

import hmac
from dataclasses import dataclass, field

from modelwave_controller.trust.documents import Metrics, Report, view
from modelwave_shared import fields, proofs, reports, topics
from modelwave_shared.errors import DocumentError, advised
from modelwave_shared.limits import MAX_REPORT_BYTES, MAX_TEXT
from modelwave_shared.words import METRICS, REPORT

PRESENCE = {b"online": True, b"offline": False}


@dataclass(frozen=True)
class Seal:
    """What a message proves its device with; `proof` is empty if it has none."""

    topic: str = ""
    document: bytes = field(default=b"", repr=False)
    proof: bytes = field(default=b"", repr=False)

    def is_of(self, key: bytes) -> bool:
        """Returns whether the device with this key sent the message."""
        return hmac.compare_digest(proofs.proof(key, self.topic, self.document), self.proof)


@dataclass(frozen=True)
class ReportMessage:
    """`proven`: what it is by its number, of installs.py, among the device's proven reports; "" if
    it is not proven, or nobody asked."""

    device: str
    report: Report
    seal: Seal = Seal()
    proven: str = ""


@dataclass(frozen=True)
class Present:
    device: str
    online: bool


@dataclass(frozen=True)
class Measured:
    device: str
    metrics: Metrics
    seal: Seal = Seal()


@dataclass(frozen=True)
class Bad:
    device: str
    reason: str


@dataclass(frozen=True)
class Unproven:
    """A report or a window that does not prove that its device sent it, and why."""

    device: str
    reason: str


Incoming = ReportMessage | Present | Measured | Bad | Unproven


def understand(fleet: str, topic: str, payload: bytes) -> Incoming | None:
    """Reads a message. Returns None if it is empty (a retained topic was cleared) or the topic is
    not a device's."""
    kind, _, device = "/".join(topics.parts(fleet, topic)).partition("/")
    if not payload or not _is_name(device):
        return None
    document, proof = proofs.split(payload)
    if len(document) > MAX_REPORT_BYTES:
        return Bad(device, f"{kind}: longer than {MAX_REPORT_BYTES} bytes")
    try:
        if kind == "reported":
            report = view(Report, reports.read(REPORT, document))
            return ReportMessage(device, report, Seal(topic, document, proof))
        if kind == "metrics":
            return Measured(device, _metrics(document), Seal(topic, document, proof))
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
