"""Judges a heartbeat, the controller's answer to this device's nonce. freshness.py keeps what it
says."""

from modelwave_agent import terms
from modelwave_agent.record import is_of_epoch
from modelwave_shared import documents, dsse
from modelwave_shared.words import HEARTBEAT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_agent.types import Document, Enrolment, Record


def judge(
    data: bytes,
    device: "Enrolment",
    nonce: str,
    records: "list[Record]",
    wall: "int | None",
    is_synchronised: bool,
) -> "tuple[Document, list[int | None]]":
    """Returns the heartbeat in the envelope `data`, and for each of the models' `records` the
    latest signed time after it; None: it belongs to another epoch. `wall`, `is_synchronised`: see
    terms.py. Raises ValueError if it is not the answer to `nonce`."""
    found = _opened(data, device, nonce)
    root = device.root
    if found["epoch"] < root["epoch"]:
        told = "the heartbeat is of epoch %d, this device's root is of epoch %d"
        raise ValueError(told % (found["epoch"], root["epoch"]))
    if found["epoch"] > root["epoch"]:
        if found["root"] <= device.root_version:
            raise ValueError("the heartbeat is of epoch %d, no root says so" % found["epoch"])
        return found, [None for _ in records]
    bases = [terms.base_time(terms.known_time(record, root), root) for record in records]
    now = terms.present(max(bases), wall, is_synchronised)
    if terms.is_ahead(found["time"], now, is_synchronised):
        raise ValueError("the heartbeat is %d seconds ahead" % (found["time"] - now))
    return found, [
        terms.moved_floor(base, found["time"], wall, is_synchronised)
        if is_of_epoch(record, root["epoch"])
        else None
        for record, base in zip(records, bases)
    ]


def _opened(data: bytes, device: "Enrolment", nonce: str) -> "Document":
    envelope = dsse.read(data)
    documents.require_kind(envelope, HEARTBEAT)
    # A repeated heartbeat costs no verification, which takes a board seconds.
    if nonce.encode() not in envelope.payload:
        raise ValueError("the heartbeat answers another nonce than this device's; was it repeated?")
    documents.verify(envelope, device.root)
    found = documents.read(HEARTBEAT, envelope.payload)
    for field, own in (("fleet", device.fleet), ("device", device.name), ("nonce", nonce)):
        if found[field] != own:
            raise ValueError("the heartbeat is for %s %s, not %s" % (field, found[field], own))
    return found
