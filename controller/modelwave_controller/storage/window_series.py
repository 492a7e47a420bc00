"""Sums up stored windows of many devices by the windows of a stage, in SQL, for people to look at.

A device counts with one number in a window of the stage, its mean there; several of its own windows
that ended in it count together. Only windows that began and ended within the stage count, as at a
look, and only those of the last two days, which are stored one by one.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    Integer,
    case,
    cast,
    func,
    null,
    select,
    type_coerce,
)

from modelwave_controller.rollout import planned_gates
from modelwave_controller.rollout.planned_gates import PlannedGate
from modelwave_controller.storage.chunks import chunks
from modelwave_controller.storage.tables import metrics, windows
from modelwave_shared.limits import MILLION

# Of a window's length: one that ends so little after a window of the stage is still in it.
_EDGE = 1e-6
# Places in the list of a number's summary (window_measures.py).
_COUNT, _MEAN, _LOG = 0, 1, 5


class StageWindows(NamedTuple):
    """The windows `first` to `last`, from 1, of a stage that began at `opened`, by the rollout
    clock, each of so many `seconds`."""

    opened: float
    seconds: int
    first: int
    last: int


class DeviceMeans(NamedTuple):
    """The sum of the means of so many devices."""

    total: float
    devices: int

    def plus(self, other: "DeviceMeans") -> "DeviceMeans":
        return DeviceMeans(self.total + other.total, self.devices + other.devices)


NOBODY = DeviceMeans(0.0, 0)


def mark(connection: Connection, model: str, devices: Sequence[str]) -> tuple[int, ...]:
    """Returns what is different once a further window of these devices is stored. It reads the
    running sums, a row for each device and release."""
    c = metrics.c
    sums = (func.sum(column) for column in (c.boot, c.n, c.inferences, c.labelled))
    query = select(func.count(), *sums).where(c.model == model)
    rows = [connection.execute(query.where(c.device.in_(chunk))).one() for chunk in chunks(devices)]
    return tuple(sum(int(one or 0) for one in column) for column in zip(*rows, strict=True))


def means(
    connection: Connection,
    model: str,
    devices: Sequence[str],
    gates: Sequence[PlannedGate],
    release: int,
    is_new: bool,
    wanted: StageWindows,
) -> dict[int, list[DeviceMeans]]:
    """Returns by window of the stage what these devices measured, an entry for each gate. `is_new`:
    of `release`, else of any other one. A quantity that is compared by a ratio, and each about
    latency, is a mean of logarithms."""
    found: dict[int, list[DeviceMeans]] = {}
    for chunk in chunks(devices):
        query = _query(connection, model, chunk, gates, release, is_new, wanted)
        for window, *values in connection.execute(query):
            new = [
                DeviceMeans(float(total or 0), count)
                for total, count in zip(values[::2], values[1::2], strict=True)
            ]
            held = found.get(window, [NOBODY] * len(gates))
            found[window] = [one.plus(other) for one, other in zip(held, new, strict=True)]
    return found


def _query(
    connection: Connection,
    model: str,
    devices: Sequence[str],
    gates: Sequence[PlannedGate],
    release: int,
    is_new: bool,
    wanted: StageWindows,
) -> Any:
    c = windows.c
    # Rounded up. The databases differ in how they round halves, and _EDGE leaves none.
    number = cast(
        func.round((c.ended - wanted.opened) / wanted.seconds + (0.5 - _EDGE)), Integer
    ).label("number")
    measured = []
    for place, gate in enumerate(gates):
        weight, total = _measured(connection, gate)
        measured += [func.sum(weight).label(f"w{place}"), func.sum(total).label(f"t{place}")]
    by_device = (
        select(number, *measured)
        .where(
            c.device.in_(devices),
            c.model == model,
            (c.release == release) if is_new else (c.release != release),
            c.ended - c.seconds >= wanted.opened,
            c.ended > wanted.opened + (wanted.first - 1) * wanted.seconds,
            c.ended <= wanted.opened + wanted.last * wanted.seconds,
        )
        .group_by(c.device, number)
        .subquery()
    )
    columns = []
    for place in range(len(gates)):
        weight = func.nullif(by_device.c[f"w{place}"], 0)
        columns += [func.sum(1.0 * by_device.c[f"t{place}"] / weight), func.count(weight)]
    return select(by_device.c.number, *columns).group_by(by_device.c.number)


def _measured(
    connection: Connection, gate: PlannedGate
) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Returns the weight and the total that a window adds to a gate's quantity; of a quantile
    those of the mean, as the histogram is not to be had in SQL, and of estimated accuracy
    nothing."""
    c = windows.c
    if gate.name == planned_gates.ACCURACY:
        return c.labelled, c.correct
    if gate.name == planned_gates.FAILURES:
        return c.inferences, c.failures
    if gate.name == planned_gates.LATENCY:
        return c.latency_count, c.latency_log
    if gate.name == planned_gates.ESTIMATED:
        return cast(null(), Integer), cast(null(), Integer)
    text = func.nullif(c.measures, "")
    is_postgres = connection.dialect.name == "postgresql"
    document = cast(text, JSON) if is_postgres else type_coerce(text, JSON)
    if gate.name == planned_gates.OVER:
        return document["o", 1].as_float(), document["o", 0].as_float()
    count = document["n", gate.name, _COUNT].as_float()
    place = _LOG if gate.kind == planned_gates.RATIO else _MEAN
    value = document["n", gate.name, place].as_float()
    return case((value.is_not(None), count)), count * value / MILLION
