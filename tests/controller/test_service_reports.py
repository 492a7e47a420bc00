"""Tests that messages of devices are stored once and in order, and that wrong ones affect only
their sender."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
from rollout_world import FLEET, TARGET, World
from sqlalchemy import select

from modelwave_controller.errors import StorageError
from modelwave_controller.operations import device_list, overview, rollouts
from modelwave_controller.operations.device_entries import SILENT_SECONDS
from modelwave_controller.service.writer import (
    MAX_BACKLOG,
    MAX_INBOX_BYTES,
    MAX_PAYLOAD_BYTES,
    MESSAGE_BYTES,
    Inbox,
    Writer,
)
from modelwave_controller.storage import devices, log, metrics, strangers, tables
from modelwave_shared import topics
from modelwave_shared.limits import MAX_REPORT_BYTES, MAX_SEQ
from modelwave_shared.slots import slot


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=3)) as made:
        yield made


def put(world: World, topic: str, payload: bytes) -> None:
    world.inbox.put(topic, payload)
    world.hear([])


def report(world: World, name: str, payload: bytes) -> None:
    put(world, topics.reported(FLEET, name), payload)


def shown(world: World, name: str) -> dict[str, Any]:
    with world.store.read() as connection:
        return device_list.device(connection, name, world.now)


def everything(world: World) -> list[list[Any]]:
    """All that devices may have an influence on."""
    of_devices = (
        tables.events,
        tables.devices,
        tables.device_models,
        tables.presence,
        tables.metrics,
    )
    with world.store.read() as connection:
        return [[tuple(row) for row in connection.execute(select(t))] for t in of_devices]


def test_a_device_is_learned_from_its_first_report(world: World) -> None:
    found = shown(world, "d1")
    assert (found["target"], found["slot"]) == (TARGET, slot(FLEET, "d1"))
    assert (found["boot"], found["n"], found["seen_at"]) == (1, 1, world.now)


def test_a_replayed_boot_and_n_changes_nothing(world: World) -> None:
    before = everything(world)
    changed = json.loads(world.devices["d1"].report()) | {"n": 1, "agent": "forged"}
    report(world, "d1", json.dumps(changed).encode())
    assert everything(world) == before


def test_an_older_report_changes_nothing_but_is_counted(world: World) -> None:
    report(world, "d1", world.devices["d1"].report(boot=2, n=1))
    report(world, "d1", world.devices["d1"].report(boot=1, n=9, agent="older"))
    found = shown(world, "d1")
    assert (found["boot"], found["agent"], found["stale"]) == (2, "test", 1)


def test_a_reset_counts_as_newer_though_n_starts_again(world: World) -> None:
    report(world, "d1", world.devices["d1"].report(boot=1, n=500))
    report(world, "d1", world.devices["d1"].report(boot=2, n=1, agent="after the reset"))
    assert shown(world, "d1")["agent"] == "after the reset"


def test_the_newest_report_in_a_batch_wins_in_whatever_order(world: World) -> None:
    for n in (7, 9, 8):
        payload = world.devices["d1"].report(n=n, agent=f"n{n}")
        world.inbox.put(topics.reported(FLEET, "d1"), payload)
    world.hear([])
    assert shown(world, "d1")["agent"] == "n9"


def test_a_device_that_is_another_target_now_is_counted_there(world: World) -> None:
    world.devices["d1"].target = "rp2040"
    world.hear([world.devices["d1"]])
    with world.store.read() as connection:
        known = devices.known(connection, "digits")
    assert {target: sum(known.counts(target).values()) for target in known.devices} == {
        TARGET: 2,
        "rp2040": 1,
    }


def test_a_model_that_is_gone_from_the_report_is_gone_here(world: World) -> None:
    device = world.devices["d1"]
    order = {"model": "digits", "manifest": "a" * 64, "epoch": 0, "seq": 1}
    device.take(order, "SUCCEEDED")
    world.hear([device])
    assert [model["model"] for model in shown(world, "d1")["models"]] == ["digits"]
    device.models = {}
    world.hear([device])
    assert shown(world, "d1")["models"] == []


def test_each_change_of_an_answer_is_one_event(world: World) -> None:
    world.start(1)
    world.tick()
    device = next(d for d in world.devices.values() if world.ordered(d))
    for outcome in ("", "", "FAILED", "FAILED", "SUCCEEDED"):
        world.answer(outcome, [device])
        for step in ("proving", "trial"):  # its way there is shown, but is no answer
            device.models["digits"]["state"] = step
            world.hear([device])
    with world.store.read() as connection:
        query = select(tables.events.c.body).where(tables.events.c.kind == "reported")
        found = [json.loads(body) for body in connection.scalars(query)]
    outcomes = [body["outcome"] for body in found if body["device"] == device.name]
    assert outcomes == ["IN_PROGRESS", "FAILED", "SUCCEEDED"]


def answers_in_the_log(world: World, device: str) -> list[tuple[str, str]]:
    with world.store.read() as connection:
        query = select(tables.events.c.body).where(tables.events.c.kind == "reported")
        found = [json.loads(body) for body in connection.scalars(query)]
    return [(body["outcome"], body["reason"]) for body in found if body["device"] == device]


def test_a_refusal_with_other_numbers_is_shown_and_is_no_new_event(world: World) -> None:
    world.start(1)
    world.tick()
    device = next(d for d in world.devices.values() if world.ordered(d))
    reasons = [f"flash: {1500 - free} bytes missing (needs 1500, has {free})" for free in (90, 7)]
    for reason in reasons:
        world.answer("REJECTED", [device], reason)
    assert shown(world, device.name)["models"][0]["reason"] == reasons[1]
    assert answers_in_the_log(world, device.name) == [("REJECTED", reasons[0])]
    world.answer("REJECTED", [device], "ram: 1500 bytes missing (needs 1500, has 0)")
    assert len(answers_in_the_log(world, device.name)) == 2


def test_a_device_that_goes_on_and_refuses_again_forever_makes_few_events(world: World) -> None:
    world.start(1)
    world.tick()
    device = next(d for d in world.devices.values() if world.ordered(d))
    for free in range(10):
        world.answer("REJECTED", [device], f"flash: 1500 bytes missing (has {free})")
        world.answer("", [device])
    held = answers_in_the_log(world, device.name)
    assert [outcome for outcome, _ in held] == ["REJECTED", "IN_PROGRESS"] * 3 + ["REJECTED"]
    assert shown(world, device.name)["models"][0]["outcome"] == ""
    world.answer("SUCCEEDED", [device])
    assert answers_in_the_log(world, device.name) == [*held, ("SUCCEEDED", "")]


def test_a_refusal_of_another_order_is_an_event_however_often_one_before_was(world: World) -> None:
    world.start(1)
    world.tick()
    device = next(d for d in world.devices.values() if world.ordered(d))
    for _ in range(10):
        world.answer("REJECTED", [device], "flash")
        world.answer("", [device])
    rollouts.abort(world.store, "1", "rain", world.now)
    world.start(2)
    world.tick()
    held = len(answers_in_the_log(world, device.name))
    world.answer("REJECTED", [device], "flash")
    world.answer("", [device])
    assert len(answers_in_the_log(world, device.name)) == held + 2


# What is wrong with it.

BAD_REPORTS: dict[str, Callable[[bytes], bytes]] = {
    "nothing in it": lambda good: b"{}",
    "no JSON": lambda good: b"\xff\xfe\x00",
    "1 MB": lambda good: good[:-1] + b" " * 2**20 + b"}",
    "one byte too long": lambda good: good.ljust(MAX_REPORT_BYTES + 1),
    "8,000 brackets": lambda good: b"[" * 8000,
    "objects in objects": lambda good: b'{"a":' * 3000,
    "NaN": lambda good: good.replace(b'"boot": 1', b'"boot": NaN'),
    "Infinity": lambda good: good.replace(b'"boot": 1', b'"boot": Infinity'),
    "1e999": lambda good: good.replace(b'"boot": 1', b'"boot": 1e999'),
    "2^63": lambda good: good.replace(b'"boot": 1', b'"boot": %d' % 2**63),
    "4,000 digits": lambda good: good.replace(b'"boot": 1', b'"boot": ' + b"1" * 4000),
    "007": lambda good: good.replace(b'"boot": 1', b'"boot": 007'),
    "true for 1": lambda good: good.replace(b'"boot": 1', b'"boot": true'),
    "a key twice": lambda good: good.replace(b'"boot": 1', b'"boot": 1, "boot": 1'),
    "text after the end": lambda good: good + b"{}",
    "NUL at the end": lambda good: good + b"\0",
    "a BOM": lambda good: b"\xef\xbb\xbf" + good,
    "an unknown field": lambda good: good.replace(b'"boot": 1', b'"boot": 1, "x": 1'),
    "a newline in a text": lambda good: good.replace(b'"test"', b'"te\\r\\nst"'),
    "an escape sequence in a text": lambda good: good.replace(b'"test"', b'"\\u001b[2J"'),
    "a lone surrogate": lambda good: good.replace(b'"test"', b'"\\ud800"'),
    "a path for a target": lambda good: good.replace(b'"linux-cpu"', b'"../../etc"'),
    "an escape sequence for a key": lambda good: good.replace(b'"agent"', b'"\\u001b[2J\\u0000"'),
}


@pytest.mark.parametrize("what", BAD_REPORTS)
def test_a_report_that_cannot_be_read_changes_nothing_and_is_shown(world: World, what: str) -> None:
    before = everything(world)
    report(world, "d1", BAD_REPORTS[what](world.devices["d1"].report()))
    assert everything(world) == before
    bad = shown(world, "d1")["bad"]
    assert bad["count"] == 1
    assert bad["reason"].isprintable()
    assert bad["reason"].isascii()
    assert len(bad["reason"]) <= 200
    report(world, "d1", world.devices["d1"].report(agent="well again"))
    assert shown(world, "d1")["agent"] == "well again"


def test_a_device_of_which_only_nonsense_is_known_is_shown_and_not_counted(world: World) -> None:
    report(world, "stranger", b"nonsense")
    report(world, "stranger", b"nonsense")
    found = shown(world, "stranger")
    assert "target" not in found
    assert found["bad"]["count"] == 2
    with world.store.read() as connection:
        known = devices.known(connection, "digits")
        assert sum(known.counts(TARGET).values()) == 3


@pytest.mark.parametrize(
    "topic",
    [
        "modelwave/1/another/reported/d1",
        "modelwave/1/meadow/reported/../d1",
        "modelwave/1/meadow/reported/D1",
        "modelwave/1/meadow/reported/",
        "modelwave/1/meadow/reported",
        "modelwave/1/meadow/reported/d1/x",
        "modelwave/1/meadow/desired/linux-cpu/digits/1",
        "modelwave/1/meadow/reported/" + "d" * 64,
        "modelwave/1/meadow/reported/d\x1b[2J",
    ],
)
def test_a_topic_that_names_no_device_of_this_fleet_is_passed_over(
    world: World, topic: str
) -> None:
    before = everything(world)
    put(world, topic, world.devices["d1"].report())
    assert everything(world) == before
    with world.store.read() as connection:
        assert connection.execute(select(tables.bad_messages)).all() == []


def test_a_device_speaks_only_for_the_id_in_its_topic(world: World) -> None:
    # Which topics a device may write is the broker's to say (its ACL); a report names none.
    report(world, "d1", world.devices["d2"].report(boot=1, n=50, agent="as d1"))
    assert shown(world, "d1")["agent"] == "as d1"
    assert shown(world, "d2")["n"] == 1


def test_presence_is_online_or_offline_and_nothing_else(world: World) -> None:
    world.tick()
    topic = topics.presence(FLEET, "d1")
    put(world, topic, b"online")
    assert shown(world, "d1")["online"] is True
    put(world, topic, b"offline")
    assert shown(world, "d1")["online"] is False
    put(world, topic, b"\x1b[2J")
    assert shown(world, "d1")["bad"]["reason"] == "presence: neither online nor offline"


def test_a_cleared_retained_topic_is_no_message(world: World) -> None:
    before = everything(world)
    report(world, "d1", b"")
    put(world, topics.presence(FLEET, "d1"), b"")
    assert everything(world) == before


def test_a_device_that_is_online_and_not_heard_of_is_silent_since_its_last_report(
    world: World,
) -> None:
    put(world, topics.presence(FLEET, "d1"), b"online")
    put(world, topics.presence(FLEET, "d2"), b"offline")
    last = world.now
    world.tick()
    world.now += SILENT_SECONDS
    world.tick()
    assert shown(world, "d1")["silent_since"] is None
    assert shown(world, "d2")["silent_since"] is None
    world.now += log.TICK_NOTED_SECONDS + 1
    world.tick()
    assert shown(world, "d1")["silent_since"] == last
    assert shown(world, "d2")["silent_since"] is None  # it is offline, and says so
    with world.store.read() as connection:
        fleet = overview.fleet(connection, FLEET, world.now)
    assert (fleet.online, fleet.silent) == (1, 1)
    report(world, "d1", world.devices["d1"].report())
    assert shown(world, "d1")["silent_since"] is None


def test_a_jump_of_the_wall_clock_makes_nobody_silent(world: World) -> None:
    put(world, topics.presence(FLEET, "d1"), b"online")
    world.tick()
    world.jump(2 * 86400)
    world.now += 60
    world.tick()
    assert shown(world, "d1")["silent_since"] is None


def test_while_no_service_listens_nobody_falls_silent(world: World) -> None:
    put(world, topics.presence(FLEET, "d1"), b"online")
    world.tick()
    world.now += 10 * SILENT_SECONDS
    assert shown(world, "d1")["silent_since"] is None


@pytest.mark.parametrize(
    ("table", "topic", "payload", "later"),
    [
        (tables.presence, topics.presence, b"online", b"offline"),
        (tables.bad_messages, topics.reported, b"nonsense", b"nonsense"),
    ],
)
def test_strangers_fill_a_table_to_its_bound_and_keep_no_device_out(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    table: Any,
    topic: Callable[[str, str], str],
    payload: bytes,
    later: bytes,
) -> None:
    monkeypatch.setattr(strangers, "MAX_STRANGERS", 5)
    for number in range(12):  # one by one and several at once
        world.inbox.put(topic(FLEET, f"stranger-{number}"), payload)
        if number % 4 < 2:
            world.hear([])

    def held() -> dict[str, float]:
        with world.store.read() as connection:
            return {row.device: row.at for row in connection.execute(select(table))}

    assert set(held()) == {f"stranger-{number}" for number in range(5)}
    world.now += 1
    put(world, topic(FLEET, "d1"), later)
    put(world, topic(FLEET, "stranger-3"), later)
    put(world, topic(FLEET, "stranger-9"), later)
    assert len(held()) == 6
    assert held()["d1"] == held()["stranger-3"] == world.now


# Metrics.


def window(n: int, **changes: Any) -> bytes:
    document = {
        "boot": 1,
        "n": n,
        "model": "digits",
        "release": 1,
        "inferences": 100,
        "failures": 1,
        "labelled": 10,
        "correct": 9,
    }
    return json.dumps(document | changes).encode()


def sums(world: World) -> list[tuple[int, ...]]:
    with world.store.read() as connection:
        return [astuple(row)[1:-1] for row in metrics.by_release(connection)]


def test_metrics_of_strangers_are_kept_up_to_a_bound_and_those_of_devices_always(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strangers, "MAX_STRANGERS", 5)
    for number in range(12):  # one by one and several at once
        for release in (1, 2):
            payload = window(release, release=release)
            world.inbox.put(topics.metrics(FLEET, f"stranger-{number}"), payload)
        if number % 4 < 2:
            world.hear([])
    with world.store.read() as connection:
        held = list(connection.scalars(select(tables.metrics.c.device)))
    assert sorted(held) == [f"stranger-{number}" for number in range(5)]
    put(world, topics.metrics(FLEET, "d1"), window(1))
    put(world, topics.metrics(FLEET, "stranger-3"), window(3))
    put(world, topics.metrics(FLEET, "stranger-9"), window(3))
    assert sums(world)[0][1:3] == (6, 700)


@pytest.mark.parametrize(("part", "whole"), [("failures", "inferences"), ("correct", "labelled")])
def test_metrics_of_which_a_part_is_more_than_its_whole_are_counted_as_unreadable(
    world: World, part: str, whole: str
) -> None:
    put(world, topics.metrics(FLEET, "d1"), window(1, **{part: 9, whole: 1}))
    assert sums(world) == []
    assert world.writer.counts["bad"] == 1
    with world.store.read() as connection:
        (bad,) = connection.execute(select(tables.bad_messages))
    assert (bad.device, bad.reason) == ("d1", f"metrics: metrics.{part}: 9, more than {whole}: 1")
    put(world, topics.metrics(FLEET, "d1"), window(2, **{part: 1, whole: 1}))
    assert len(sums(world)) == 1


def test_windows_add_up_by_release_and_a_repeated_one_counts_once(world: World) -> None:
    for payload in (window(1), window(2), window(2), window(1), window(3, release=2)):
        put(world, topics.metrics(FLEET, "d1"), payload)
    put(world, topics.metrics(FLEET, "d2"), window(1))
    assert sums(world) == [(1, 2, 300, 3, 30, 27), (2, 1, 100, 1, 10, 9)]


def test_windows_after_a_reset_count_though_n_starts_again(world: World) -> None:
    topic = topics.metrics(FLEET, "d1")
    late = window(501, inferences=1000)  # of the boot before
    for payload in (window(500), window(1, boot=2), late):
        put(world, topic, payload)
    assert sums(world) == [(1, 1, 200, 2, 20, 18)]


def test_sums_of_a_liar_stop_growing_and_still_add_up(world: World) -> None:
    for name in ("d1", "d2"):
        for n in (1, 2):
            put(world, topics.metrics(FLEET, name), window(n, inferences=MAX_SEQ))
    assert sums(world)[0][2] == 2 * metrics.MAX_SUM


def test_a_device_that_names_ever_new_releases_is_not_heard_beyond_a_limit(world: World) -> None:
    for number in range(metrics.MAX_ROWS_OF_A_DEVICE + 50):
        put(world, topics.metrics(FLEET, "d1"), window(number, release=number))
    assert len(sums(world)) == metrics.MAX_ROWS_OF_A_DEVICE


# Floods.


def test_a_burst_of_20000_reports_stays_within_bounds_and_the_newest_wins(world: World) -> None:
    inbox, topic = Inbox(), topics.reported(FLEET, "d1")
    device = world.devices["d1"]
    for number in range(20_000):
        inbox.put(topic, device.report(agent=f"agent {number}"))
        assert len(inbox) <= MAX_BACKLOG
    assert inbox.counts == {"received": 20_000, "dropped": 20_000 - MAX_BACKLOG}
    writer = Writer(world.store, FLEET, inbox, clock=lambda: world.now)
    while writer.write_batch(0):
        pass
    assert shown(world, "d1")["agent"] == "agent 19999"
    assert (len(inbox), inbox.bytes) == (0, 0)


def test_dropped_messages_are_told_but_not_one_by_one(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(100):
        for _ in range(MAX_BACKLOG + 10):
            world.inbox.put(topics.reported(FLEET, "d1"), b"nonsense")
        world.hear([])
    told = [
        record.args[0]  # type: ignore[index]
        for record in caplog.records
        if record.args and record.name.endswith("writer")
    ]
    assert told == [10, 20, 40, 80, 160, 320, 640]


def test_who_floods_loses_their_own_messages_not_others(world: World) -> None:
    inbox = Inbox()
    for _ in range(5000):
        inbox.put(topics.reported(FLEET, "d1"), world.devices["d1"].report())
        inbox.put(topics.reported(FLEET, "d2"), b"x") if len(inbox) == 1 else None
    taken = inbox.take(1000, 0)
    assert (topics.reported(FLEET, "d2"), b"x") in taken


def test_who_floods_is_named_by_the_log_and_the_list_of_devices(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    device = world.devices["d1"]
    for number in range(MAX_BACKLOG + 40):
        world.inbox.put(topics.reported(FLEET, "d1"), device.report(agent=f"agent {number}"))
    world.hear([world.devices["d2"]])
    told = "device d1: 40 messages ignored: reported: it sends faster than is stored"
    assert told in caplog.text
    assert shown(world, "d1")["bad"]["count"] == 40
    assert shown(world, "d2")["bad"] is None


@pytest.mark.slow
def test_20000_devices_at_once_are_all_stored(world: World) -> None:
    inbox = Inbox()
    payload = world.devices["d1"].report()
    for number in range(20_000):
        inbox.put(topics.reported(FLEET, f"many-{number}"), payload)
    assert inbox.counts["dropped"] == 0
    writer = Writer(world.store, FLEET, inbox, clock=lambda: world.now)
    while writer.write_batch(0):
        pass
    with world.store.read() as connection:
        known = devices.known(connection, "digits")
    assert sum(known.counts(TARGET).values()) == 20_003


def test_the_inbox_has_a_bound_in_bytes_and_drops_the_oldest() -> None:
    inbox = Inbox()
    size = MAX_REPORT_BYTES
    enough = MAX_INBOX_BYTES // (size + MESSAGE_BYTES) + 10
    for number in range(enough):
        inbox.put(f"t/{number}", b"x" * size)
        assert inbox.bytes <= MAX_INBOX_BYTES
    assert inbox.counts["dropped"] >= 10
    inbox.put("t/0", b"again")
    assert inbox.take_dropped(1) == []  # as long as it is rather full
    newest = [topic for topic, _ in inbox.take(enough, 0)]
    assert newest[-2:] == [f"t/{enough - 1}", "t/0"]
    dropped = inbox.take_dropped(enough)
    assert dropped[0] == "t/1", "the first has come again, and was taken"
    assert len(dropped) == inbox.counts["dropped"] - 1
    assert inbox.take_dropped(enough) == []


def test_a_body_of_1_mb_does_not_lie_in_the_inbox() -> None:
    inbox = Inbox()
    inbox.put("t", b"x" * 2**20)
    assert inbox.bytes <= MAX_PAYLOAD_BYTES + 1 + MESSAGE_BYTES


def test_what_was_heard_is_stored_before_the_writer_ends(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelwave_controller.service.writer.MAX_BATCH", 2)
    writer = Writer(world.store, FLEET, world.inbox, clock=lambda: world.now)
    for device in [*world.devices.values()] * 2:
        world.inbox.put(topics.reported(FLEET, device.name), device.report())
    writer._stopping.set()  # before its first look
    writer.start()
    writer.stop()
    assert writer.counts["stored"] == 6


# The database fails.


def test_a_batch_survives_a_database_that_fails_for_a_moment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelwave_controller.service.writer.RETRY_SECONDS", (0, 0))
    write, failures = world.store.write, [StorageError("disk full")] * 2

    def failing() -> Any:
        if failures:
            raise failures.pop()
        return write()

    monkeypatch.setattr(world.store, "write", failing)
    report(world, "d1", world.devices["d1"].report(agent="after all"))
    assert shown(world, "d1")["agent"] == "after all"
    assert world.writer.counts["lost"] == 0


def test_a_batch_that_is_lost_is_counted_and_the_writer_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelwave_controller.service.writer.RETRY_SECONDS", (0, 0))

    def failing() -> Any:
        raise StorageError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(world.store, "write", failing)
        report(world, "d1", world.devices["d1"].report())
    assert world.writer.counts["lost"] == 1
    report(world, "d1", world.devices["d1"].report(agent="next"))
    assert shown(world, "d1")["agent"] == "next"


def test_a_full_disk_is_told_when_it_begins_and_what_was_lost_when_it_is_over(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("modelwave_controller.service.writer.RETRY_SECONDS", (0, 0))
    caplog.set_level("INFO")

    def failing() -> Any:
        raise StorageError("disk full")

    for _ in range(2):
        caplog.clear()
        with monkeypatch.context() as patched:
            patched.setattr(world.store, "write", failing)
            for _ in range(4):
                report(world, "d1", world.devices["d1"].report())
        for _ in range(4):
            report(world, "d1", world.devices["d1"].report())
        assert [record.getMessage() for record in caplog.records] == [
            "disk full; devices' messages are not stored",
            "devices' messages are stored again",
            "4 messages lost; devices repeat their reports",
        ]
