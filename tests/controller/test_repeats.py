"""Tests that reports which say nothing new are kept for a minute, that nothing else is, and what
becomes of them when something comes between."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rollout_world import FLEET, World, quick
from sqlalchemy import select, update

from modelwave_controller.errors import StorageError
from modelwave_controller.operations import device_list
from modelwave_controller.rollout import repair
from modelwave_controller.service import repeats
from modelwave_controller.service.repeats import Repeats
from modelwave_controller.service.tick import Ticker
from modelwave_controller.service.writer import Writer
from modelwave_controller.storage import forgetting, tables
from modelwave_shared import topics

NONCE = "0123456789abcdef"


@pytest.fixture
def world(tmp_path: Path, url: str) -> Iterator[World]:
    with closing(World(tmp_path, url)) as made:
        with made.store.write() as connection:  # one database for all tests on PostgreSQL
            for name in connection.scalars(select(tables.devices.c.device)).all():
                forgetting.forget(connection, name)
            connection.execute(update(tables.clock).values(seconds=0.0))
        lead(made)
        made.add(2)
        yield made


def lead(world: World) -> None:
    """A service leads anew: it remembers nothing."""
    found = Repeats(world.store, lambda: world.steady)
    world.writer = Writer(world.store, FLEET, world.inbox, clock=lambda: world.now, repeats=found)
    world.ticker = Ticker(world.store, world.issuer, found.heard_again)


def kept(world: World) -> dict[str, Any]:
    assert world.writer.repeats
    return dict(world.writer.repeats._kept)


def flush(world: World) -> None:
    assert world.writer.repeats
    world.now += repeats.FLUSH_SECONDS
    world.writer.repeats.flush()


def row(world: World, name: str, table: Any = tables.devices) -> dict[str, Any]:
    with world.store.read() as connection:
        found = connection.execute(select(table).where(table.c.device == name)).first()
        return dict(found._mapping) if found else {}


def shown(world: World, name: str) -> dict[str, Any]:
    with world.store.read() as connection:
        return device_list.device(connection, name, world.now)


def test_a_report_that_says_nothing_new_writes_nothing_until_the_minute_is_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    d0, before = world.devices["d0"], row(world, "d0")
    with monkeypatch.context() as patched:
        patched.setattr(world.store, "write", None)
        d0.says = {"free": {"flash": 7, "ram": 8}}
        world.now += 5
        world.hear([d0])
        world.inbox.put(topics.reported(FLEET, "d0"), d0.report())
        d0.n -= 1
        world.hear([d0])  # the same one twice
    assert kept(world).keys() == {"d0"}
    flush(world)
    assert row(world, "d0") == before
    entry = shown(world, "d0")
    assert (entry["seen_at"], entry["free_flash"], entry["free_ram"]) == (world.now - 60, 7, 8)
    assert (entry["device"], kept(world)) == ("d0", {})


def test_what_says_something_new_is_stored_at_once_and_is_newer_than_what_was_kept(
    world: World,
) -> None:
    d0 = world.devices["d0"]
    world.hear([d0])
    flush(world)
    world.hear([d0])
    d0.says = {"agent": "another"}
    world.now += 5
    world.hear([d0])
    assert row(world, "d0")["agent"] == "another"
    assert row(world, "d0")["n"] == d0.n
    assert row(world, "d0", tables.last_heard) == {} == kept(world)
    assert shown(world, "d0")["seen_at"] == world.now


def test_an_older_report_is_noticed_by_the_number_that_was_kept(world: World) -> None:
    d0 = world.devices["d0"]
    for _ in range(3):
        world.hear([d0])
    d0.n -= 3
    d0.says = {"agent": "late"}
    world.hear([d0])
    assert shown(world, "d0")["agent"] == "test"
    assert row(world, "d0")["stale"] == 1
    d0.says = {}
    world.hear([d0])  # a repeat, and older: it is told as one
    assert row(world, "d0")["stale"] == 2


def test_of_two_reports_at_once_the_first_of_which_is_new_both_count(world: World) -> None:
    d0 = world.devices["d0"]
    for agent in ("between", "test"):
        world.inbox.put(topics.reported(FLEET, "d0"), d0.report(agent=agent))
    world.hear([])
    assert shown(world, "d0")["agent"] == "test"
    assert (row(world, "d0")["n"], row(world, "d0")["stale"]) == (d0.n, 0)


def test_the_first_service_after_a_crash_hears_when_a_device_was_last_heard(world: World) -> None:
    d0 = world.devices["d0"]
    world.now += 100
    world.hear([d0])  # kept, and lost
    lead(world)
    d0.n -= 1  # the broker retains it
    world.hear([d0])
    assert shown(world, "d0")["seen_at"] == world.now
    lead(world)
    d0.n -= 1
    world.hear([d0])  # the same: it is remembered, nothing is stored
    world.hear([d0])
    assert kept(world)["d0"].n == d0.n


def test_a_report_with_the_number_of_the_stored_one_and_other_words_is_not_remembered(
    world: World,
) -> None:
    lead(world)
    d0 = world.devices["d0"]
    for _ in range(2):
        d0.n -= 1
        d0.says = {"agent": "forged"}
        world.hear([d0])
    world.hear([d0])
    assert shown(world, "d0")["agent"] == "forged"  # as the newest report


def test_a_report_that_asks_for_a_heartbeat_is_answered_each_time(world: World) -> None:
    asked = []
    world.writer.stored = asked.extend
    world.devices["d0"].says = {"extra": {"nonce": NONCE}}
    world.hear([world.devices["d0"]])
    world.hear([world.devices["d0"]])
    assert len(asked) == 2
    world.devices["d0"].says = {}
    world.hear([world.devices["d0"]])
    assert kept(world).keys() == {"d0"}, "without the nonce it says what it said before"


def test_after_the_operator_forgot_a_device_its_next_report_is_the_first_one(world: World) -> None:
    d0 = world.devices["d0"]
    world.hear([d0])
    with world.store.write() as connection:
        forgetting.forget(connection, "d0")
    flush(world)
    assert row(world, "d0", tables.last_heard) == {}
    world.hear([d0])
    assert row(world, "d0")["n"] == d0.n


def test_unchanged_presence_is_not_written(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def say(word: bytes) -> None:
        world.inbox.put(topics.presence(FLEET, "d0"), word)
        world.hear([])

    say(b"online")
    with monkeypatch.context() as patched:
        patched.setattr(world.store, "write", None)
        say(b"online")
    say(b"offline")
    assert row(world, "d0", tables.presence)["online"] is False


def test_a_device_that_repeats_an_older_order_than_its_own_is_sent_it_again(world: World) -> None:
    world.start(1, quick(100))
    world.tick()
    everyone = list(world.devices.values())
    world.answer("SUCCEEDED", everyone[:1])
    found = []
    for _ in range(8):  # the other one goes on with what it has
        world.now += repair.MARGIN_SECONDS * 2
        world.hear(everyone)
        world.tick()
        with world.store.read() as connection:
            found += connection.execute(select(tables.repairs)).all()
    assert {one.device for one in found} == {"d1"}
    assert max(one.times for one in found) >= 1


def test_what_cannot_be_stored_now_is_stored_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise StorageError("disk full")

    world.hear([world.devices["d0"]])
    with monkeypatch.context() as patched:
        patched.setattr(world.store, "write", full)
        flush(world)
    assert kept(world).keys() == {"d0"}
    flush(world)
    assert row(world, "d0", tables.last_heard)["n"] == world.devices["d0"].n


def test_what_is_kept_is_stored_when_the_writer_ends(world: World) -> None:
    world.hear([world.devices["d0"]])
    world.writer.start()
    world.writer.stop()
    assert row(world, "d0", tables.last_heard)["n"] == world.devices["d0"].n
