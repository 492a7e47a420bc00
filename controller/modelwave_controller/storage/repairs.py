"""Stores which devices report an older order than theirs (rollout/repair.py)."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from modelwave_controller.rollout.repair import Repair
from modelwave_controller.storage.chunks import chunks
from modelwave_controller.storage.tables import repairs

Key = tuple[str, str]  # device, model


class Summary(NamedTuple):
    """How many devices of a model were sent their order again, one of them, and how often."""

    devices: int
    one: str
    times: int


def of(connection: Connection, names: Iterable[str]) -> dict[Key, Repair]:
    """Returns the repairs of these devices."""
    columns = [repairs.c[name] for name in Repair._fields]
    query = select(repairs.c.device, repairs.c.model, *columns)
    return {
        (device, model): Repair(*values)
        for chunk in chunks(sorted(set(names)))
        for device, model, *values in connection.execute(query.where(repairs.c.device.in_(chunk)))
    }


def replace(connection: Connection, old: Iterable[Key], new: Mapping[Key, Repair]) -> None:
    """Deletes the repairs `old`, and stores `new`; `connection` is from Store.write()."""
    gone = [{"its_device": device, "its_model": model} for device, model in {*old, *new}]
    if gone:
        connection.execute(
            delete(repairs)
            .where(repairs.c.device == bindparam("its_device"))
            .where(repairs.c.model == bindparam("its_model")),
            gone,
        )
    if new:
        rows = [{"device": d, "model": m} | repair._asdict() for (d, m), repair in new.items()]
        connection.execute(insert(repairs), rows)


def summary(connection: Connection, model: str) -> Summary:
    columns = (func.count(), func.min(repairs.c.device), func.sum(repairs.c.times))
    query = select(*columns).where(repairs.c.model == model, repairs.c.times > 0)
    count, one, times = connection.execute(query).one()
    return Summary(count, one or "", times or 0)


def by_model(connection: Connection, limit: int) -> dict[str, tuple[int, int]]:
    """Returns {model: (devices that were sent their order again, how often together)}, of at most
    `limit` devices."""
    some = select(repairs.c.model, repairs.c.times).where(repairs.c.times > 0).limit(limit)
    its = some.subquery().c
    query = select(its.model, func.count(), func.sum(its.times)).group_by(its.model)
    return {model: (count, times) for model, count, times in connection.execute(query)}
