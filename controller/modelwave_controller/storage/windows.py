"""Stores the windows that devices measure, for the judging of rollouts.

A window is one row, by device, model, install, boot, its number since that boot, and release. Its
documents may come in any order and more than once: the window itself, a part that did not fit into
1 KiB, labels that came later. Each counts once, by its number (boot, n):

    the window is stored             a document that is in it is ignored, another one is added
    it is not, and ended in the      it is new
    last KEPT_SECONDS
    it is not, and ended before      it is new if its number is above all of its install; else it
                                     was stored once, and is folded by now (window_folding.py)

Windows of a model that ran beside the live one are in tables of their own: a device sends both
with one number, and the release may be the same.

Its time is that of the rollout clock: of the reception, less the age that the document says. Where
two documents differ the earlier time holds; labels that came later do not move it.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, tuple_

from modelwave_controller.storage import window_measures
from modelwave_controller.storage.chunks import chunks
from modelwave_controller.storage.messages import Measured
from modelwave_controller.storage.tables import COUNTS, LIVE, WindowTables
from modelwave_controller.storage.window_measures import WindowMeasures
from modelwave_shared.limits import MILLION

KEPT_SECONDS = 48 * 3600
MAX_SUM = 2**43  # of one device, so that the sum over a million devices fits in 64 bits
MAX_DOCUMENTS = 64  # of one window; further ones are in the running sums only

_KEY = ("device", "model", "install", "boot", "number", "release")
_COUNTED = ("seconds", *COUNTS, "latency_count", "latency_log", "measures")

# The gates of a look ask for the measures of a device's windows one after the other.
_load = lru_cache(maxsize=64)(window_measures.load)

Key = tuple[str, str, str, int, int, int]


class StoredWindow(NamedTuple):
    """What a device measured of one release, in a window or in an hour or day of older ones.
    `start` and `end` are by the rollout clock, in seconds; `seconds` is how long it measured, 0 for
    labels that came later alone. `latency_log` is the sum of the natural logarithms of the
    milliseconds of `latency_count` inferences; `packed` is for `measures`."""

    release: int
    start: float
    end: float
    seconds: int
    inferences: int
    failures: int
    labelled: int
    correct: int
    latency_count: int
    latency_log: float
    packed: str

    def measures(self) -> WindowMeasures:
        """Returns the histograms, classes and named numbers."""
        return _load(self.packed)

    def latency(self) -> list[int]:
        """Returns the histogram of latencies alone, [] if they were not measured."""
        return window_measures.load_latency(self.packed)


class WindowBatch:
    """The windows of one kind that a batch of messages adds to."""

    def __init__(
        self, connection: Connection, tables: WindowTables, messages: Sequence[Measured], now: float
    ) -> None:
        """Reads what is stored of them. `now`: the rollout clock at their reception."""
        self.connection = connection
        self.now = now
        self._table = tables.windows
        keys = sorted({_key(m) for m in messages if m.metrics.window})
        self._stored = _read(connection, self._table, keys)
        self._rows = dict(self._stored)
        self._changed: set[Key] = set()

    def take(self, message: Measured, is_newest: bool) -> bool:
        """Adds a document to its window; returns whether it counts, False if it did before.
        `is_newest`: its number is above all of its install."""
        metrics, key = message.metrics, _key(message)
        row = self._rows.get(key)
        if row is None:
            if metrics.age_seconds > KEPT_SECONDS and not is_newest:
                return False
        elif str(metrics.n) in row["documents"].split():
            return False
        elif len(row["documents"].split()) == MAX_DOCUMENTS:
            return is_newest
        new = _row(message, self.now)
        self._rows[key] = new if row is None else _both(row, new)
        self._changed.add(key)
        return True

    def write(self) -> None:
        """Stores the windows that were added to."""
        changed = sorted(self._changed)
        again = [key for key in changed if key in self._stored]
        if again:
            this = [self._table.c[name] == bindparam(f"its_{name}") for name in _KEY]
            names = [f"its_{name}" for name in _KEY]
            values = [dict(zip(names, key, strict=True)) for key in again]
            self.connection.execute(delete(self._table).where(*this), values)
        if changed:
            self.connection.execute(insert(self._table), [self._rows[key] for key in changed])


def between(
    connection: Connection,
    model: str,
    devices: Sequence[str],
    after: float,
    until: float,
    tables: WindowTables = LIVE,
) -> dict[str, list[StoredWindow]]:
    """Returns the windows of `model` that ended after `after` and not after `until`, in seconds of
    the rollout clock, by device, in the order of time. Of more than two days ago it has hours, and
    of more than 30 days ago days. A device without any is not in it."""
    found: dict[str, list[StoredWindow]] = {}
    for chunk in chunks(devices):
        for query in (_raw(tables, model, chunk), _spans(tables, model, chunk)):
            inner = query.subquery()
            wanted = select(inner).where(inner.c.end > after, inner.c.end <= until)
            for device, *values in connection.execute(wanted):
                found.setdefault(device, []).append(StoredWindow(*values))
    for rows in found.values():
        rows.sort()
        rows.sort(key=lambda row: row.end)
    return found


def _raw(tables: WindowTables, model: str, devices: Sequence[str]) -> Any:
    c = tables.windows.c
    start = (c.ended - c.seconds).label("start")
    columns = [c.device, c.release, start, c.ended.label("end"), *(c[name] for name in _COUNTED)]
    return select(*columns).where(c.device.in_(devices), c.model == model)


def _spans(tables: WindowTables, model: str, devices: Sequence[str]) -> Any:
    c = tables.spans.c
    start = (1.0 * c.number * c.span).label("start")
    end = (1.0 * (c.number + 1) * c.span).label("end")
    columns = [c.device, c.release, start, end, *(c[name] for name in _COUNTED)]
    return select(*columns).where(c.device.in_(devices), c.model == model)


def _key(message: Measured) -> Key:
    metrics = message.metrics
    return (
        message.device,
        metrics.model,
        metrics.install,
        metrics.boot,
        metrics.window,
        metrics.release,
    )


def _read(connection: Connection, table: Any, keys: list[Key]) -> dict[Key, dict[str, Any]]:
    found: dict[Key, dict[str, Any]] = {}
    columns = [table.c[name] for name in _KEY]
    for chunk in chunks(keys):
        query = select(table).where(tuple_(*columns).in_(chunk))
        for row in connection.execute(query).mappings():
            key = tuple(row[name] for name in _KEY)
            found[key] = dict(row)
    return found


def _row(message: Measured, now: float) -> dict[str, Any]:
    """Returns the row of a window of which only this document has come."""
    metrics = message.metrics
    log = metrics.latency.get("log", 0) / MILLION
    latencies = min(MAX_SUM, sum(metrics.latency.get("bins", [0])[1:]))
    return {
        **dict(zip(_KEY, _key(message), strict=True)),
        "documents": str(metrics.n),
        "ended": now - metrics.age_seconds,
        "heard": int(now),
        "seconds": metrics.seconds,
        **{name: min(MAX_SUM, getattr(metrics, name)) for name in COUNTS},
        "latency_count": latencies,
        "latency_log": latencies * log,
        "measures": window_measures.of_document(metrics),
    }


def _both(row: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Returns the row of a window with one more document."""
    timed = [one["ended"] for one in (row, new) if one["seconds"]]
    return {
        **row,
        **summed(row, new),
        "documents": f"{row['documents']} {new['documents']}",
        "ended": min(timed or [row["ended"], new["ended"]]),
        "heard": max(row["heard"], new["heard"]),
        "seconds": max(row["seconds"], new["seconds"]),
    }


def summed(row: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Returns what was measured in both, but for the seconds."""
    counted = (*COUNTS, "latency_count")
    return {
        **{name: min(MAX_SUM, row[name] + other[name]) for name in counted},
        "latency_log": row["latency_log"] + other["latency_log"],
        "measures": window_measures.joined(row["measures"], other["measures"]),
    }
