"""The status of a rollout that is asked for again and again, by whoever is there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rollout_world import World, quick

from modelwave_controller.api import rollouts as calls
from modelwave_controller.desk import statuses
from modelwave_controller.desk.desk import Desk, desks
from modelwave_controller.errors import NotFoundError
from modelwave_controller.operations import rollouts
from modelwave_controller.people.roles import VIEWER, Person
from modelwave_controller.results.rollouts import Status
from modelwave_controller.rollout import events

ONE, OTHER = Person("one", VIEWER), Person("other", VIEWER)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, devices=4)
    world.start(1, quick(50, 100))
    world.tick()
    yield world
    world.close()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The events that were read of the log, by id."""
    found: list[int] = []
    load = events.load_event

    def noting(id: int, *rest: Any) -> events.Event:
        found.append(id)
        return load(id, *rest)

    monkeypatch.setattr(events, "load_event", noting)
    return found


def status(desk: Desk, which: str) -> Status:
    return desk.ask(calls.STATUS, calls.STATUS.say(rollout=which))


def test_the_log_is_read_once_for_all_who_ask(world: World, read: list[int]) -> None:
    desk_of = desks(world.home, world.store, lambda: world.now)
    with desk_of(ONE) as one, desk_of(OTHER) as other:
        first = status(one, "1")
        read.clear()
        assert status(other, "1") == first
        assert not read
        rollouts.pause(world.store, "1", "lunch", world.now, "eve@desk")
        assert status(one, "1").status == "PAUSED"
        assert status(other, "digits").status == "PAUSED"


def test_a_model_is_always_its_newest_rollout(world: World) -> None:
    rollouts.abort(world.store, "1", "", world.now, "eve@desk")
    with desks(world.home, world.store, lambda: world.now)(ONE) as desk:
        assert status(desk, "digits").rollout == 1
        world.start(2)
        assert status(desk, "digits").rollout == status(desk, calls.NEWEST).rollout == 2


def test_what_is_not_there_is_said_each_time_and_found_when_it_is_there(world: World) -> None:
    rollouts.abort(world.store, "1", "", world.now, "eve@desk")
    with desks(world.home, world.store, lambda: world.now)(ONE) as desk:
        for which in ("2", "2", "02", "no-such-model"):
            with pytest.raises(NotFoundError, match="ROLLOUT: no rollout"):
                status(desk, which)
        world.start(2)
        assert status(desk, "2").rollout == 2


def test_few_are_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statuses, "MAX_KEPT", 1)
    rollouts.abort(world.store, "1", "", world.now, "eve@desk")
    world.start(2)
    with desks(world.home, world.store, lambda: world.now)(ONE) as desk:
        found = [status(desk, which).rollout for which in ("1", "2", "1", "2")]
        assert found == [1, 2, 1, 2]
        assert len(desk.statuses._kept) == 1


def test_a_reader_that_failed_is_not_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with desks(world.home, world.store, lambda: world.now)(ONE) as desk:
        first = status(desk, "1")
        with monkeypatch.context() as broken:
            broken.setattr("modelwave_controller.operations.status.health", lambda *_: 1 // 0)
            with pytest.raises(ZeroDivisionError):
                status(desk, "1")
        assert status(desk, "1") == first
