"""The raw loops that the service is measured beside: what stores a kind of report at least.

    idle     topic and payload, in a table that grows. It reads nothing, and compares nothing with
             what is stored.
    answers  what no program can leave out that keeps a log of answers: it reads the report's JSON,
             with Python's reader and without a check; adds a row to the log, with its rollout, the
             time and a body of JSON; writes into the device's row the number of its report and
             what it says of its model, by which the next report is known as newer, and whatever
             shows the device finds what it runs; and adds to the counter of the rollout and
             outcome. It looks nothing up: neither what is stored of the device, nor its order.

Both run each statement with `executemany`, once for a batch, on the driver's own cursor."""

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

IDLE, ANSWERS = "idle", "answers"

Messages = Sequence[tuple[str, bytes]]
Raw = tuple[Callable[[Messages], None], Callable[[], None]]


class Many(NamedTuple):
    """A statement, and the rows that it is run with; "?" stands for a value."""

    statement: str
    rows: Sequence[Sequence[Any]]


_TABLES = {
    IDLE: ("CREATE TABLE raw (topic TEXT, payload {bytes})",),
    ANSWERS: (
        "CREATE TABLE raw_devices (device TEXT PRIMARY KEY, boot BIGINT, n BIGINT, seen_at "
        "DOUBLE PRECISION, sha256 TEXT, state TEXT, seq BIGINT, outcome TEXT, reason TEXT)",
        "CREATE TABLE raw_events (id BIGINT PRIMARY KEY, rollout INTEGER, at DOUBLE PRECISION, "
        "kind TEXT, body TEXT)",
        "CREATE TABLE raw_counts (rollout INTEGER, outcome TEXT, devices BIGINT, "
        "PRIMARY KEY (rollout, outcome))",
    ),
}
_NAMES = ("raw", "raw_devices", "raw_events", "raw_counts")


def opened(kind: str, url: str, file: Path, messages: Messages) -> Raw:
    """Returns a function that stores messages of this kind, and one that closes the database: at
    the URL of PostgreSQL, or else an SQLite file. It has rows of all devices that will report."""
    statements = _Answers() if kind == ANSWERS else _idle
    first = [Many("INSERT INTO raw_devices (device) VALUES (?)", _devices(messages))]
    made = first if kind == ANSWERS else []
    return (_postgres if url else _sqlite)(url or str(file), _TABLES[kind], statements, made)


def _devices(messages: Messages) -> list[tuple[str]]:
    return [(topic.rpartition("/")[2],) for topic, _ in messages]


def _idle(batch: Messages) -> Iterator[Many]:
    yield Many("INSERT INTO raw VALUES (?, ?)", batch)


class _Answers:
    def __init__(self) -> None:
        self.head = 0

    def __call__(self, batch: Messages) -> Iterator[Many]:
        now, states, events = time.time(), [], []
        counts: Counter[str] = Counter()
        for topic, payload in batch:
            device, report = topic.rpartition("/")[2], json.loads(payload)
            its = report["models"]["digits"]
            self.head += 1
            said = (its["sha256"], its["state"], its["seq"], its["outcome"], its["reason"])
            states.append((report["boot"], report["n"], now, *said, device))
            body = {"kind": "reported", "device": device, "seq": its["seq"]}
            body |= {"outcome": its["outcome"], "reason": its["reason"], "epoch": its["epoch"]}
            events.append((self.head, 1, now, "reported", json.dumps(body)))
            counts[its["outcome"]] += 1
        yield Many(
            "UPDATE raw_devices SET boot = ?, n = ?, seen_at = ?, sha256 = ?, state = ?, seq = ?, "
            "outcome = ?, reason = ? WHERE device = ?",
            states,
        )
        yield Many("INSERT INTO raw_events VALUES (?, ?, ?, ?, ?)", events)
        yield Many(
            "INSERT INTO raw_counts VALUES (1, ?, ?) ON CONFLICT (rollout, outcome) "
            "DO UPDATE SET devices = raw_counts.devices + excluded.devices",
            list(counts.items()),
        )


_Statements = Callable[[Messages], Iterable[Many]]


def _sqlite(file: str, tables: Sequence[str], statements: _Statements, made: Sequence[Many]) -> Raw:
    raw = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("PRAGMA synchronous = FULL")
    for table in tables:
        raw.execute(table.format(bytes="BLOB"))

    def run(every: Iterable[Many]) -> None:
        raw.execute("BEGIN IMMEDIATE")
        for many in every:
            raw.executemany(many.statement, many.rows)
        raw.execute("COMMIT")

    run(made)
    return (lambda batch: run(statements(batch))), raw.close


def _postgres(
    url: str, tables: Sequence[str], statements: _Statements, made: Sequence[Many]
) -> Raw:
    import psycopg

    raw = psycopg.connect(url.replace("+psycopg", ""))
    for name in _NAMES:
        raw.execute(f"DROP TABLE IF EXISTS {name}")
    for table in tables:
        raw.execute(table.format(bytes="BYTEA"))
    raw.commit()

    def run(every: Iterable[Many]) -> None:
        with raw.cursor() as cursor:
            for many in every:
                cursor.executemany(many.statement.replace("?", "%s"), many.rows)
        raw.commit()

    run(made)
    return (lambda batch: run(statements(batch))), raw.close
