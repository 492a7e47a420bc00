"""Puts older windows together: after two days to hours, after 30 days to days, which are deleted
when they are older than the fleet keeps.

It goes through the devices in turn, a few at each step, so that no step takes long and the tables
need no index of time. A window is folded KEPT_SECONDS after its last document, whenever it ended:
until then it is known which documents were in it. It belongs to the hour and day in which it ended.
"""

import math
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, tuple_

from modelwave_controller.storage.chunks import chunks
from modelwave_controller.storage.tables import WINDOW_TABLES, WindowTables
from modelwave_controller.storage.windows import KEPT_SECONDS, MAX_SUM, summed

HOUR_SECONDS, DAY_SECONDS = 3600, 86400
HOURS_KEPT_SECONDS = 30 * DAY_SECONDS
STEP_DEVICES = 50
STEP_ROWS = 1000

_SPAN_KEY = ("device", "model", "span", "number", "release")
_MEASURED = (
    *("seconds", "inferences", "failures", "labelled", "correct"),
    *("latency_count", "latency_log", "measures"),
)


def fold(connection: Connection, now: float, after: str, oldest: float = -math.inf) -> str:
    """Folds what is due of the next devices whose names are greater than `after`, and deletes days
    that ended before `oldest`; `now` and `oldest` are by the rollout clock. Returns the argument
    `after` of the next step, "" to begin anew."""
    tables = [table for kind in WINDOW_TABLES for table in (kind.windows, kind.spans)]
    found = {name for table in tables for name in _devices(connection, table, after)}
    names = sorted(found)[:STEP_DEVICES]
    if not names:
        return ""
    folded = 0
    for kind in WINDOW_TABLES:
        folded += _fold_windows(connection, kind, names, now)
        folded += _fold_hours(connection, kind, names, now)
        folded += _delete_days(connection, kind, names, oldest)
    return after if folded >= STEP_ROWS else names[-1]


def _devices(connection: Connection, table: Any, after: str) -> Iterable[str]:
    query = select(table.c.device).where(table.c.device > after).distinct()
    return connection.scalars(query.order_by(table.c.device).limit(STEP_DEVICES))


def _fold_windows(
    connection: Connection, tables: WindowTables, names: list[str], now: float
) -> int:
    """Folds windows to hours; returns how many."""
    windows = tables.windows
    due = (
        select(windows)
        .where(windows.c.device.in_(names), windows.c.heard < now - KEPT_SECONDS)
        .order_by(*windows.primary_key)
        .limit(STEP_ROWS)
    )
    rows = [dict(row) for row in connection.execute(due).mappings()]
    spans = [_span(row, HOUR_SECONDS, row["ended"]) for row in rows]
    _add(connection, tables.spans, spans)
    _remove(connection, windows, rows)
    return len(rows)


def _fold_hours(connection: Connection, tables: WindowTables, names: list[str], now: float) -> int:
    """Folds hours to days; returns how many."""
    spans, c = tables.spans, tables.spans.c
    oldest = (now - HOURS_KEPT_SECONDS) // HOUR_SECONDS
    due = (
        select(spans)
        .where(c.device.in_(names), c.span == HOUR_SECONDS, c.number < oldest)
        .order_by(*spans.primary_key)
        .limit(STEP_ROWS)
    )
    rows = [dict(row) for row in connection.execute(due).mappings()]
    _add(connection, spans, [_span(row, DAY_SECONDS, row["number"] * HOUR_SECONDS) for row in rows])
    _remove(connection, spans, rows)
    return len(rows)


def _delete_days(
    connection: Connection, tables: WindowTables, names: list[str], oldest: float
) -> int:
    """Deletes days that ended before `oldest`; returns how many."""
    if oldest < DAY_SECONDS:
        return 0
    spans, c = tables.spans, tables.spans.c
    is_old = (c.span == DAY_SECONDS, c.number < int(oldest // DAY_SECONDS))
    keys = select(*spans.primary_key).where(c.device.in_(names), *is_old).limit(STEP_ROWS)
    rows = [dict(row) for row in connection.execute(keys).mappings()]
    _remove(connection, spans, rows)
    return len(rows)


def _span(row: dict[str, Any], span: int, at: float) -> dict[str, Any]:
    """Returns the row as a part of the span of `span` seconds that has the time `at`."""
    found = {name: row[name] for name in ("device", "model", "release", *_MEASURED)}
    return found | {"span": span, "number": int(at // span)}


def _add(connection: Connection, table: Any, spans: list[dict[str, Any]]) -> None:
    """Adds to the spans that are stored."""
    held: dict[tuple[Any, ...], dict[str, Any]] = {}
    keys = sorted({_span_key(span) for span in spans})
    columns = [table.c[name] for name in _SPAN_KEY]
    for chunk in chunks(keys):
        query = select(table).where(tuple_(*columns).in_(chunk))
        for row in connection.execute(query).mappings():
            held[_span_key(dict(row))] = dict(row)
    _remove(connection, table, list(held.values()))
    for span in spans:
        before = held.get(_span_key(span))
        held[_span_key(span)] = span if before is None else _both(before, span)
    if held:
        connection.execute(insert(table), list(held.values()))


def _both(row: dict[str, Any], span: dict[str, Any]) -> dict[str, Any]:
    seconds = min(MAX_SUM, row["seconds"] + span["seconds"])
    return {**row, **summed(row, span), "seconds": seconds}


def _span_key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in _SPAN_KEY)


def _remove(connection: Connection, table: Any, rows: list[dict[str, Any]]) -> None:
    if rows:
        key = [column.name for column in table.primary_key]
        this = [table.c[name] == bindparam(f"its_{name}") for name in key]
        values = [{f"its_{name}": row[name] for name in key} for row in rows]
        connection.execute(delete(table).where(*this), values)
