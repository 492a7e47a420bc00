"""Tests `modelwave log verify`, after what an operator does with a database: pruning, a backup and
its restoration."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rollout_commands import Run
from rollout_world import World, quick
from sqlalchemy import update

from modelwave_controller.operations import pruning, restore
from modelwave_controller.operations.log_verifying import verify
from modelwave_controller.rollout.events import Reported
from modelwave_controller.storage import log, tables
from modelwave_controller.storage import pruning as deleting

DAY = 86400.0


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=4)) as made:
        yield made


def finished(world: World, release: int) -> None:
    world.start(release, quick(100))
    world.tick()
    world.answer("SUCCEEDED", [*world.devices.values()])
    world.now += 200
    world.tick()


def alter(world: World) -> None:
    with world.store.write() as connection:
        connection.execute(update(tables.events).where(tables.events.c.id == 2).values(at=1.0))


def test_the_log_of_rollouts_is_whole_and_its_head_is_told(world: World, run: Run) -> None:
    assert run("log", "verify").lines() == ["the log is whole: 0 events"]
    finished(world, 1)
    whole, head = run("log", "verify").lines()
    found = run("log", "verify", "--json").json()
    assert whole == f"the log is whole: {found['events']} events"
    assert head == f"head: {found['head']}"
    assert (found["whole"], found["kept_head"]) == (True, None)
    finished(world, 2)
    kept = str(found["head"])
    assert run("log", "verify", "--head", kept, "--json").json()["kept_head"] == kept
    said = run("log", "verify", "--head", kept).lines()[1]
    assert said == f"what was the log at event {kept.partition(':')[0]} is the beginning of it"
    assert run("log", "verify", "--head", "7").code == 2


def test_an_altered_log_is_an_error_that_says_where_and_what_to_do(world: World, run: Run) -> None:
    finished(world, 1)
    alter(world)
    ran = run("log", "verify", "--json")
    assert ran.code == 1
    assert '"whole": false' in ran.out
    assert '"event": 2' in ran.out
    assert "event 2 is not the one that was written here" in ran.err
    assert "`modelwave restore FILE`" in ran.err
    assert ran.err.count("\n") == 1


def test_pruning_leaves_the_log_whole_also_of_answers_that_come_later(
    world: World, run: Run
) -> None:
    finished(world, 1)
    finished(world, 2)
    kept = run("log", "verify", "--json").json()["head"]
    later = world.now + 100 * DAY
    assert pruning.prune(world.store, later - 90 * DAY, later, "me@here")
    after = run("log", "verify", "--head", kept, "--json").json()
    assert after["deleted_answers"] == 4
    with world.store.write() as connection:
        late = Reported(device="d1", seq=1, outcome="FAILED", reason="")
        log.append(connection, 1, later, [late])
    assert pruning.prune(world.store, later - 90 * DAY, later, "me@here")
    assert verify(world.store).deleted == 5
    assert "1 answer of devices deleted" in run("rollout", "log", "1").out


def test_pruning_deletes_only_answers_whose_number_it_has_noted(world: World) -> None:
    finished(world, 1)
    finished(world, 2)
    later = world.now + 100 * DAY
    with world.store.read() as connection:
        state = log.without_answers(connection)
    steps = deleting.steps(world.store, state, later - 90 * DAY, later, "me@here", set())
    assert next(steps) == deleting.NO_ANSWERS  # the number is noted, and nothing deleted yet
    with world.store.write() as connection:
        late = Reported(device="d1", seq=1, outcome="FAILED", reason="")
        log.append(connection, 1, later, [late])
    assert sum(step.answers for step in steps) == 4
    assert verify(world.store).deleted == 4
    assert pruning.prune(world.store, later - 90 * DAY, later, "me@here")
    assert verify(world.store).deleted == 5


def test_a_restored_backup_is_the_beginning_of_a_log_that_goes_on(
    world: World, run: Run, tmp_path: Path
) -> None:
    finished(world, 1)
    early = run("log", "verify", "--json").json()["head"]
    backup = tmp_path / "backup.tar"
    assert run("backup", str(backup)).code == 0
    finished(world, 2)
    late = run("log", "verify", "--json").json()["head"]
    to = tmp_path / "again"
    restore.restore(to, backup, world.now, "me@here", lambda *_: None)
    assert run("--home", str(to), "log", "verify", "--head", early).code == 0
    ran = run("--home", str(to), "log", "verify", "--head", late)
    assert ran.code == 1
    assert "a backup of before was restored" in ran.err
