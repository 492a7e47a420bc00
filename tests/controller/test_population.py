"""Whom a rollout counts: the devices of its targets that report its model, each once, by id."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rollout_world import NO_RELEASE, TARGET, Device, World, newest, quick, seen

from modelwave_controller.operations import preview, rollouts
from modelwave_controller.operations.rollouts import Request
from modelwave_controller.rollout.facts import newest_answers
from modelwave_controller.rollout.numbers import Number
from modelwave_controller.rollout.state import FINISHED, HELD, Answer, Wave
from modelwave_controller.storage import forgetting, log
from modelwave_shared.words import MANIFEST, ORDER, READS, WRITES


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path)) as made:
        yield made


def add_others(world: World, number: int) -> list[Device]:
    """Devices of the target that run another model."""
    added = []
    for _ in range(number):
        device = Device(f"other{len(world.devices)}")
        device.models = {"letters": dict(NO_RELEASE)}
        world.devices[device.name] = device
        added.append(device)
    world.hear(added)
    return added


def forget(world: World, device: Device) -> None:
    with world.store.write() as connection:
        forgetting.forget(connection, device.name)


def counted(world: World) -> list[tuple[int, int]]:
    return [(row.devices, row.succeeded) for row in seen(world).rows]


def test_a_forgotten_device_that_succeeded_does_not_stand_for_a_silent_one(world: World) -> None:
    first, second = world.add(2)
    world.start(1, quick(100))
    world.tick()
    world.answer("SUCCEEDED", [first])
    forget(world, first)
    world.tick()
    assert counted(world) == [(2, 1)]
    assert newest(world).status != FINISHED
    world.now += 100
    world.tick()
    assert newest(world).status == HELD
    world.answer("SUCCEEDED", [second])
    assert counted(world) == [(2, 2)]


def test_a_forgotten_device_that_comes_back_is_counted_once(world: World) -> None:
    first, _ = world.add(2)
    world.start(1, quick(100))
    world.tick()
    world.answer("SUCCEEDED", [first])
    forget(world, first)
    world.hear([first])
    assert counted(world) == [(2, 1)]


@pytest.mark.parametrize("outcome", [None, ""], ids=["silent", "in progress"])
def test_a_forgotten_device_without_a_result_is_not_waited_for(
    world: World, outcome: str | None
) -> None:
    first, second = world.add(2)
    world.start(1, quick(100))
    world.tick()
    if outcome is not None:
        world.answer(outcome, [first])
    forget(world, first)
    world.answer("SUCCEEDED", [second])
    world.tick()
    assert counted(world) == [(1, 1)]
    assert newest(world).status == FINISHED


def test_a_device_that_answered_and_is_another_target_now_is_counted_once(world: World) -> None:
    (device,) = world.add(1)
    world.add(1, "rp2040")
    world.start(1, quick(100), targets=(TARGET, "rp2040"))
    world.tick()
    world.answer("SUCCEEDED", [device])
    device.target = "rp2040"
    world.hear([device])
    assert counted(world) == [(2, 1)]


def test_devices_that_do_not_run_the_model_are_not_waited_for(world: World) -> None:
    world.add(1)
    others = add_others(world, 2)
    world.start(1, quick(100))
    world.tick()
    assert counted(world) == [(1, 0)]
    world.answer("SUCCEEDED", [world.devices["d0"]])
    world.tick()
    assert newest(world).status == FINISHED
    assert {order.known for order in newest(world).stages[0].orders} == {1}
    others[0].says = {"refused": "order: seq 1 is not above 5"}
    world.hear(others)
    assert seen(world).problems == []


def test_the_shares_of_the_stages_are_shares_of_the_devices_that_run_the_model(
    world: World,
) -> None:
    add_others(world, 90)
    world.add(10)
    number = world.start(1, quick(10, 50, 100))
    assert number == 1
    for expected in (1, 5, 10):
        world.tick()
        assert sum(devices for devices, _ in counted(world)) == expected
        world.answer("SUCCEEDED", [d for d in world.devices.values() if "digits" in d.models])
    world.tick()
    assert newest(world).status == FINISHED


def test_a_dry_run_shows_the_devices_that_run_the_model(world: World) -> None:
    world.add(2)
    add_others(world, 3)
    request = Request("digits", world.release(1), (), quick(), 0)
    with world.store.read() as connection:
        created = rollouts.propose(connection, log.under_way(connection), request)
        places = preview.preview(connection, created, request.releases)
    assert sorted(place.device for place in places) == ["d0", "d1"]


def test_an_old_agent_that_does_not_run_the_model_holds_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(READS, MANIFEST, 2)
    monkeypatch.setitem(READS, ORDER, 3)
    monkeypatch.setitem(WRITES, ORDER, 3)
    (device,) = world.add(1)
    device.says = {"reads": {"root": 1, "manifest": 2, "order": 3}}
    world.hear([device])
    add_others(world, 1)
    world.start(1, quick(100))
    world.tick()
    assert len(newest(world).stages) == 1


def test_a_release_that_is_refused_after_it_was_rolled_back_stays_rolled_back() -> None:
    """The order for all that follows a rollout comes to all devices: one that has banned the
    release refuses it. A gate that has seen a roll-back must not see less then."""

    def answer(outcome: str, seq: int) -> Answer:
        return Answer(outcome, "", Number(0, seq))

    before = {"d1": answer("ROLLED_BACK", 1), "d2": answer("FAILED", 1)}
    after = {name: answer("REJECTED", 2) for name in ("d1", "d2", "d3", "stranger")}
    wave, later = Wave(0.0, [], before), Wave(1.0, [], after)
    found = newest_answers(wave, ["d1", "d2", "d3"], later)
    assert {name: one.outcome for name, one in found.items()} == {
        "d1": "ROLLED_BACK",
        "d2": "REJECTED",
        "d3": "REJECTED",
    }
    again = Wave(1.0, [], {"d1": answer("SUCCEEDED", 3)})
    assert newest_answers(wave, ["d1"], again)["d1"].outcome == "SUCCEEDED"
