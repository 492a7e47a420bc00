"""Sums up the metrics that devices publish: inferences, failures and accuracy.

A document is counted once. Whether it was counted already, windows.py knows for two days. A
document without a window, of an older agent, is added only if its (boot, n) is higher than that of
those of the same install in the sum (installs.py). Windows of a model that ran beside the live one
have sums of their own.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from modelwave_controller.results.fleet import ReleaseSums, ShadowSums
from modelwave_controller.storage import devices, installs
from modelwave_controller.storage.chunks import chunks
from modelwave_controller.storage.installs import Heard
from modelwave_controller.storage.messages import Incoming, Measured
from modelwave_controller.storage.strangers import may_have_rows
from modelwave_controller.storage.tables import LIVE, SHADOW, WindowTables
from modelwave_controller.storage.windows import MAX_SUM, WindowBatch

# Models and releases; further ones of a device are ignored. An unknown id has one row.
MAX_ROWS_OF_A_DEVICE = 64
_INSTALLS = ("install", "boot", "n", "installs")


def add_windows(connection: Connection, incoming: Sequence[Incoming], now: float) -> None:
    """Stores the windows among the messages, and adds them to the sums; `now` is the rollout
    clock."""
    found = [message for message in incoming if isinstance(message, Measured)]
    _add(connection, LIVE, [one for one in found if not one.metrics.shadow], now)
    _add(connection, SHADOW, [one for one in found if one.metrics.shadow], now)


def _add(
    connection: Connection, tables: WindowTables, found: Sequence[Measured], now: float
) -> None:
    measured = _that_may_be_stored(connection, tables, found)
    names = sorted({message.device for message in measured})
    if not names:
        return
    known = devices.places(connection, names)
    held = _held(connection, tables, names)
    batch = WindowBatch(connection, tables, measured, now)
    changed = set()
    for message in measured:
        rows, key = held[message.device], (message.metrics.model, message.metrics.release)
        row = rows.get(key)
        if row is None and len(rows) >= (MAX_ROWS_OF_A_DEVICE if message.device in known else 1):
            continue
        added = _added(row, message, batch, tables.counts)
        if added is not None:
            rows[key] = added
            changed.add((message.device, key))
    batch.write()
    if changed:
        _write(connection, tables, [held[device][key] for device, key in sorted(changed)])


def _added(
    row: dict[str, Any] | None, message: Measured, batch: WindowBatch, counts: Sequence[str]
) -> dict[str, Any] | None:
    """Returns the sums with a document; None if it was counted already."""
    found = message.metrics
    before = installs.load(*(row[name] for name in _INSTALLS)) if row else None
    after = installs.count(before, Heard(found.install, found.boot, found.n))
    if not (batch.take(message, after is not None) if found.window else after):
        return None
    held = after or before
    assert held is not None, "the first document is above all"
    start = row or dict.fromkeys(counts, 0)
    return {
        "device": message.device,
        "model": found.model,
        "release": found.release,
        **held.current._asdict(),
        "installs": held.dump_others(),
        **{name: min(MAX_SUM, start[name] + getattr(found, name)) for name in counts},
    }


def _that_may_be_stored(
    connection: Connection, tables: WindowTables, windows: Sequence[Measured]
) -> list[Measured]:
    """Returns the windows that may be stored: anybody can send some under names of no device."""
    kept = may_have_rows(connection, tables.sums, sorted({w.device for w in windows}))
    return [window for window in windows if window.device in kept]


def by_release(connection: Connection) -> list[ReleaseSums]:
    return [_sums(*row) for row in _by_release(connection, LIVE)]


def of_shadows(connection: Connection) -> list[ShadowSums]:
    """Returns the sums of releases that ran beside the live one, by model and release."""
    return [_shadow_sums(*row) for row in _by_release(connection, SHADOW)]


def _by_release(connection: Connection, tables: WindowTables) -> Iterable[Any]:
    c = tables.sums.c
    sums = [func.sum(c[name]) for name in tables.counts]
    query = select(c.model, c.release, func.count(), *sums).group_by(c.model, c.release)
    return connection.execute(query.order_by(c.model, c.release))


def _sums(model: str, *numbers: Any) -> ReleaseSums:
    """`numbers`: as the database adds them up, PostgreSQL in decimals."""
    release, devices, inferences, failures, labelled, correct = map(int, numbers)
    return ReleaseSums(
        model,
        release,
        devices,
        inferences,
        failures,
        labelled,
        correct,
        accuracy=correct / labelled if labelled else None,
    )


def _shadow_sums(model: str, *numbers: Any) -> ShadowSums:
    release, devices, inferences, failures, _, _, compared, agreed = map(int, numbers)
    return ShadowSums(
        model,
        release,
        devices,
        inferences,
        failures,
        compared,
        agreed,
        agreement=agreed / compared if compared else None,
    )


def _held(
    connection: Connection, tables: WindowTables, names: list[str]
) -> dict[str, dict[tuple[str, int], dict[str, Any]]]:
    sums = tables.sums
    held: dict[str, dict[tuple[str, int], dict[str, Any]]] = {name: {} for name in names}
    for chunk in chunks(names):
        for row in connection.execute(select(sums).where(sums.c.device.in_(chunk))):
            held[row.device][row.model, row.release] = row._asdict()
    return held


def _write(connection: Connection, tables: WindowTables, rows: list[dict[str, Any]]) -> None:
    sums = tables.sums
    connection.execute(
        delete(sums)
        .where(sums.c.device == bindparam("its_device"))
        .where(sums.c.model == bindparam("its_model"))
        .where(sums.c.release == bindparam("its_release")),
        [
            {
                "its_device": row["device"],
                "its_model": row["model"],
                "its_release": row["release"],
            }
            for row in rows
        ],
    )
    connection.execute(insert(sums), rows)
