"""Finds which retained topics hold orders, and puts the message of an order on further ones."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, select, tuple_

from modelwave_controller.rollout.numbers import Number
from modelwave_controller.storage import outbox
from modelwave_controller.storage.chunks import chunks
from modelwave_controller.storage.tables import orders
from modelwave_controller.storage.tables import outbox as held
from modelwave_shared import topics


class Topic(NamedTuple):
    """A topic that holds a message, with that message's blob; `acked`: the broker has it."""

    blob: str
    acked: bool


def slots_held(connection: Connection, fleet: str, target: str, model: str) -> list[int]:
    """Returns the slots whose topics hold an order of the model for the target."""
    start = topics.under(fleet, "desired", target, model, "")
    query = select(held.c.topic).where(held.c.topic.startswith(start, autoescape=True))
    ends = (topic[len(start) :] for topic in connection.scalars(query.where(held.c.blob != "")))
    return [int(end) for end in ends if end.isdecimal()]


def on(connection: Connection, wanted: Iterable[str]) -> dict[str, Topic]:
    """Returns those of the topics that hold a message."""
    query = select(held.c.topic, held.c.blob, held.c.acked >= held.c.version)
    query = query.where(held.c.blob != "")
    return {
        topic: Topic(blob, bool(acked))
        for chunk in chunks(sorted(set(wanted)))
        for topic, blob, acked in connection.execute(query.where(held.c.topic.in_(chunk)))
    }


def message(connection: Connection, model: str, number: Number) -> bytes:
    """Returns the message of an order; b"" for one from before they were kept."""
    query = select(orders.c.message).where(orders.c.model == model)
    query = query.where(orders.c.epoch == number.epoch, orders.c.seq == number.seq)
    digest = connection.scalar(query)
    return outbox.blob(connection, digest) if digest else b""


def past_half(
    connection: Connection, model: str, numbers: Iterable[Number], now: float
) -> set[Number]:
    """Returns those of the orders that have passed half of their time at `now`, Unix seconds."""
    query = select(orders.c.epoch, orders.c.seq)
    query = query.where(orders.c.model == model, orders.c.expires > 0)
    query = query.where(orders.c.issued + orders.c.expires <= 2 * int(now))
    return {
        Number(*row)
        for chunk in chunks(sorted(set(numbers)))
        for row in connection.execute(query.where(tuple_(orders.c.epoch, orders.c.seq).in_(chunk)))
    }
