"""Stores the message that each retained topic must hold, and whether the broker has it.

It is state, not a queue: a topic that changes twice before it is sent is sent once. A row is
written in the transaction of the event that causes it; the publisher marks it when the broker
has acknowledged that version. `unsend` makes topics due again whose message the broker has lost
(service/readback.py); `unsend_all` does so for all, when it cannot be seen what the broker has.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, func, insert, or_, select, update

from modelwave_controller.storage import many
from modelwave_controller.storage.chunks import chunks
from modelwave_controller.storage.tables import blobs, outbox
from modelwave_shared import topics


class Message(NamedTuple):
    topic: str
    version: int
    payload: bytes  # empty: clears the topic


def keep_blob(connection: Connection, data: bytes) -> str:
    """Stores `data`, if it is new, and returns its sha256 in hex."""
    digest = hashlib.sha256(data).hexdigest()
    known = connection.scalar(select(blobs.c.sha256).where(blobs.c.sha256 == digest))
    if known is None:
        connection.execute(insert(blobs).values(sha256=digest, data=data))
    return digest


def blob(connection: Connection, digest: str) -> bytes:
    found = connection.scalar(select(blobs.c.data).where(blobs.c.sha256 == digest))
    assert found is not None, "only those that nothing names are deleted (pruning.py)"
    return bytes(found)


def put(connection: Connection, topics: Sequence[str], payload: bytes) -> None:
    """Sets the payload of these topics, which differ; an empty one clears them."""
    digest = keep_blob(connection, payload) if payload else None
    rows = [(topic, digest, 1, 0) for topic in topics]
    replaced = "blob = excluded.blob, version = outbox.version + 1"
    many.insert_or(connection, "outbox", ["topic", "blob", "version", "acked"], rows, replaced)


def holds(connection: Connection, topic: str) -> bytes | None:
    """Returns the payload that `topic` must hold; None if it is cleared or unknown."""
    query = select(blobs.c.data).join(outbox, outbox.c.blob == blobs.c.sha256)
    found = connection.scalar(query.where(outbox.c.topic == topic))
    return None if found is None else bytes(found)


def unsent(
    connection: Connection, limit: int, busy: Iterable[str] = (), but: Iterable[str] = ()
) -> list[Message]:
    """Returns at most `limit` messages that the broker has not acknowledged, without those on the
    topics in `busy` (sent already), and without orders of the models in `but`."""
    skip = set(busy)
    query = (
        select(outbox.c.topic, outbox.c.version, outbox.c.blob)
        .where(outbox.c.acked < outbox.c.version)
        .where(*[~_is_order_of(model) for model in but])
        .order_by(outbox.c.topic)
        .limit(limit + len(skip))
    )
    rows = [(t, v, digest) for t, v, digest in connection.execute(query) if t not in skip][:limit]
    digests = {digest for _, _, digest in rows if digest is not None}
    payloads = {digest: blob(connection, digest) for digest in digests}
    return [Message(topic, version, payloads.get(digest, b"")) for topic, version, digest in rows]


def _is_order_of(model: str) -> ColumnElement[bool]:
    """Whether a row is of an order for slots of the model, or for a device."""
    start = topics.under("%", "desired", "")
    named = model.replace("_", "!_")
    alone = outbox.c.topic.like(f"{start}device/%/{named}", escape="!")
    of_any_device = outbox.c.topic.like(f"{start}device/%", escape="!")
    return alone | (outbox.c.topic.like(f"{start}%/{named}/%", escape="!") & ~of_any_device)


def mark(connection: Connection, sent: Iterable[tuple[str, int]]) -> None:
    """Marks these (topic, version) as acknowledged by the broker."""
    rows = [(version, topic, version) for topic, version in sent]
    many.update(connection, "outbox", ["acked"], ["topic", "version"], rows)


class Held(NamedTuple):
    """The row of a topic."""

    digest: str  # sha256 of the payload in hex; "": the topic is cleared
    due: bool  # the broker has not acknowledged it


def rows_under(connection: Connection, fleet: str, kinds: Sequence[str]) -> dict[str, Held]:
    """Returns the rows of the topics whose first level is one of `kinds`."""
    under = [outbox.c.topic.startswith(topics.under(fleet, k, ""), autoescape=True) for k in kinds]
    return _held(connection, or_(*under))


def rows_of(connection: Connection, topics: Sequence[str]) -> dict[str, Held]:
    """Returns the rows of these topics, without those that have none."""
    found: dict[str, Held] = {}
    for chunk in chunks(topics):
        found |= _held(connection, outbox.c.topic.in_(chunk))
    return found


def _held(connection: Connection, which: ColumnElement[bool]) -> dict[str, Held]:
    query = select(outbox.c.topic, outbox.c.blob, outbox.c.version, outbox.c.acked).where(which)
    return {
        row.topic: Held(row.blob or "", row.acked < row.version)
        for row in connection.execute(query)
    }


def unsend(connection: Connection, topics: Sequence[str]) -> None:
    """Makes these topics due again."""
    for chunk in chunks(topics):
        connection.execute(update(outbox).where(outbox.c.topic.in_(chunk)).values(acked=0))


def unsend_all(connection: Connection, fleet: str) -> None:
    """Makes all messages due again, also those that clear the topic of a withdrawn order: a broker
    that was restored from an older snapshot has it again. Messages that cleared a forgotten
    device's own topics are not sent again: the device may have written them since."""
    order = outbox.c.topic.startswith(topics.under(fleet, "desired", ""), autoescape=True)
    connection.execute(update(outbox).where(or_(outbox.c.blob.is_not(None), order)).values(acked=0))


def any_left(connection: Connection, fleet: str, target: str, model: str) -> bool:
    """Returns whether the broker has not acknowledged an order of the model for the target, or for
    one device."""
    order = topics.under(fleet, "desired", target, model, "")
    alone = topics.under(fleet, "desired", "device", "")
    starts, ends = outbox.c.topic.startswith, outbox.c.topic.endswith
    for_device = starts(alone, autoescape=True) & ends(f"/{model}", autoescape=True)
    query = select(outbox.c.topic).where(outbox.c.acked < outbox.c.version)
    query = query.where(or_(starts(order, autoescape=True), for_device))
    return connection.execute(query.limit(1)).first() is not None


def left(connection: Connection) -> int:
    """Returns the number of topics that the broker has not acknowledged."""
    query = select(func.count()).where(outbox.c.acked < outbox.c.version)
    return connection.scalar(query) or 0


def waiting(connection: Connection, limit: int) -> list[tuple[str, int]]:
    """Returns (topic, version) of at most `limit` messages that the broker has not acknowledged."""
    query = select(outbox.c.topic, outbox.c.version).where(outbox.c.acked < outbox.c.version)
    rows = connection.execute(query.order_by(outbox.c.topic).limit(limit))
    return [(topic, version) for topic, version in rows]
