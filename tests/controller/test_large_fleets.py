"""What commands cost does not grow with the fleet: SQLite takes about as many steps for a large
one, and PostgreSQL goes through no large table."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from benchmarks.scale import known_fleet
from benchmarks.scale.commands import judging
from benchmarks.scale.known_fleet import NEW, OLD, made
from postgres_server import needs_postgres
from rollout_world import TARGET, World, quick, seen
from scraped import scrape
from sqlalchemy import Connection, event, select
from tests.controller import counted_twice
from tests.controller.test_scans import statements

from modelwave_controller.metrics import census
from modelwave_controller.operations import device_list, series
from modelwave_controller.operations.device_list import DeviceList, Only
from modelwave_controller.operations.status import StatusReader
from modelwave_controller.results.rollouts import Status
from modelwave_controller.rollout.plan import Plan
from modelwave_controller.storage import clock, log, sampled, tables, unfinished
from modelwave_controller.storage.clock import Stored

SMALL, LARGE = 2500, 6000  # devices: each slot has some, in both
WINDOWS = 2
LARGE_TABLES = {"device_models", "devices", "metrics", "presence", "windows"}


@pytest.fixture(scope="module")
def fleets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[World]]:
    """A small and a large one; the first stage is for a tenth, and nine in ten have answered."""
    folder = tmp_path_factory.mktemp("fleets")
    worlds = [made(folder / str(n), n, judging(), 0.9, WINDOWS) for n in (SMALL, LARGE)]
    yield worlds
    for world in worlds:
        world.store.close()


def steps(world: World, work: Callable[[World], object]) -> int:
    """Returns how many tens of steps SQLite takes for it."""
    work(world)
    counted = [0]

    def count() -> int:
        counted[0] += 1
        return 0

    def begun(connection: Any) -> None:
        connection.connection.dbapi_connection.set_progress_handler(count, 10)

    event.listen(world.store._engine, "begin", begun)
    work(world)
    event.remove(world.store._engine, "begin", begun)
    return counted[0]


def status_of(world: World) -> Status:
    with world.store.read() as connection:
        return StatusReader(connection, None, with_series=True).read(connection, world.now)


def one_device(world: World) -> object:
    with world.store.read() as connection:
        return device_list.device(connection, "d7", world.now)


def scraped(world: World) -> object:
    return scrape(world).of("devices", "target")


def page(only: Only) -> Callable[[World], object]:
    return lambda world: list(DeviceList(world.store, world.now, only, limit=50))


@pytest.mark.parametrize(
    "work",
    [
        status_of,
        one_device,
        page(Only()),
        page(Only(target=TARGET)),
        page(Only(model="digits", not_on=NEW)),
    ],
)
def test_a_command_costs_the_same_in_a_larger_fleet(
    fleets: list[World], work: Callable[[World], object]
) -> None:
    small, large = (steps(world, work) for world in fleets)
    assert 0 < large <= 1.3 * small


def test_a_scrape_costs_the_same_in_a_larger_fleet(
    fleets: list[World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are beyond what one scrape counts, of which no counter is kept."""
    monkeypatch.setattr(census, "PART_DEVICES", 500)
    small, large = (steps(world, scraped) for world in fleets)
    assert 0 < large <= 1.3 * small


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stage's deadline is over."""
    stored = clock.stored

    def shown(connection: Connection) -> Stored:
        found = stored(connection)
        return found._replace(seconds=found.seconds + 8 * 86_400)

    monkeypatch.setattr(clock, "stored", shown)


@pytest.mark.usefixtures("late")
def test_status_after_a_deadline_costs_the_same_in_a_larger_fleet(
    fleets: list[World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unfinished, "MAX_LOOKED_AT", 100)
    small, large = (steps(world, status_of) for world in fleets)
    assert 0 < large <= 1.3 * small


@pytest.mark.usefixtures("late")
def test_devices_that_a_status_does_not_look_for_are_counted(
    fleets: list[World], monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = status_of(fleets[0]).rows[0].silent
    every = status_of(fleets[0])
    assert len(every.problems) + every.more_problems == silent > 20
    monkeypatch.setattr(unfinished, "MAX_NAMED", 7)
    few = status_of(fleets[0])
    assert {one.outcome for one in few.problems} == {"silent"}
    assert (len(few.problems), few.more_problems) == (len(every.problems), every.more_problems)
    assert "--not-on 2` names silent ones too" in few.find_others


def test_answers_without_success_beyond_what_is_looked_at_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that only go on are named last: they may be a whole wave."""
    with closing(World(tmp_path, devices=30)) as world:
        world.start(1, quick(100))
        world.tick()
        *failing, slow, last = world.devices.values()
        world.answer("", failing[9:])
        world.answer("FAILED", [*failing[:9], slow], "the disk")
        world.answer("REJECTED", [last], "flash")
        for limit, most in (("MAX_NAMED", 4), ("MAX_LOOKED_AT", 6)):
            with monkeypatch.context() as patched:
                patched.setattr(unfinished, limit, most)
                found = seen(world)
            assert {one.outcome for one in found.problems} <= {"FAILED", "REJECTED"}
            assert len(found.problems) + found.more_problems == 11


def test_what_leads_on_from_a_rollout_with_more_than_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(World(tmp_path, devices=9)) as world:
        least = {"max_failed_percent": 100, "min_succeeded_percent": 0}
        world.start(1, quick(100, stage=least))
        world.tick()
        world.answer("FAILED", list(world.devices.values()), "the disk")
        world.now += 200
        world.tick()
        assert seen(world).status == "FINISHED"
        assert "orders 9 anew" in seen(world).next
        with monkeypatch.context() as patched:
            patched.setattr(unfinished, "MAX_NAMED", 4)
            assert "orders at least 4 anew" in seen(world).next
            assert "forgotten" not in seen(world).next


def test_lines_by_window_of_a_large_fleet_are_those_of_some_whole_slots(
    fleets: list[World],
) -> None:
    world = fleets[1]
    with world.store.read() as connection:
        [rollout] = log.without_answers(connection).rollouts.values()
        slots = {one.device: one.slot for one in connection.execute(select(tables.devices))}
        every = sampled.arms(connection, rollout, LARGE)
        some = sampled.arms(connection, rollout, 100)
    assert every.is_whole
    assert not some.is_whole
    for arm, whole in ((some.canaries, every.canaries), (some.controls, every.controls)):
        assert 100 <= len(arm) < 150
        chosen = {slots[name] for name in arm}
        assert arm == sorted(name for name in whole if slots[name] in chosen)
    assert sorted([*every.canaries, *every.controls]) == sorted(slots)
    found = status_of(world)
    assert not found.series_of_all
    assert found.series["failures <= 0.5"][-1].devices < 700


def test_fleet_that_is_made_by_sql_has_the_rows_that_its_messages_would_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for times, and the batches in which they came."""
    monkeypatch.setattr("secrets.randbelow", lambda _: 7)  # the seed
    plan = quick(50, 100, stage={"deadline_seconds": 86_400})
    made_world = made(tmp_path / "made", 30, plan, 1.0, WINDOWS)
    with closing(made_world), made_world.store.write() as connection:
        assert counted_twice.rows(connection) == counted_twice.recounted(connection)
        its = contents(connection)
    (tmp_path / "heard").mkdir()
    with closing(World(tmp_path / "heard")) as world:
        hear_all(world, plan)
        with world.store.read() as connection:
            assert contents(connection) == its
            assert len(its["windows"]) == 30 * WINDOWS


def hear_all(world: World, plan: Plan) -> None:
    """Each of 30 devices sends what one of its kind sends in the other fleet."""
    world.tick()
    devices = [known_fleet.running(f"d{number}") for number in range(30)]
    for device in devices:
        known_fleet.send(world, device.name, OLD, range(1, WINDOWS))
    world.hear(devices)
    world.start(NEW, plan)
    world.tick()
    world.now += known_fleet.WINDOW_SECONDS + 60
    world.tick()
    orders = {device: world.ordered(device) for device in devices}
    for device, order in orders.items():
        known_fleet.send(world, device.name, NEW if order else OLD, [WINDOWS])
        if order:
            known_fleet.answer(device, order)
    world.hear([device for device, order in orders.items() if order])


def contents(connection: Connection) -> dict[str, list[tuple[object, ...]]]:
    """Returns the rows of all tables about devices, without times and batches."""
    left_out = {"at", "seen_at", "seen_clock", "heard", "ended"}
    names = "devices device_models presence metrics windows answered answer_counts reporting"
    found = {}
    for name in names.split():
        columns = [one for one in tables.metadata.tables[name].columns if one.name not in left_out]
        found[name] = sorted(tuple(row) for row in connection.execute(select(*columns)))
    query = select(tables.events.c.body).where(tables.events.c.kind == "reported")
    return found | {"events": sorted((body,) for body in connection.scalars(query))}


@needs_postgres
def test_postgresql_finds_a_status_a_device_and_a_scrape_by_indexes(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a status looks at is a small part of the fleet, as in a large one."""
    monkeypatch.setattr(series, "MAX_DEVICES", 3)
    monkeypatch.setattr(census, "PART_DEVICES", 30)
    world = made(tmp_path / "fleet", 3000, judging(), 0.9, WINDOWS, postgres_url)
    with closing(world.store):
        with world.store.write() as connection:
            connection.exec_driver_sql("ANALYZE")
        for work in (status_of, one_device, scraped):
            with statements(world) as found:
                work(world)
            with world.store.read() as connection:
                for statement, parameters in found.items():
                    plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
                    scans = [line for (line,) in plan if "Seq Scan on" in line]
                    large = [s for s in scans if s.split(" on ")[1].split()[0] in LARGE_TABLES]
                    assert large == [], statement
