"""Tests that windows of devices are stored once, in any order, are folded, and are read by time."""

import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import astuple
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rollout_world import FLEET, World
from sqlalchemy import Connection, delete, func, insert, select, update

from modelwave_controller.errors import StorageError
from modelwave_controller.operations import device_list
from modelwave_controller.service.allowance import MAX_WINDOWS_AN_HOUR, Allowance
from modelwave_controller.service.folding import PAUSE_SECONDS, Folding
from modelwave_controller.storage import (
    forgetting,
    messages,
    metrics,
    tables,
    window_folding,
    window_measures,
    windows,
)
from modelwave_controller.storage.messages import Bad, Measured
from modelwave_controller.storage.store import Store
from modelwave_controller.storage.window_folding import DAY_SECONDS, HOUR_SECONDS
from modelwave_controller.storage.windows import KEPT_SECONDS, StoredWindow
from modelwave_shared import topics
from modelwave_shared.limits import MAX_SEQ

LONG = os.environ.get("MODELWAVE_LONG") == "1"
A, B = "a" * 16, "b" * 16
NOW = 1_000_000.0  # by the rollout clock, when the first documents of a test arrive
WINDOW_SECONDS = 900
MEASURED: dict[str, Any] = {
    "latency": {"bins": [6, 60, 40], "log": 2500000},
    "confidence": [14, 30, 70],
    "classes": {"3": 60, "cat": 30},
    "classes_rest": 10,
    "numbers": {"power_mw": [100, 310000000, 5000000, 300000000, 320000000, 5736000]},
}
COUNTED = {"inferences": 100, "failures": 1, "labelled": 10, "correct": 9}


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with closing(Store(url)) as made:
        with made.write() as connection:  # on PostgreSQL it is one for all tests
            for table in (tables.windows, tables.window_spans, tables.metrics, tables.devices):
                connection.execute(delete(table))
            know(connection, "d1")
        yield made


def know(connection: Connection, device: str) -> None:
    """Stores a report of the device: one that is not known may have few rows."""
    words = ("target", "agent", "runtime", "runtime_version", "accelerator", "refused")
    numbers = ("slot", "boot", "n", "seen_at", "free_flash", "free_ram", "stale")
    row = dict.fromkeys(words, "") | dict.fromkeys(numbers, 0) | {"device": device}
    connection.execute(insert(tables.devices).values(row))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=3)) as made:
        yield made


def document(n: int, **changes: Any) -> dict[str, Any]:
    found = {"boot": 1, "n": n, "install": A, "model": "digits", "release": 1} | COUNTED
    found |= {"window": n, "seconds": WINDOW_SECONDS, "age_seconds": 0}
    return {key: value for key, value in (found | changes).items() if value is not None}


def late(n: int, window: int, **changes: Any) -> dict[str, Any]:
    """Labels that came later than their window."""
    found = {"window": window, "seconds": None, "inferences": 0, "failures": 0}
    return document(n, **(found | {"labelled": 4, "correct": 3} | changes))


def measured(documents: Sequence[dict[str, Any]], device: str = "d1") -> list[Measured]:
    found = []
    for one in documents:
        payload = json.dumps(one).encode()
        message = messages.understand(FLEET, topics.metrics(FLEET, device), payload)
        assert isinstance(message, Measured), message
        found.append(message)
    return found


def take(
    store: Store, documents: Sequence[dict[str, Any]], now: float = NOW, device: str = "d1"
) -> None:
    with store.write() as connection:
        metrics.add_windows(connection, measured(documents, device), now)


def stored(
    store: Store, after: float = -math.inf, until: float = math.inf, device: str = "d1"
) -> list[StoredWindow]:
    with store.read() as connection:
        return windows.between(connection, "digits", [device], after, until).get(device, [])


def sums(store: Store) -> list[tuple[int, ...]]:
    """(release, devices, inferences, failures, labelled, correct) of the running sums."""
    with store.read() as connection:
        return [astuple(row)[1:-1] for row in metrics.by_release(connection)]


def summed(rows: Sequence[StoredWindow]) -> tuple[int, ...]:
    return tuple(sum(row[index] for row in rows) for index in range(4, 8))


def fold_all(store: Store, now: float) -> None:
    with store.write() as connection:
        after = window_folding.fold(connection, now, "")
        while after:
            after = window_folding.fold(connection, now, after)


def count(connection: Connection, table: Any) -> int:
    return connection.scalar(select(func.count()).select_from(table)) or 0


# One window.


def test_window_is_placed_on_the_rollout_clock_by_its_age(store: Store) -> None:
    take(store, [document(1, age_seconds=100)])
    (found,) = stored(store)
    assert (found.start, found.end) == (NOW - 100 - WINDOW_SECONDS, NOW - 100)
    assert (found.release, found.seconds) == (1, WINDOW_SECONDS)
    assert found[4:8] == tuple(COUNTED.values())


def test_what_was_measured_is_read_as_it_was_sent(store: Store) -> None:
    take(store, [document(1, **MEASURED)])
    (found,) = stored(store)
    read = found.measures()
    assert (found.latency_count, found.latency_log) == (100, 250.0)
    assert read.latency == [0] * 6 + [60, 40] + [0] * 8
    assert read.confidence == [0] * 14 + [30, 70]
    assert (read.classes, read.classes_rest) == ({"3": 60, "cat": 30}, 10)
    number = read.numbers["power_mw"]
    assert astuple(number) == (100, 310.0, 5.0, 300.0, 320.0, 5.736)
    assert (number.total, number.squares) == (31000.0, 100 * (310.0**2 + 25))


def test_inferences_above_a_limit_are_summed_also_with_windows_that_have_none(
    store: Store,
) -> None:
    limited = {"bins": [6, 60, 40], "log": 2500000, "over": [7, 90]}
    take(store, [document(1, latency=limited), document(2, window=1, latency=limited)])
    (found,) = stored(store)
    assert found.measures().over == (14, 180)
    plain = window_measures.load(window_measures.joined(found.packed, '{"l":[6,1]}'))
    assert plain.over == (14, 180)
    assert window_measures.load(plain.dump()) == plain


def test_window_that_only_counts_has_no_measures(store: Store) -> None:
    take(store, [document(1)])
    (found,) = stored(store)
    assert (found.packed, found.latency_count) == ("", 0)
    assert found.measures() == window_measures.WindowMeasures()


def test_further_document_of_a_window_completes_it(store: Store) -> None:
    zeros = dict.fromkeys(COUNTED, 0)
    parts = [
        document(1, latency=MEASURED["latency"]),
        document(2, window=1, numbers=MEASURED["numbers"], **zeros),
    ]
    take(store, parts)
    (found,) = stored(store)
    assert found[3:8] == (WINDOW_SECONDS, *COUNTED.values())
    assert found.measures().latency
    assert found.measures().numbers


def test_repeated_document_with_a_new_age_counts_once(store: Store) -> None:
    take(store, [document(1)])
    before = stored(store)
    take(store, [document(1, age_seconds=300)], NOW + 300)
    take(store, [document(2), document(2, age_seconds=1)], NOW + 900)
    take(store, [document(1, age_seconds=5000)], NOW + 5000)
    assert stored(store)[:1] == before
    assert summed(stored(store)) == (200, 2, 20, 18)
    assert sums(store) == [(1, 1, 200, 2, 20, 18)]


def test_windows_of_another_boot_or_install_are_others(store: Store) -> None:
    take(store, [document(1), document(1, boot=2), document(1, install=B), document(1, boot=2)])
    assert len(stored(store)) == 3
    assert sums(store) == [(1, 1, 300, 3, 30, 27)]


def test_window_of_an_older_agent_is_in_the_sums_alone(store: Store) -> None:
    take(store, [document(1, window=None, seconds=None, age_seconds=None)])
    assert stored(store) == []
    assert sums(store) == [(1, 1, *COUNTED.values())]


# Labels that come later.


@pytest.mark.parametrize("first", [True, False])
def test_late_labels_add_to_their_window_and_do_not_move_it(store: Store, first: bool) -> None:
    both = [(document(5), NOW), (late(9, 5, age_seconds=5000), NOW + 4000)]
    for one, now in both if first else reversed(both):
        take(store, [one], now)
    (found,) = stored(store)
    assert (found.start, found.end) == (NOW - WINDOW_SECONDS, NOW)
    assert found[4:8] == (100, 1, 14, 12)
    assert sums(store) == [(1, 1, 100, 1, 14, 12)]


def test_late_labels_alone_are_a_window_without_a_length(store: Store) -> None:
    take(store, [late(9, 5, age_seconds=3600)])
    (found,) = stored(store)
    assert (found.start, found.end, found.seconds) == (NOW - 3600, NOW - 3600, 0)


def test_label_documents_without_end_do_not_make_a_row_grow_without_end(store: Store) -> None:
    for start in range(0, 400, 100):
        take(store, [late(n, 5) for n in range(start + 1, start + 101)])
    with store.read() as connection:
        found = connection.scalar(select(tables.windows.c.documents)) or ""
    assert len(found.split()) == windows.MAX_DOCUMENTS
    assert sums(store)[0][4] == 4 * 400


# In any order.


def history() -> list[dict[str, Any]]:
    """The documents of a device with two releases, a reset, parts and late labels."""
    found = []
    zeros = dict.fromkeys(COUNTED, 0)
    for boot in (1, 2):
        n = 0
        for number in range(1, 5):
            age = 900 * (10 - 5 * (boot - 1) - number)
            for release in (1, 2):
                place = {"boot": boot, "window": number, "release": release, "age_seconds": age}
                found.append(document(n + 1, **place, **MEASURED, inferences=10 * number))
                part = {"t_c": [5, number * 10**6, 0, number * 10**6, number * 10**6]}
                found.append(document(n + 2, **place, **zeros, numbers=part))
                n += 2
            late_place = {"boot": boot, "age_seconds": age, "labelled": number, "correct": 1}
            found.append(late(n + 1, number, **late_place))
            n += 1
    return found


HISTORY = history()
KEY = [column.name for column in tables.windows.primary_key]
MEASURES = ("seconds", *COUNTED, "latency_count", "latency_log", "ended")


def content(connection: Connection) -> tuple[Any, ...]:
    """All that the windows came to, whatever the order."""
    query = select(tables.windows).order_by(*tables.windows.primary_key)
    rows = []
    for row in connection.execute(query).mappings():
        read = window_measures.load(row["measures"])
        numbers = {name: astuple(number) for name, number in sorted(read.numbers.items())}
        kept = [row[name] for name in (*KEY, *MEASURES)]
        rows.append((*kept, read.latency, read.confidence, sorted(read.classes.items()), numbers))
    return rows, [astuple(row) for row in metrics.by_release(connection)]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    place = tmp_path_factory.mktemp("windows") / "store.db"
    with closing(Store(f"sqlite:///{place}")) as made:
        with made.write() as connection:
            know(connection, "d1")
        yield made


def after_all(shared: Store, batches: Sequence[Sequence[dict[str, Any]]]) -> tuple[Any, ...]:
    with shared.write() as connection:
        connection.execute(delete(tables.windows))
        connection.execute(delete(tables.metrics))
        for batch in batches:
            metrics.add_windows(connection, measured(batch), NOW)
        return content(connection)


@settings(max_examples=200 if LONG else 15, deadline=None)
@given(
    order=st.permutations(range(len(HISTORY))),
    again=st.lists(st.integers(0, len(HISTORY) - 1), max_size=20),
    cuts=st.lists(st.integers(0, len(HISTORY) + 20), max_size=4),
)
def test_documents_in_any_order_and_repeated_come_to_the_same(
    shared: Store, order: list[int], again: list[int], cuts: list[int]
) -> None:
    came = [HISTORY[index] for index in (*order, *again)]
    ends = [0, *sorted(cuts), len(came)]
    batches = [came[start:end] for start, end in pairwise(ends)]
    assert after_all(shared, batches) == after_all(shared, [HISTORY])


@settings(max_examples=200 if LONG else 10, deadline=None)
@given(gone=st.sets(st.integers(0, len(HISTORY) - 1)))
def test_lost_documents_leave_the_others_alone(shared: Store, gone: set[int]) -> None:
    left = [one for index, one in enumerate(HISTORY) if index not in gone]
    _, (*found,) = after_all(shared, [left])
    assert sum(row[3] for row in found) == sum(one["inferences"] for one in left)


# Reading by time.


@pytest.mark.parametrize("first", [0, 1])
def test_of_the_times_of_a_window_s_documents_the_earlier_one_holds(
    store: Store, first: int
) -> None:
    """A broker that holds back a part of a window does not move it to a later look."""
    came = (NOW, NOW + 500)
    for n, now in ((1, came[first]), (2, came[1 - first])):
        take(store, [document(n, window=1)], now)
    (found,) = stored(store)
    assert (found.start, found.end) == (NOW - WINDOW_SECONDS, NOW)


def test_windows_are_read_by_their_end_in_the_order_of_time(store: Store) -> None:
    for n in (3, 1, 2):
        take(store, [document(n, age_seconds=900 * (3 - n))])
    ends = [NOW - 1800, NOW - 900, NOW]
    assert [row.end for row in stored(store)] == ends
    assert [row.end for row in stored(store, ends[0], ends[1])] == [ends[1]]
    assert [row.end for row in stored(store, ends[0] - 1, ends[2])] == ends


def test_only_the_devices_and_the_model_that_were_asked_for_are_read(store: Store) -> None:
    for device in ("d1", "d2", "d3"):
        take(store, [document(1), document(1, model="letters")], device=device)
    with store.read() as connection:
        found = windows.between(connection, "digits", ["d1", "d3", "d4"], 0, NOW)
    assert sorted(found) == ["d1", "d3"]
    assert [len(rows) for rows in found.values()] == [1, 1]


# Folding.


def day_of_windows(store: Store, end: float = NOW) -> None:
    take(store, [document(n, **MEASURED, age_seconds=900 * (96 - n)) for n in range(1, 97)], end)


def test_windows_become_hours_and_hours_days_and_the_sums_stay(store: Store) -> None:
    start = 100 * DAY_SECONDS
    day_of_windows(store, start + DAY_SECONDS)
    whole = summed(stored(store))
    for after, rows in (
        (DAY_SECONDS + KEPT_SECONDS - DAY_SECONDS // 2, None),
        (DAY_SECONDS + KEPT_SECONDS + HOUR_SECONDS, 25),
        (34 * DAY_SECONDS, 2),
    ):
        fold_all(store, start + after)
        found = stored(store)
        assert summed(found) == whole
        assert sum(row.seconds for row in found) == DAY_SECONDS
        assert rows in (None, len(found))
    joined = found[0].measures()
    number = joined.numbers["power_mw"]
    assert sum(row.latency_count for row in found) == 9600
    assert (number.mean, number.deviation, number.least, number.most) == (310, 5, 300, 320)
    assert (found[0].start, found[0].end) == (start, start + DAY_SECONDS)
    assert sums(store) == [(1, 1, *whole)]


def test_window_is_folded_only_when_no_document_of_it_came_for_two_days(store: Store) -> None:
    take(store, [document(1)])
    take(store, [late(2, 1, age_seconds=7200)], NOW + 7200)
    fold_all(store, NOW + KEPT_SECONDS + 7000)
    assert stored(store)[0].seconds == WINDOW_SECONDS
    assert stored(store)[0].end == NOW
    fold_all(store, NOW + KEPT_SECONDS + 7300)
    with store.read() as connection:
        assert (count(connection, tables.windows), count(connection, tables.window_spans)) == (0, 1)


def test_window_of_a_long_time_without_a_connection_is_kept_and_then_folded(store: Store) -> None:
    take(store, [document(1, age_seconds=5 * DAY_SECONDS, windows=30, seconds=27000)])
    fold_all(store, NOW + DAY_SECONDS)
    assert stored(store)[0].seconds == 27000
    fold_all(store, NOW + 3 * DAY_SECONDS)
    (found,) = stored(store)
    assert found.start <= NOW - 5 * DAY_SECONDS <= found.end


def test_document_that_is_repeated_after_it_was_folded_counts_once(store: Store) -> None:
    take(store, [document(1), document(2)])
    after = 3 * DAY_SECONDS
    fold_all(store, NOW + after)
    take(store, [document(2, age_seconds=after), document(3)], NOW + after)
    assert summed(stored(store)) == (300, 3, 30, 27)
    assert sums(store) == [(1, 1, 300, 3, 30, 27)]


def test_windows_that_a_device_has_kept_over_resets_for_days_count_once(store: Store) -> None:
    take(store, [document(1)])
    later = NOW + 4 * DAY_SECONDS
    kept = [document(n, age_seconds=3 * DAY_SECONDS - n * WINDOW_SECONDS) for n in (2, 3)]
    kept += [document(n, boot=2, window=n, age_seconds=DAY_SECONDS) for n in (1, 2)]
    every = [*kept, document(1, boot=3, window=1)]
    for now in (later, later + 60, later + 3 * DAY_SECONDS):  # the power is cut before it ends
        take(store, every, now)
        fold_all(store, now)
    wanted = tuple(6 * number for number in COUNTED.values())
    assert sums(store) == [(1, 1, *wanted)]
    assert summed(stored(store)) == wanted


def test_late_labels_of_a_folded_window_are_added_to_its_hour(store: Store) -> None:
    take(store, [document(1)])
    later = 3 * DAY_SECONDS
    fold_all(store, NOW + later)
    take(store, [late(9, 1, age_seconds=later)], NOW + later)
    fold_all(store, NOW + 2 * later)
    (found,) = stored(store)
    assert found[4:8] == (100, 1, 14, 12)


def test_steps_of_the_folding_are_bounded_and_reach_every_device(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window_folding, "STEP_DEVICES", 3)
    monkeypatch.setattr(window_folding, "STEP_ROWS", 4)
    for device in range(10):
        take(store, [document(n) for n in range(1, 11)], device=f"d{device}")
    left = [100]
    with store.write() as connection:
        after = ""
        for _ in range(100):
            after = window_folding.fold(connection, NOW + 3 * DAY_SECONDS, after)
            left.append(count(connection, tables.windows))
            assert 0 <= left[-2] - left[-1] <= 4
            if not left[-1]:
                break
        assert left[-1] == 0
        assert count(connection, tables.window_spans) == 10


def test_service_folds_in_pauses_and_goes_on_when_the_database_was_away(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def fold(_connection: Connection, _now: float, after: str, _oldest: float) -> str:
        seen.append(after)
        if len(seen) == 2:
            raise StorageError("it is away")
        return f"d{len(seen)}"

    monkeypatch.setattr(window_folding, "fold", fold)
    folding = Folding(store)
    for now in (0, PAUSE_SECONDS - 1, *(PAUSE_SECONDS * step for step in (1, 1.5, 2, 3, 4))):
        folding.step(now)
    assert seen == ["", "d1", "d1", "d3"]


# What devices may do.


def shown(world: World, name: str) -> dict[str, Any]:
    with world.store.read() as connection:
        return device_list.device(connection, name, world.now)


HOSTILE: list[dict[str, Any]] = [
    {"latency": {"bins": [6, 1], "log": 10**9}},
    {"latency": {"bins": [0] + [1] * 17, "log": 0}},
    {"confidence": [16, 1]},
    {"confidence": []},
    {"classes": {"\u202e": 1}},
    {"classes": {f"c{n}": 1 for n in range(17)}},
    {"numbers": {"a": [1, 5, 0, 6, 7]}},
    {"numbers": {f"n{n}": [1, 0, 0, 0, 0] for n in range(9)}},
    {"window": 0},
    {"window": None},
    {"age_seconds": None},
    {"age_seconds": -1},
    {"age_seconds": 1.5},
    {"seconds": 0},
    {"correct": 11},
    {"failures": 101},
    {"inferences": MAX_SEQ + 1},
    {"mood": 1},
    {"extra": {"a": "x" * 150, "b": "x" * 150, "c": "x" * 150, "d": "x" * 150, "e": "x" * 150}},
]


@pytest.mark.parametrize("changes", HOSTILE, ids=lambda changes: next(iter(changes)))
def test_malformed_window_is_dropped_counted_and_shown_and_changes_nothing(
    world: World, changes: dict[str, Any]
) -> None:
    topic = topics.metrics(FLEET, "d1")
    world.inbox.put(topic, json.dumps(document(1)).encode())
    world.hear([])
    before = stored(world.store), sums(world.store)
    payload = document(2, **changes)
    world.inbox.put(topic, json.dumps(payload).encode() + b" " * ("extra" in changes) * 200)
    world.hear([])
    assert (stored(world.store), sums(world.store)) == before
    bad = shown(world, "d1")["bad"]
    assert bad["count"] == 1
    assert bad["reason"].startswith("metrics: ")


def test_largest_numbers_of_a_liar_fit_into_the_database(store: Store) -> None:
    most = 2**53 - 1
    lies = {
        **dict.fromkeys(COUNTED, most),
        "latency": {"bins": [0] + [most] * 16, "log": 21 * 10**6},
        "numbers": {"n": [most, 10**15, 2 * 10**15 - 1, -(10**15), 10**15]},
        "age_seconds": 2**31 - 1,
        "seconds": 2**31 - 1,
    }
    for device in ("d1", "d2"):
        take(store, [document(n, **lies) for n in (1, 2)], device=device)
    for step in (3, 40):
        fold_all(store, NOW + step * DAY_SECONDS)
        assert math.isfinite(stored(store)[0].latency_log)
    assert sums(store)[0][2] == 2 * windows.MAX_SUM


def test_device_that_floods_is_limited_and_shown_and_the_others_are_heard() -> None:
    allowance = Allowance()
    flood = measured([document(n) for n in range(1, MAX_WINDOWS_AN_HOUR + 11)])
    others = measured([document(1)], "d2")
    found = allowance.limited([*flood, *others], NOW)
    bad = [message for message in found if isinstance(message, Bad)]
    assert [message.device for message in bad] == ["d1"] * 10
    assert "longer metrics_seconds" in bad[0].reason
    assert found[-1] == others[0]
    assert allowance.limited(flood[:1], NOW + 3600) == flood[:1]


def test_what_is_kept_of_a_device_goes_when_it_is_forgotten(store: Store) -> None:
    take(store, [document(1)])
    fold_all(store, NOW + 3 * DAY_SECONDS)
    take(store, [document(2)])
    with store.write() as connection:
        assert forgetting.forget(connection, "d1")
        assert count(connection, tables.windows) == count(connection, tables.window_spans) == 0


def test_windows_use_the_clock_of_the_rollouts(world: World) -> None:
    with world.store.write() as connection:
        connection.execute(update(tables.clock).values(seconds=5000.0))
    world.inbox.put(topics.metrics(FLEET, "d1"), json.dumps(document(1)).encode())
    world.hear([])
    assert stored(world.store)[0].end == 5000.0
