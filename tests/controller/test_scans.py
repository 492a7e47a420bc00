"""What the service reads in a rollout, and what its status reads, goes through no table that grows
with the fleet or with its history: SQLite says for each statement how it would find the rows."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from rollout_world import TARGET, World, newest, quick, seen
from sqlalchemy import event

from modelwave_controller.rollout.state import FINISHED
from modelwave_controller.service.tick import Ticker
from modelwave_controller.storage import log, outbox
from modelwave_controller.storage.counted import Counted

# All that a fleet's size or its history makes large. (`outbox` has a row for each slot.)
LARGE = ("answered", "device_models", "devices", "events", "presence", "wave_orders")

# Indexes that have few rows in any fleet.
FEW = ("devices_with_clones", "devices_that_refused")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=6)) as made:
        yield made


@contextmanager
def statements(world: World) -> Iterator[dict[str, Any]]:
    """Notes the statements of the block, with parameters."""
    found: dict[str, Any] = {}

    def note(_connection: object, _cursor: object, text: str, *given: Any) -> None:
        parameters, _context, many = given
        found.setdefault(text, parameters[0] if many else parameters)

    engines = (world.store._engine, world.store._writer)
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    yield found
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)


def plans(world: World, act: Callable[[], object]) -> list[str]:
    """Returns how SQLite finds rows, a text for each table of each statement of `act`."""
    with statements(world) as found:
        act()
    with world.store.read() as connection:
        return [
            f"{row[3]} <- {text}"
            for text, parameters in found.items()
            if text.split()[0] in ("SELECT", "UPDATE", "DELETE")
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", parameters)
        ]


def through_large_tables(found: list[str]) -> list[str]:
    scans = [line for line in found if line.startswith("SCAN") and line.split()[1] in LARGE]
    return [line for line in scans if line.partition(" <- ")[0].split()[-1] not in FEW]


def test_a_rollout_and_a_restart_in_its_middle_go_through_no_large_table(world: World) -> None:
    world.start(1, quick(50, 100))

    def act() -> None:
        for _ in range(3):
            world.now += 1
            world.ticker = Ticker(world.store, world.issuer)
            world.tick()
            world.answer("SUCCEEDED", world.devices.values())
        world.tick()

    found = plans(world, act)
    assert newest(world).status == FINISHED
    assert through_large_tables(found) == []
    assert any("events_but_answers" in line for line in found)


def test_what_is_due_for_the_broker_is_found_by_an_index(world: World) -> None:
    def act() -> None:
        with world.store.read() as connection:
            outbox.unsent(connection, 100)
            outbox.left(connection)
            outbox.any_left(connection, "meadow", TARGET, "digits")

    ways = {line.partition(" <- ")[0] for line in plans(world, act)}
    assert ways == {"SCAN outbox USING INDEX outbox_unsent"}


def test_status_of_a_rollout_goes_through_no_large_table(world: World) -> None:
    """Neither while it runs, nor past a deadline, nor when it is over; only devices that have not
    succeeded are looked for, by their slots."""
    least = {"max_silent_percent": 100, "max_failed_percent": 100, "min_succeeded_percent": 0}
    world.start(1, quick(50, 100, stage=least))
    found = plans(world, lambda: seen(world))
    world.tick()
    failing, silent, *others = [one for one in world.devices.values() if world.ordered(one)]
    world.answer("FAILED", [failing])
    world.answer("SUCCEEDED", others)
    found += plans(world, lambda: seen(world))
    for _ in range(2):
        world.now += 200
        world.tick()
        found += plans(world, lambda: seen(world))
        assert {one.device for one in seen(world).problems} >= {failing.name, silent.name}
    assert newest(world).status == FINISHED
    assert through_large_tables(found) == []
    assert [line for line in found if "device_models_by_number (model=?)" in line] == []


def test_counts_of_a_fleet_come_from_the_counters(world: World) -> None:
    world.start(1, quick(100))
    world.tick()

    def act() -> None:
        with world.store.read() as connection:
            rollout = log.without_answers(connection).rollouts[1]
            counted = Counted(connection, "digits")
            assert counted.answers(rollout, 0).devices == 6
            counted.counts(TARGET)

    assert through_large_tables(plans(world, act)) == []
