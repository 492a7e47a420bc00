"""Tests whose messages count: those of revoked devices never do, and where the fleet wants unknown
devices approved, theirs do not before."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rollout_world import FLEET, TARGET, Device, World
from sqlalchemy import func, select

from modelwave_controller.service.writer import Writer
from modelwave_controller.storage import enrolled, strangers, tables
from modelwave_controller.storage.enrolled import Enrolled
from modelwave_shared import topics


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=1)) as made:
        yield made


def approving(world: World) -> None:
    world.writer = Writer(world.store, FLEET, world.inbox, lambda: world.now, approves=True)


def enrol(world: World, device: str, **changes: float) -> None:
    row = Enrolled(device, TARGET, 1, "", world.now, 0, 0)._replace(**changes)  # type: ignore[arg-type]
    with world.store.write() as connection:
        enrolled.put(connection, [row])


def known(world: World) -> list[str]:
    with world.store.read() as connection:
        return sorted(connection.scalars(select(tables.devices.c.device)))


def waiting(world: World) -> dict[str, int]:
    with world.store.read() as connection:
        return {row.device: row.reports for row in enrolled.those_waiting(connection)}


def hear(world: World, name: str, target: str = TARGET) -> None:
    world.hear([Device(name, target)])


def test_an_unknown_device_counts_at_once_unless_the_fleet_wants_it_approved(world: World) -> None:
    hear(world, "new-1")
    approving(world)
    hear(world, "new-2")
    assert known(world) == ["d0", "new-1"]
    assert waiting(world) == {"new-2": 1}


def test_a_device_that_waits_counts_with_the_report_after_its_approval(world: World) -> None:
    approving(world)
    hear(world, "new-1")
    enrol(world, "new-1", generation=0, enrolled_at=0, approved_at=world.now)
    assert waiting(world) == {}
    hear(world, "new-1")
    assert known(world) == ["d0", "new-1"]


def test_an_enrolled_device_and_one_known_before_need_no_approval(world: World) -> None:
    approving(world)
    enrol(world, "e-1")
    hear(world, "e-1")
    world.hear([world.devices["d0"]])
    assert known(world) == ["d0", "e-1"]
    assert waiting(world) == {}


@pytest.mark.parametrize("approves", [False, True])
def test_nothing_from_a_revoked_device_counts(world: World, approves: bool) -> None:
    if approves:
        approving(world)
    enrol(world, "d0", revoked_at=world.now)
    before = world.now
    world.now += 60
    world.inbox.put(topics.presence(FLEET, "d0"), b"offline")
    world.inbox.put(topics.reported(FLEET, "d0"), b"nonsense")
    world.hear([world.devices["d0"]])
    with world.store.read() as connection:
        seen = connection.scalar(select(tables.devices.c.seen_at))
        assert connection.scalar(select(func.count()).select_from(tables.bad_messages)) == 0
    assert seen == before
    assert waiting(world) == {"d0": 1}


def test_strangers_that_wait_have_a_bound(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strangers, "MAX_STRANGERS", 2)
    approving(world)
    for name in ("n-1", "n-2", "n-3", "n-1"):
        hear(world, name)
    assert waiting(world) == {"n-1": 2, "n-2": 1}


def test_expected_devices_are_those_enrolled_and_never_heard(world: World) -> None:
    for name in ("e-1", "e-2", "e-3"):
        enrol(world, name)
    enrol(world, "e-3", revoked_at=1)
    hear(world, "e-1")
    with world.store.read() as connection:
        assert [row.device for row in enrolled.missing(connection)] == ["e-2"]
