"""Reads what is stored of devices, as rollouts and the commands need it. What they say is taken in
by intake.py."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    bindparam,
    func,
    literal_column,
    select,
    tuple_,
)

from modelwave_controller.rollout.facts import Known
from modelwave_controller.rollout.formats import Reader
from modelwave_controller.storage import clock, last_heard
from modelwave_controller.storage.chunks import rows_with
from modelwave_controller.storage.installs import CLONE_SECONDS
from modelwave_controller.storage.tables import device_models, devices, reporting
from modelwave_controller.trust.documents import Report
from modelwave_shared.maintenance import READS_MAINTENANCE
from modelwave_shared.words import MANIFEST, ORDER, READS, ROOT

_PLACE = (devices.c.heard, devices.c.device)
# Made once, as each tick asks this.
_HEARD_AFTER = (
    select(*_PLACE, devices.c.target, devices.c.slot, last_heard.SEEN_CLOCK)
    .add_columns(devices.c.reads, devices.c.root)
    .select_from(last_heard.NEWEST)
    .where(tuple_(*_PLACE) > tuple_(bindparam("batch", type_=BigInteger), bindparam("name")))
    .order_by(*_PLACE)
    .limit(bindparam("number", type_=BigInteger))
)


class RefusalNote(NamedTuple):
    device: str
    target: str
    slot: int
    note: str


class HeardModel(NamedTuple):
    """What a device reports of one model: its newest order there. `batch` is the number of the
    batch of its last report, `clock` the rollout clock then; `reads` and `root` are the columns of
    these names."""

    batch: int
    device: str
    target: str
    slot: int
    clock: float
    reads: str
    root: int
    model: str
    epoch: int
    seq: int


def that_report(connection: Connection, model: str) -> dict[str, dict[int, list[str]]]:
    """Returns {target: {slot: ids of the devices that report the model}}. The query has a row for
    each slot and not for each device, because every tick runs it: 10 ms for 10,000 devices."""
    found: dict[str, dict[int, list[str]]] = defaultdict(dict)
    ids = func.aggregate_strings(devices.c.device, ",")  # no id has a comma
    query = of_model(select(devices.c.target, devices.c.slot, ids), model)
    for target, slot, names in connection.execute(query.group_by(devices.c.target, devices.c.slot)):
        found[target][slot] = names.split(",")
    return found


def any_has(connection: Connection, targets: Sequence[str], model: str) -> bool:
    """Returns whether a device of one of the targets has reported the model, with or without a
    release of it."""
    query = select(reporting.c.slot).where(reporting.c.model == model)
    query = query.where(reporting.c.target.in_(targets))
    return connection.execute(query.limit(1)).first() is not None


def known(connection: Connection, model: str, timed: bool = False) -> Known:
    """Returns the devices that report the model, as the decision about its rollouts needs them;
    `timed`: one of them has maintenance windows."""
    timeless = _timeless(connection, model) if timed else {}
    return Known(that_report(connection, model), _behind(connection, model), timeless)


def _timeless(connection: Connection, model: str) -> dict[str, dict[int, list[str]]]:
    """Returns the devices that do not judge maintenance windows by themselves, as that_report."""
    found: dict[str, dict[int, list[str]]] = defaultdict(dict)
    place = (devices.c.target, devices.c.slot, devices.c.reads)
    query = of_model(select(*place, func.aggregate_strings(devices.c.device, ",")), model)
    for target, slot, said, names in connection.execute(query.group_by(*place)):
        if READS_MAINTENANCE not in reads(said):
            found[target].setdefault(slot, []).extend(names.split(","))
    return found


def reads(stored: str) -> dict[str, int]:
    """Returns the highest format version of each kind that a device reads, from the column `reads`.
    An agent that does not report it is one of the first, which read version 1 of each."""
    said: dict[str, int] = json.loads(stored) if stored else {}
    return dict.fromkeys((ROOT, MANIFEST, ORDER), 1) | said


def reads_column(report: Report) -> str:
    return _reads_text(tuple(report.reads.items()))


@lru_cache(1000)  # devices of one version say the same
def _reads_text(said: tuple[tuple[str, int], ...]) -> str:
    return json.dumps(dict(said), sort_keys=True) if said else ""


def of_model(query: Any, model: str) -> Any:
    """Restricts a query of `devices` to those that report the model."""
    joined = query.join(device_models, devices.c.device == device_models.c.device)
    return joined.where(device_models.c.model == model)


def _behind(connection: Connection, model: str) -> list[Reader]:
    """Returns the devices that report the model, and cannot read the newest format of orders and
    manifests that this program knows; it never writes a newer one."""
    stored = connection.scalars(select(devices.c.reads).distinct())
    old = {
        text: found
        for text, found in ((text, reads(text)) for text in stored)
        if any(found[kind] < READS[kind] for kind in (MANIFEST, ORDER))
    }
    query = select(devices.c.device, devices.c.target, devices.c.slot, devices.c.reads)
    query = of_model(query, model)
    return [
        Reader(device, target, slot, old[text])
        for device, target, slot, text in rows_with(
            connection, query.order_by(devices.c.device), devices.c.reads, list(old)
        )
    ]


def places(connection: Connection, names: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Returns {device: (target, slot)} of those of the devices that are known."""
    query = select(devices.c.device, devices.c.target, devices.c.slot)
    return {
        device: (target, slot)
        for device, target, slot in rows_with(connection, query, devices.c.device, list(names))
    }


def that_run(
    connection: Connection, names: Sequence[str], model: str, targets: Collection[str]
) -> list[str]:
    """Returns those of the devices that are of these targets and report the model."""
    query = of_model(select(devices.c.device), model).where(devices.c.target.in_(targets))
    return [row.device for row in rows_with(connection, query, devices.c.device, list(names))]


def any_lacks(connection: Connection, target: str, model: str, manifest: str) -> bool:
    """Returns whether a device of the target that reports the model does not run this release."""
    query = of_model(select(devices.c.device), model)
    query = query.where(devices.c.target == target, device_models.c.sha256 != manifest)
    return connection.execute(query.limit(1)).first() is not None


def heard_after(
    connection: Connection, after: tuple[int, str], limit: int
) -> tuple[list[HeardModel], tuple[int, str]]:
    """Returns what the devices report that were heard after `after` (a batch, and a device in it),
    at most `limit` devices, in that order; and who was the last of them."""
    values = {"batch": after[0], "name": after[1], "number": limit}
    rows = {row.device: row for row in connection.execute(_HEARD_AFTER, values)}
    if not rows:
        return [], after
    columns = (device_models.c.model, device_models.c.epoch, device_models.c.seq)
    models = rows_with(
        connection, select(device_models.c.device, *columns), device_models.c.device, list(rows)
    )
    found = sorted(HeardModel(*rows[device], *state) for device, *state in models)
    last = list(rows.values())[-1]
    return found, (last.heard, last.device)


def that_repeated(connection: Connection, clocks: Mapping[str, float]) -> list[HeardModel]:
    """Returns what these devices report, which have repeated their report when the rollout clock
    was at the given value."""
    names = list(clocks)
    query = select(devices.c.heard, devices.c.device, devices.c.target, devices.c.slot)
    query = query.add_columns(devices.c.reads, devices.c.root, device_models.c.model)
    query = query.add_columns(device_models.c.epoch, device_models.c.seq)
    query = query.join(device_models, devices.c.device == device_models.c.device)
    return sorted(
        HeardModel(row.heard, row.device, row.target, row.slot, clocks[row.device], *row[4:])
        for row in rows_with(connection, query, devices.c.device, names)
    )


def refusals(connection: Connection, model: str, targets: Iterable[str]) -> list[RefusalNote]:
    """Returns the devices of these targets that report the model and a refused message, which may
    not have been authentic."""
    query = select(devices.c.device, devices.c.target, devices.c.slot, devices.c.refused)
    query = of_model(query, model)
    query = query.where(devices.c.refused != literal_column("''")).order_by(devices.c.device)
    rows = connection.execute(query.where(devices.c.target.in_(list(targets))))
    return [RefusalNote(*row) for row in rows]


def is_known(connection: Connection, device: str) -> bool:
    """Returns whether a readable report of the device was received."""
    query = select(devices.c.device).where(devices.c.device == device)
    return connection.execute(query).first() is not None


def is_cloned(clones: int, clone_clock: float, seconds: float) -> bool:
    """Returns whether two devices use one id; `seconds` is the rollout clock. It ends an hour after
    the last report of the second one."""
    return clones > 0 and seconds - clone_clock <= CLONE_SECONDS


def cloned(connection: Connection) -> list[str]:
    """Returns the ids that two devices use."""
    seconds = clock.stored(connection).seconds
    query = select(devices.c.device, devices.c.clones, devices.c.clone_clock)
    some = devices.c.clones > literal_column("0")  # as the index for it says it
    rows = connection.execute(query.where(some).order_by(devices.c.device))
    return [row.device for row in rows if is_cloned(row.clones, row.clone_clock, seconds)]
