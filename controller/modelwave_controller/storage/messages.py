"""Reads the messages of devices: reports, presence and metrics.

Most reports repeat the one before, but for their number and what is free; of a device whose last
report is remembered by its digest, such a report is a Repeat, and needs no further checks.

Pure: takes topics and bytes, returns values. A message that cannot be read becomes a `Bad` with
the reason in printable ASCII, because its text is not trusted and is shown to people. Whether a
report or a window proves which device sent it, proven.py finds out.
"""

import hashlib
import hmac
import marshal
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from modelwave_controller.trust import quick_documents, quick_json
from modelwave_controller.trust.documents import Metrics, Report, view
from modelwave_shared import fields, proofs, reports, topics
from modelwave_shared.errors import DocumentError, advised
from modelwave_shared.limits import MAX_REPORT_BYTES, MAX_SEQ, MAX_TEXT
from modelwave_shared.window_format import MAX_METRICS_BYTES
from modelwave_shared.words import METRICS, REPORT

PRESENCE = {b"online": True, b"offline": False}
_OF_EACH_REPORT = ("boot", "n", "free")


@dataclass(slots=True)
class Seal:
    """What a message proves its device with; `proof` is empty if it has none."""

    topic: str = ""
    document: bytes = field(default=b"", repr=False)
    proof: bytes = field(default=b"", repr=False)

    def is_of(self, key: bytes) -> bool:
        """Returns whether the device with this key sent the message."""
        return hmac.compare_digest(proofs.proof(key, self.topic, self.document), self.proof)


NO_SEAL = Seal()


class ReportMessage(NamedTuple):
    """`proven`: what it is by its number, of installs.py, among the device's proven reports; "" if
    it is not proven, or nobody asked. `said`: the digest of what it says."""

    device: str
    report: Report
    seal: Seal = NO_SEAL
    proven: str = ""
    said: bytes = b""


@dataclass(slots=True)
class Repeat:
    """A report that says what the one before says. It may be an older one. `checked`: its document
    was, and not only what is new of it."""

    device: str
    boot: int
    n: int
    free_flash: int
    free_ram: int
    seal: Seal
    document: dict[str, Any]
    said: bytes
    checked: bool

    def whole(self) -> "ReportMessage | Bad":
        """Returns it as a report like others."""
        return _report(self.device, self.document, self.seal, self.said, self.checked)


@dataclass(frozen=True)
class Present:
    device: str
    online: bool


class Measured(NamedTuple):
    device: str
    metrics: Metrics
    seal: Seal = NO_SEAL


@dataclass(frozen=True)
class Bad:
    """`number`: of messages that are ignored for this reason."""

    device: str
    reason: str
    number: int = 1


@dataclass(frozen=True)
class Unproven:
    """A report or a window that does not prove that its device sent it, and why."""

    device: str
    reason: str


Incoming = ReportMessage | Present | Measured | Bad | Unproven


def understand(
    fleet: str,
    topic: str,
    payload: bytes,
    last_said: Callable[[str], bytes | None] = lambda _device: None,
) -> Incoming | Repeat | None:
    """Reads a message. Returns None if it is empty (a retained topic was cleared) or the topic is
    not a device's. `last_said` returns the digest of a device's last report, if it is known."""
    start = _start(fleet)
    kind, _, device = topic.removeprefix(start).partition("/")
    if not payload or not topic.startswith(start):
        return None
    said = last_said(device)  # of a device whose name was checked
    if said is None and not _is_name(device):
        return None
    document, proof = proofs.split(payload)
    if len(document) > MAX_REPORT_BYTES:
        return Bad(device, f"{kind}: longer than {MAX_REPORT_BYTES} bytes")
    try:
        if kind == "reported":
            return _reported(device, document, Seal(topic, document, proof), said)
        if kind == "metrics":
            return Measured(device, _metrics(document), Seal(topic, document, proof))
        if kind == "presence":
            return Present(device, PRESENCE[payload])
    except KeyError:
        return Bad(device, "presence: neither online nor offline")
    except ValueError as error:
        return Bad(device, _printable(f"{kind}: {advised(error, 'controller')}"))
    return None


def dropped(fleet: str, topic: str, number: int, most: int) -> Bad | None:
    """Returns what is noted of a device of whose messages on this topic so many were dropped, as
    more than `most` waited at once; None if the topic is not a device's."""
    start = _start(fleet)
    kind, _, device = topic.removeprefix(start).partition("/")
    if not topic.startswith(start) or not _is_name(device):
        return None
    return Bad(
        device,
        f"{kind}: it sends faster than is stored, and of each topic the newest {most} wait",
        number,
    )


@cache
def _start(fleet: str) -> str:
    return topics.under(fleet, "")


def _reported(
    device: str, document: bytes, seal: Seal, last_said: bytes | None
) -> ReportMessage | Repeat | Bad:
    """Reads a report. Raises JsonError."""
    value = quick_documents.report(document)
    checked = value is not None
    if not checked:
        value = quick_json.loads(document)
    said = _digest(value) if type(value) is dict else b""
    is_known = said and said == last_said
    found = _repeat(device, value, seal, said, checked) if is_known else None
    return found or _report(device, value, seal, said, checked)


def _report(device: str, value: Any, seal: Seal, said: bytes, checked: bool) -> ReportMessage | Bad:
    try:
        if not checked:
            reports.check(REPORT, value)
    except ValueError as error:
        return Bad(device, _printable(f"reported: {advised(error, 'controller')}"))
    return ReportMessage(device, view(Report, value), seal, said=said)


def _repeat(
    device: str, value: dict[str, Any], seal: Seal, said: bytes, checked: bool
) -> Repeat | None:
    """Returns a report that says what the last one said as a Repeat, unless it asks for a
    heartbeat. What the digest is not of, is checked."""
    if _asks(value) or not value.keys() >= {"boot", "n", "free"}:
        return None
    free = value["free"]
    if type(free) is not dict or free.keys() != {"flash", "ram"}:
        return None
    boot, n, flash, ram = value["boot"], value["n"], free["flash"], free["ram"]
    if not all(type(one) is int and 0 <= one <= MAX_SEQ for one in (boot, n, flash, ram)):
        return None
    return Repeat(device, boot, n, flash, ram, seal, value, said, checked)


def _asks(value: dict[str, Any]) -> bool:
    """Returns whether a report asks for a heartbeat."""
    extra = value.get("extra")
    return type(extra) is dict and "nonce" in extra


def _digest(value: dict[str, Any]) -> bytes:
    """Returns a digest of what a report says, but for its number, what is free, and a nonce."""
    rest = value.copy()
    for name in _OF_EACH_REPORT:
        rest.pop(name, None)
    if _asks(value):
        rest["extra"] = {name: said for name, said in rest["extra"].items() if name != "nonce"}
        if not rest["extra"]:
            del rest["extra"]
    # Version 2 writes equal values alike, whatever else refers to them.
    return hashlib.blake2b(marshal.dumps(rest, 2), digest_size=16).digest()


def _metrics(payload: bytes) -> Metrics:
    """Reads metrics. Raises ValueError, also for a part that is more than its whole."""
    if len(payload) > MAX_METRICS_BYTES:
        told = f"{len(payload)} bytes, allowed are {MAX_METRICS_BYTES}"
        raise DocumentError("metrics", told)
    value: dict[str, Any] = quick_json.loads(payload)
    reports.check(METRICS, value)
    found = view(Metrics, value)
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
