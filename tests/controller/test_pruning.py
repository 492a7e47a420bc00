"""Tests that the answers to old rollouts become counts, and that nothing else is deleted."""

import io
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import counted_twice
import pytest
from rollout_commands import Run
from rollout_world import World, newest, quick, seen
from sqlalchemy import Connection, func, select

from modelwave_controller import storage
from modelwave_controller.operations import preview, pruning, rollouts
from modelwave_controller.rollout.state import FINISHED, UNKNOWN
from modelwave_controller.storage import log, recounting, tables

DAY = 86400.0


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=4)) as made:
        yield made


def finished(world: World, release: int, outcome: str = "ROLLED_BACK") -> None:
    """A rollout that is over: one device of four has rolled back, or has another outcome."""
    gate = dict.fromkeys(("max_rolled_back_percent", "max_failed_percent"), 50)
    gate["min_succeeded_percent"] = 50
    world.start(release, quick(100, stage=gate))
    world.tick()
    *most, last = world.devices.values()
    world.answer("SUCCEEDED", most)
    world.answer(outcome, [last], "unhealthy")
    world.now += 200
    world.tick()
    assert newest(world).status == FINISHED


def answers(world: World) -> dict[int, int]:
    with world.store.read() as connection:
        query = select(tables.events.c.rollout, func.count()).group_by(tables.events.c.rollout)
        rows = connection.execute(query.where(tables.events.c.kind == "reported"))
        return {row[0]: row[1] for row in rows}


def prune(world: World, days: float) -> list[int]:
    """Prunes 100 days later."""
    now = world.now + 100 * DAY
    found = pruning.prune(world.store, now - days * DAY, now, "me@here")
    return [one.rollout for one in found]


def test_answers_to_an_old_rollout_become_counts_that_status_shows(world: World) -> None:
    finished(world, 1)
    assert prune(world, 90) == [], "its release is still ordered"
    finished(world, 2)
    held, before = answers(world), seen(world, "1")
    assert prune(world, 90) == [1]
    assert answers(world) == {2: held[2]}
    with world.store.read() as connection:
        assert {*connection.scalars(select(tables.answered.c.rollout))} == {2}
    after = seen(world, "1")
    assert after.rows == before.rows
    assert after.rows[0].rolled_back == 1
    assert not after.problems
    world.tick()
    assert newest(world).status == FINISHED
    assert prune(world, 90) == []


def test_nothing_is_kept_of_single_devices_after_a_recount_either(tmp_path: Path, url: str) -> None:
    with closing(World(tmp_path, url, devices=4)) as world:
        finished(world, 1, "FAILED")
        rollouts.retry(world.store, "1", ["d3"], [], "again", world.now)
        world.tick()
        world.answer("SUCCEEDED", [world.devices["d3"]])
        world.now += 200
        world.tick()
        finished(world, 2)
        before = seen(world, "1").rows
        assert prune(world, 90) == [1]
        assert kept_of(world) == {2}
        with world.store.write() as connection:
            kept = counted_twice.rows(connection)
            recounting.recount(connection)
            assert counted_twice.rows(connection) == kept
        assert kept_of(world) == {2}
        assert seen(world, "1").rows == before
        require_room(world)


def require_room(world: World) -> None:
    """Deleted rows before one that stays must give their room back."""
    rows = [
        {"id": number, "rollout": 9, "at": 1.0, "kind": "reported", "body": "x" * 300}
        for number in range(10_000, 11_000)
    ]
    with world.store.write() as connection:
        connection.execute(tables.events.insert(), rows)
        size = size_of(connection)
        connection.execute(tables.events.delete().where(tables.events.c.id.between(10_000, 10_998)))
    world.store.vacuum()
    with world.store.write() as connection:
        assert size_of(connection) <= size - 150_000
        connection.execute(tables.events.delete().where(tables.events.c.id == 10_999))


def size_of(connection: Connection) -> int:
    """Bytes of the log, or of the whole file."""
    if connection.dialect.name == "sqlite":
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        return int(pages) * 4096
    return int(connection.exec_driver_sql("SELECT pg_relation_size('events')").scalar_one())


def kept_of(world: World) -> set[int]:
    """The rollouts of which the counters' tables have rows."""
    with world.store.read() as connection:
        both = (tables.answered, tables.answer_counts)
        return {n for table in both for n in connection.scalars(select(table.c.rollout))}


def test_who_rolled_a_release_back_is_known_when_it_is_to_be_rolled_out_again(world: World) -> None:
    finished(world, 1)
    finished(world, 2)
    prune(world, 90)
    [wave] = world.state().rollouts[1].stages
    assert wave.answers.keys() == {"d3"}
    with world.store.read() as connection:
        found = preview._answers(connection, "digits", manifests(world))
        assert next(outcomes for _, outcomes in found) == {"d3": "ROLLED_BACK"}


def manifests(world: World) -> dict[str, str]:
    created = world.state().rollouts[1].created
    return {target: release.manifest for target, release in created.releases.items()}


def test_a_rollout_that_is_not_over_or_not_for_so_long_is_not_touched(world: World) -> None:
    finished(world, 1)
    world.start(2, quick(100))
    world.tick()
    world.answer("SUCCEEDED", [*world.devices.values()][:1])
    held = answers(world)
    assert set(held) == {1, 2}
    assert prune(world, 101) == []
    assert prune(world, 90) == [1]
    assert answers(world) == {2: held[2]}


def test_what_was_killed_between_counts_and_answers_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished(world, 1)
    finished(world, 2)
    held, rows = answers(world), seen(world, "1").rows
    monkeypatch.setattr(storage.pruning, "ANSWERS_AT_ONCE", 1)
    delete, deleted = log.delete_answers, []

    def killed(*given: object) -> int:
        if len(deleted) == 2:
            raise KeyboardInterrupt
        deleted.append(1)
        return delete(*given)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(log, "delete_answers", killed)
        with pytest.raises(KeyboardInterrupt):
            prune(world, 90)
    assert seen(world, "1").rows == rows
    assert prune(world, 90) == [1]
    assert answers(world) == {2: held[2]}
    assert seen(world, "1").rows == rows
    with world.store.read() as connection:
        kinds = connection.scalars(select(tables.events.c.kind)).all()
    assert kinds.count("condensed") == 1


def test_counts_of_a_stage_that_was_not_opened_are_not_understood(world: World) -> None:
    finished(world, 1)
    wave = {"stage": 7, "devices": 1, "answers": {}, "rolled_back": []}
    body = {"kind": "condensed", "answers": 1, "waves": [wave]}
    with world.store.write() as connection:
        number = connection.scalar(select(func.max(tables.events.c.id))) or 0
        values = {"id": number + 1, "rollout": 1, "at": 1.0, "kind": "condensed"}
        connection.execute(tables.events.insert().values(**values, body=json.dumps(body)))
    assert newest(world).status == UNKNOWN


def test_the_command_says_what_it_does_and_gives_the_room_back(world: World, run: Run) -> None:
    finished(world, 1)
    with world.store.write() as connection:
        connection.execute(tables.events.update().values(at=1.0))
    finished(world, 2)
    assert "would be deleted" in run("log", "prune", "--dry-run").out
    assert set(answers(world)) == {1, 2}
    found = run("log", "prune", "--older-than", "30d", "--vacuum", "--json").json()
    assert [one["rollout"] for one in found] == [1]
    assert set(answers(world)) == {2}
    with world.store.read() as connection:
        assert connection.exec_driver_sql("PRAGMA freelist_count").scalar() == 0
    assert "over for 90 d and whose" in run("log", "prune").out
    assert "over for 90 s and whose" in run("log", "prune", "--older-than", "90").out
    assert "answers of devices deleted, their counts kept" in run("rollout", "log", "1").out


def test_on_a_terminal_it_asks_before(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished(world, 1)
    with world.store.write() as connection:
        connection.execute(tables.events.update().values(at=1.0))
    finished(world, 2)
    answer = io.StringIO("n\n")
    monkeypatch.setattr(answer, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdin", answer)
    refused = run("log", "prune", "--older-than", "30d")
    assert refused.code == 1
    assert "Delete 4 answers to 1 rollout over for more than 30 d?" in refused.err
    assert set(answers(world)) == {1, 2}
    assert run("log", "prune", "--yes").code == 0
    assert set(answers(world)) == {2}
