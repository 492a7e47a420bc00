"""Computes the counters (counting.py) anew from the log and the devices: for a database of before
there were any, and where they are not those of the newest event or of this program's rules.

It is one transaction, so that a process that is killed meanwhile leaves the old counters, which the
next one recounts.
"""

import logging
import time
from collections.abc import Iterator

from sqlalchemy import Connection, delete, func, insert, literal_column, select, update

from modelwave_controller.rollout.events import Event, load_event
from modelwave_controller.storage import counting
from modelwave_controller.storage.tables import (
    answer_counts,
    answered,
    device_models,
    devices,
    events,
    heads,
    reporting,
    unread_answers,
    wave_orders,
)

_AT_ONCE = 5000  # events; many answers of a rollout cost less together
_TELL_SECONDS = 5.0
_COUNTED = (
    "opened",
    "opened_part",
    "reverted",
    "unshadowed",
    "reordered",
    "reported",
)

logger = logging.getLogger(__name__)


def is_due(connection: Connection) -> bool:
    found: dict[str, int] = {row.name: row.value for row in connection.execute(select(heads))}
    counted, version = found.get("counted", -1), found.get("counters", 0)
    return counted != found["event"] or version != counting.VERSION


def ensure(connection: Connection) -> None:
    """Recounts if that is due; `connection` is from Store.write()."""
    if is_due(connection):
        recount(connection)


def recount(connection: Connection) -> None:
    """Computes all counters; `connection` is from Store.write()."""
    for table in (reporting, wave_orders, answered, answer_counts, unread_answers):
        connection.execute(delete(table))
    place = (devices.c.target, devices.c.slot, devices.c.reads)
    query = select(device_models.c.model, *place, func.count()).group_by(
        device_models.c.model, *place
    )
    query = query.join(devices, devices.c.device == device_models.c.device)
    connection.execute(insert(reporting).from_select([*reporting.columns.keys()], query))
    _recount_events(connection)
    pruned = select(events.c.rollout).where(events.c.kind == literal_column("'condensed'"))
    counting.drop_answers(connection, [*connection.scalars(pruned.distinct())])
    newest = connection.scalar(select(heads.c.value).where(heads.c.name == "event")) or 0
    for name, value in (("counted", newest), ("counters", counting.VERSION)):
        its = heads.c.name == name
        if not connection.execute(update(heads).where(its).values(value=value)).rowcount:
            connection.execute(insert(heads).values(name=name, value=value))


def _recount_events(connection: Connection) -> None:
    wanted = events.c.kind.in_(_COUNTED)
    number = connection.scalar(select(func.count()).where(wanted)) or 0
    done, told = 0, time.monotonic()
    for some in _batches(connection):
        counting.count(connection, some)
        done += len(some)
        if time.monotonic() - told >= _TELL_SECONDS:
            told = time.monotonic()
            logger.warning("counting the answers of devices anew: %d of %d", done, number)


def _batches(connection: Connection) -> Iterator[list[Event]]:
    """Yields the events that are counted, oldest first."""
    query = select(events.c.id, events.c.rollout, events.c.at, events.c.kind, events.c.body)
    query = query.where(events.c.kind.in_(_COUNTED)).order_by(events.c.id).limit(_AT_ONCE)
    after = 0
    while some := [
        load_event(*row) for row in connection.execute(query.where(events.c.id > after))
    ]:
        yield some
        after = some[-1].id
