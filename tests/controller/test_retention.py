"""Tests that the service deletes by itself what is older than the fleet keeps, in small steps, and
that what grew with time stays within a bound."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from observing_fleet import ObservingFleet
from one_step_leader import leading
from rollout_commands import Run
from rollout_world import FLEET, World, newest, quick, seen
from sqlalchemy import Table, func, select

from modelwave_controller import home as homes
from modelwave_controller.errors import OperatorError
from modelwave_controller.operations import rollouts
from modelwave_controller.rollout.events import Retried
from modelwave_controller.rollout.state import FINISHED, REVERTED
from modelwave_controller.service import retention
from modelwave_controller.service.folding import PAUSE_SECONDS, Folding
from modelwave_controller.service.readback import ReadBack
from modelwave_controller.service.repeats import FLUSH_SECONDS, Repeats
from modelwave_controller.service.retention import Retention
from modelwave_controller.service.serve import Service
from modelwave_controller.service.writer import Inbox, Writer
from modelwave_controller.storage import log, outbox, pruning, retained, tables
from modelwave_controller.storage.window_folding import DAY_SECONDS
from modelwave_shared import topics

KEEP_DAYS = 90


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=4)) as made:
        yield made


def finish(world: World, release: int) -> None:
    """A rollout after which one of four devices has rolled back."""
    gate = dict.fromkeys(("max_rolled_back_percent", "min_succeeded_percent"), 50)
    world.start(release, quick(100, stage=gate))
    rollouts.pause(world.store, None, "look", world.now, "me@here")
    rollouts.resume(world.store, None, "", world.now, "me@here")
    world.tick()
    *most, last = world.devices.values()
    world.answer("SUCCEEDED", most)
    world.answer("ROLLED_BACK", [last], "unhealthy")
    world.now += 200
    world.tick()
    assert newest(world).status == FINISHED
    world.answer("SUCCEEDED", most)  # the order for all


def keep(world: World, made: Retention | None = None, days: float = 100) -> int:
    """Lets a round run, so many days later; returns how many steps it had."""
    made = made or Retention(world.store, KEEP_DAYS)
    with world.store.read() as connection:
        state = log.without_answers(connection)
    made.step(state, world.now, 0.0)
    steps = 0
    while True:
        assert made._due is not None
        made.step(state, world.now + days * DAY_SECONDS, made._due)
        if made._steps is None:
            return steps
        steps += 1


def rollouts_in(world: World, table: Table, *where: object) -> set[int]:
    with world.store.read() as connection:
        return {*connection.scalars(select(table.c.rollout).where(*where))}  # type: ignore[arg-type]


def answered_rollouts(world: World) -> set[int]:
    return rollouts_in(world, tables.events, tables.events.c.kind == "reported")


def number_of(world: World, table: Table) -> int:
    with world.store.read() as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0


def test_the_service_makes_counts_of_old_answers_and_keeps_who_did_what(
    tmp_path: Path, url: str
) -> None:
    with closing(World(tmp_path, url, devices=4)) as world:
        first = newest(world).id + 1 if world.state().rollouts else 1
        finish(world, 1)
        finish(world, 2)
        before = seen(world, str(first)).rows
        assert keep(world, days=89) == 0
        assert answered_rollouts(world) == {first, first + 1}
        keep(world)
        assert answered_rollouts(world) == {first + 1}
        assert rollouts_in(world, tables.answered) == {first + 1}
        assert rollouts_in(world, tables.answer_counts) == {first + 1}
        assert seen(world, str(first)).rows == before
        assert before[0].rolled_back == 1
        kinds = [(event.body.kind, getattr(event.body, "actor", "")) for event in events(world)]
        assert ("paused", "me@here") in kinds
        assert ("condensed", f"keep_days = {KEEP_DAYS}") in kinds
        assert {"created", "opened", "finished"} <= {kind for kind, _ in kinds}


def events(world: World) -> list[log.Event]:
    with world.store.read() as connection:
        return [*log.events_after(connection)]


def test_a_clock_that_jumps_between_two_ticks_deletes_nothing(world: World) -> None:
    """The next tick finds it in doubt; what was deleted before would be in no other place."""
    finish(world, 1)
    finish(world, 2)
    service = leading(world, lambda: world.steady)
    service._tick(looks=True)
    service._delete_old()  # the first round is due from now on
    world.now += retention.FIRST_SECONDS
    service._tick(looks=True)
    world.jump(3650 * DAY_SECONDS)
    for _ in range(10):
        service._delete_old()
        world.now += 1
    assert answered_rollouts(world) == {1, 2}
    service._tick(looks=True)
    assert service.ticker.certain_state is None


def test_a_running_service_does_it_between_its_ticks(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(world, 1)
    finish(world, 2)
    with world.store.write() as connection:
        connection.execute(tables.events.update().values(at=1.0))
    monkeypatch.setattr(retention, "FIRST_SECONDS", 0)
    monkeypatch.setattr(ReadBack, "may_send", lambda _: True)  # there is no broker
    rounds = iter(range(5000))

    def clock() -> float:
        if next(rounds, None) is None:
            service.stop()
        return world.now

    service = Service(world.home, world.store, tick_seconds=0.01, clock=clock)
    end, ends = Retention._tell, []

    def told(made: Retention) -> None:
        end(made)
        ends.append(answered_rollouts(world))
        service.stop()

    monkeypatch.setattr(Retention, "_tell", told)
    asyncio.run(service.run(lambda _: None))
    assert ends == [{2}]


def test_no_step_deletes_more_than_a_bounded_number(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(world, 1)
    finish(world, 2)
    monkeypatch.setattr(pruning, "ANSWERS_AT_ONCE", 2)
    made, held, most = Retention(world.store, KEEP_DAYS), number_of(world, tables.events), 0
    step = made.step

    def measured(*given: object) -> None:
        nonlocal held, most
        step(*given)  # type: ignore[arg-type]
        now = number_of(world, tables.events)
        held, most = now, max(most, held - now)

    monkeypatch.setattr(made, "step", measured)
    assert keep(world, made) >= 4
    assert answered_rollouts(world) == {2}
    assert most == 2


def test_a_step_comes_after_a_pause_and_none_if_all_is_kept(world: World) -> None:
    finish(world, 1)
    finish(world, 2)
    state, late = world.state(), world.now + 100 * DAY_SECONDS
    for_ever = Retention(world.store, 0)
    for steady in (0.0, 1e6, 2e6):
        for_ever.step(state, late, steady)
    made = Retention(world.store, KEEP_DAYS)
    for steady in (0.0, retention.FIRST_SECONDS - 1):
        made.step(state, late, steady)
    assert "condensed" not in {event.body.kind for event in events(world)}
    for _ in range(5):  # at the same moment
        made.step(state, late, retention.FIRST_SECONDS)
    assert "condensed" in {event.body.kind for event in events(world)}
    assert answered_rollouts(world) == {1, 2}


def test_what_the_operator_has_done_since_the_round_began_is_seen(world: World) -> None:
    finish(world, 1)
    finish(world, 2)
    with world.store.read() as connection:
        state = log.without_answers(connection)
    with world.store.write() as connection:
        log.append(connection, 1, world.now, [Retried(devices=["d3"], reason="")])
    late = world.now + 100 * DAY_SECONDS
    steps = pruning.steps(world.store, state, late, late, "", set())
    assert not sum(deleted.answers for deleted in steps)
    assert answered_rollouts(world) == {1, 2}


def test_an_answer_that_comes_later_is_deleted_in_the_next_round(world: World) -> None:
    order = finish_two(world)
    made = Retention(world.store, KEEP_DAYS)
    keep(world, made)
    before = seen(world, "1").rows
    world.devices["d3"].take(order, "SUCCEEDED")
    world.hear([world.devices["d3"]])
    assert answered_rollouts(world) == {1, 2}
    keep(world, made)
    assert answered_rollouts(world) == {2} == rollouts_in(world, tables.answered)
    assert seen(world, "1").rows == before


def finish_two(world: World) -> dict[str, object]:
    """Returns an order of the first."""
    world.start(1, quick(100))
    world.tick()
    order = world.ordered(world.devices["d3"])
    assert order
    world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    finish(world, 2)
    return order


def test_messages_of_old_orders_go_and_those_that_stand_and_manifests_stay(world: World) -> None:
    finish(world, 1)
    finish(world, 2)
    finish(world, 3)
    with world.store.read() as connection:
        known = {*connection.scalars(select(tables.orders.c.message))}
        standing = {*connection.scalars(select(tables.outbox.c.blob))} - {None}
    keep(world)
    with world.store.read() as connection:
        blobs = {*connection.scalars(select(tables.blobs.c.sha256))}
        left = {*connection.scalars(select(tables.orders.c.message))} - {""}
        for rollout in world.state().rollouts.values():
            for release in rollout.created.releases.values():
                assert outbox.blob(connection, release.envelope)
        for order in world.state().desired["digits", "linux-cpu"].values():
            assert retained.message(connection, "digits", order.number)
    assert standing <= left < known
    assert left <= blobs
    assert not (known - left) & blobs
    with world.store.write() as connection:
        outbox.unsend_all(connection, FLEET)
        assert len(outbox.unsent(connection, 10)) == outbox.left(connection)


def test_a_rollout_that_was_reverted_is_old_while_the_release_before_it_goes_on(
    world: World,
) -> None:
    finish(world, 1)
    for release in (2, 3):
        world.start(release, quick(50, 100))
        world.tick()
        world.answer("SUCCEEDED", world.devices.values())
        rollouts.revert(world.store, str(release), "no good", world.now)
        world.tick()
        world.answer("SUCCEEDED", world.devices.values())
        world.now += 200
        world.tick()
        assert newest(world).status == REVERTED
    before = seen(world, "2").rows
    keep(world)
    assert answered_rollouts(world) == {1, 3}
    assert seen(world, "2").rows == before


def test_sums_of_what_old_releases_measured_go_and_so_do_old_days(tmp_path: Path) -> None:
    with closing(World(tmp_path, devices=4)) as world:
        fleet = ObservingFleet(world)
        fleet.bring_old()
        fleet.observe(age=1)
        for release in (2, 3):
            world.start(release, quick(100))
            world.tick()
            world.answer("SUCCEEDED", world.devices.values())
            world.tick()
        fleet.observe(age=1)
        sums = tables.metrics.c.release
        with world.store.read() as connection:
            assert {*connection.scalars(select(sums))} == {1, 2}
        keep(world)
        with world.store.read() as connection:
            assert [*connection.scalars(select(sums))] == [2] * 4
        age(world, 5)
        assert spans(world) == {3600}
        age(world, 60)
        assert spans(world) == {DAY_SECONDS}
        age(world, KEEP_DAYS + 2, keep_days=0)
        assert spans(world) == {DAY_SECONDS}
        age(world, 0)
        assert spans(world) == set()


def age(world: World, days: float, keep_days: int = KEEP_DAYS) -> None:
    """Lets so many days pass by the rollout clock, and folds windows twice."""
    with world.store.write() as connection:
        row = tables.clock.c.seconds
        connection.execute(tables.clock.update().values(seconds=row + days * DAY_SECONDS))
    folding = Folding(world.store, keep_days)
    for steady in range(5):
        folding.step(steady * PAUSE_SECONDS)


def spans(world: World) -> set[int]:
    with world.store.read() as connection:
        return {*connection.scalars(select(tables.window_spans.c.span))}


@pytest.mark.parametrize("is_stored_at_once", [False, True])
def test_a_heartbeat_takes_the_place_of_the_one_before(
    tmp_path: Path, is_stored_at_once: bool
) -> None:
    """So a fleet that reports each minute has as large a database as one that reports once."""
    with closing(World(tmp_path, devices=50)) as world:
        repeats = None if is_stored_at_once else Repeats(world.store, lambda: world.steady)
        writer = Writer(world.store, FLEET, Inbox(), lambda: world.now, repeats=repeats)
        found = []
        for beats in (3, 3, 20):
            for _ in range(beats):
                beat(world, writer)
            found.append(rows_and_pages(world))
        assert found[0][0] == found[1][0] == found[2][0]
        assert found[1][1] == found[2][1]


def beat(world: World, writer: Writer) -> None:
    """Each device reports the same, with other free bytes, and that it is online."""
    for number, device in enumerate(world.devices.values()):
        free = {"flash": 10**6 - device.n, "ram": 10**6 - number}
        writer.inbox.put(topics.reported(FLEET, device.name), device.report(free=free))
        writer.inbox.put(topics.presence(FLEET, device.name), b"online")
    while writer.write_batch(0):
        pass
    world.now += FLUSH_SECONDS
    if writer.repeats:
        writer.repeats.flush()


def rows_and_pages(world: World) -> tuple[dict[str, int], int]:
    """The number of rows of each table, and of the file's pages."""
    rows = {name: number_of(world, table) for name, table in tables.metadata.tables.items()}
    with world.store.read() as connection:
        return rows, int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())


@pytest.mark.parametrize("days", ["-1", "29", "36501", "true", '"90"', "90.0"])
def test_a_number_of_days_that_cannot_be_kept_is_refused(world: World, days: str) -> None:
    path = world.home.path / "controller.toml"
    text = path.read_text()
    assert homes.read_config(path, FLEET).database.keep_days == KEEP_DAYS
    path.write_text(re.sub(r"keep_days = \d+", f"keep_days = {days}", text))
    with pytest.raises(OperatorError, match=r"database\.keep_days"):
        homes.read_config(path, FLEET)
    path.write_text(re.sub(r"keep_days = \d+", "keep_days = 0", text))
    assert homes.read_config(path, FLEET).database.keep_days == 0


def test_the_commands_still_show_a_rollout_that_was_pruned(world: World, run: Run) -> None:
    finish(world, 1)
    finish(world, 2)
    keep(world)
    assert "FINISHED" in run("rollout", "status", "1").out
    shown = run("rollout", "log", "1").out
    assert "answers of devices deleted, their counts kept" in shown
    assert "created" in shown
