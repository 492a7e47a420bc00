"""What the broker retains is as small as what is true: orders on the topics of slots with devices
while stages open, and one order for all when a rollout is over."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rollout_world import FLEET, NO_RELEASE, TARGET, Device, World, newest, order_in, quick, seen
from sqlalchemy import func, select

from modelwave_controller.operations import rollouts
from modelwave_controller.rollout import slot_sets
from modelwave_controller.rollout.state import ABORTED, FINISHED, REVERTED
from modelwave_controller.storage import forgetting, log, tables
from modelwave_shared.limits import SLOTS
from modelwave_shared.slots import slot

START = f"modelwave/1/{FLEET}/desired/{TARGET}/digits/"

WORDS = ("rolled_back", "rejected", "succeeded")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=20)) as made:
        yield made


def retained(world: World) -> dict[str, int]:
    """{end of the topic: sequence number of the order that it holds}."""
    query = select(tables.outbox.c.topic, tables.blobs.c.data).join(
        tables.blobs, tables.blobs.c.sha256 == tables.outbox.c.blob
    )
    with world.store.read() as connection:
        held = connection.execute(query.where(tables.outbox.c.topic.contains("/desired/"))).all()
    return {topic.removeprefix(START): order_in(bytes(data))["seq"] for topic, data in held}


def slots_of(devices: list[Device]) -> set[str]:
    return {str(slot(FLEET, device.name)) for device in devices}


def play(world: World, outcome: str = "SUCCEEDED") -> None:
    for _ in range(6):
        world.tick()
        world.answer(outcome, world.devices.values())
    world.tick()


def events(world: World) -> int:
    with world.store.read() as connection:
        return connection.scalar(select(func.count()).select_from(tables.events)) or 0


def manifests(world: World) -> set[str]:
    """Those that any order at the broker names, whomever it is for."""
    query = select(tables.blobs.c.data).where(
        tables.blobs.c.sha256.in_(
            select(tables.outbox.c.blob).where(tables.outbox.c.topic.contains("/desired/"))
        )
    )
    with world.store.read() as connection:
        return {order_in(bytes(data))["manifest"] for data in connection.scalars(query)}


def test_the_order_for_all_of_a_first_release_that_is_taken_back_goes(world: World) -> None:
    """A device that joins later would take it."""
    world.start(1, quick(100))
    world.tick()
    assert list(retained(world)) == ["all"]
    world.answer("ROLLED_BACK", world.devices.values())
    world.tick()
    assert newest(world).status == REVERTED
    assert retained(world) == {}


@pytest.mark.parametrize("case", ["its own order", "no device any more"])
def test_of_a_release_that_is_taken_back_no_order_is_left(world: World, case: str) -> None:
    """A device that is replaced later has no floor yet, and would take it."""
    world.start(1, quick(100))
    play(world)
    number = world.start(2, quick(50, 100))
    world.tick()
    bad = world.release(2)[TARGET].digest
    asked = [d for d in world.devices.values() if (world.ordered(d) or {})["manifest"] == bad]
    one = asked[0]
    if case == "its own order":
        world.answer("FAILED", [one])
        rollouts.retry(world.store, str(number), [one.name], [], "", world.now)
        world.tick()
        assert (world.ordered(one) or {})["device"] == one.name
    else:
        with world.store.write() as connection:
            forgetting.forget(connection, one.name)
    world.answer("ROLLED_BACK", asked[1:])
    world.tick()
    assert newest(world).back is not None
    assert manifests(world) == {world.release(1)[TARGET].digest}


def test_an_open_stage_is_retained_for_slots_with_devices_only(world: World) -> None:
    world.start(1, quick(50, 100))
    world.tick()
    asked = [device for device in world.devices.values() if world.ordered(device)]
    assert len(asked) == 10
    assert set(retained(world)) == slots_of(asked)
    (order,) = newest(world).stages[0].orders
    signed = world.ordered(asked[0])
    assert signed is not None
    assert slot_sets.named_in(signed) == order.slots
    assert order.known == 10
    assert sum(last - first + 1 for first, last in order.slots) > 10


def test_a_device_of_another_model_makes_no_topic(world: World) -> None:
    other = Device("other")
    other.models = {"letters": dict(NO_RELEASE)}
    world.hear([other])
    world.start(1, quick(50, 100))
    world.tick()
    world.answer("SUCCEEDED", world.devices.values())
    world.acknowledges = False  # so that the last stage is open still
    world.tick()
    assert set(retained(world)) == slots_of(list(world.devices.values()))


def newcomer(world: World, inside: bool) -> Device:
    """A device that is not known yet, in a slot without devices: of the opened ones, or not."""
    (order,) = newest(world).stages[0].orders
    empty = {str(n) for n in range(SLOTS)} - slots_of(list(world.devices.values()))
    opened = {str(n) for first, last in order.slots for n in range(first, last + 1)}
    wanted = empty & opened if inside else empty - opened
    names = (f"new{number}" for number in range(100_000))
    return Device(next(name for name in names if str(slot(FLEET, name)) in wanted))


def test_a_device_that_turns_up_in_an_opened_slot_gets_the_same_order(world: World) -> None:
    world.start(1, quick(50, 100))
    world.tick()
    device = newcomer(world, inside=True)
    other = next(message for d in world.devices.values() if (message := world.message_for(d)))
    assert world.message_for(device) is None
    world.hear([device])
    world.tick()
    assert world.message_for(device) == other
    world.answer("SUCCEEDED", [device])
    assert seen(world).rows[0].devices == 11
    assert seen(world).rows[0].succeeded == 1


def test_a_device_that_turns_up_in_a_slot_that_is_not_open_gets_nothing(world: World) -> None:
    world.start(1, quick(50, 100))
    world.tick()
    device = newcomer(world, inside=False)
    world.hear([device])
    world.tick()
    assert world.message_for(device) is None


def test_a_service_that_starts_anew_answers_a_device_that_was_heard_before(world: World) -> None:
    from modelwave_controller.service.tick import Ticker

    world.start(1, quick(50, 100))
    world.tick()
    device = newcomer(world, inside=True)
    world.hear([device])
    world.ticker = Ticker(world.store, world.issuer)
    world.tick()
    assert world.message_for(device) is not None


def test_a_finished_rollout_leaves_one_order_for_all(world: World) -> None:
    world.start(1)
    play(world)
    assert newest(world).status == FINISHED
    assert retained(world) == {"all": 4}
    order = world.ordered(world.devices["d0"])
    assert order is not None
    assert order["slots"] == [[0, SLOTS - 1]]
    assert order["manifest"] == world.release(1)[TARGET].digest


def test_an_order_that_names_all_slots_is_put_on_all_at_once(world: World) -> None:
    world.start(1, quick(100))
    world.tick()
    assert retained(world) == {"all": 1}
    play(world)
    assert newest(world).status == FINISHED
    assert (retained(world), world.state().seqs["digits"]) == ({"all": 1}, 1)


def test_a_reverted_rollout_leaves_one_order_for_the_release_before(world: World) -> None:
    world.start(1)
    play(world)
    world.start(2)
    world.tick()
    assert len(retained(world)) == 3  # two canaries, and all others
    world.answer("ROLLED_BACK", world.devices.values())
    play(world)
    assert newest(world).status == REVERTED
    seq = world.state().seqs["digits"]
    assert retained(world) == {"all": seq}
    first = world.release(1)[TARGET].digest
    assert {o["manifest"] for o in map(world.ordered, world.devices.values()) if o} == {first}


def test_a_revert_without_a_release_before_clears_the_order_for_all(world: World) -> None:
    world.start(1)
    play(world)
    rollouts.revert(world.store, "1", "it drifts", world.now)
    play(world)
    assert newest(world).status == REVERTED
    assert retained(world) == {}


def test_a_rollout_that_left_two_releases_keeps_the_slots_of_the_new_one(world: World) -> None:
    world.start(1)
    play(world)
    world.start(2, quick(50, 100))
    world.tick()
    rollouts.abort(world.store, "2", "rain", world.now)
    world.tick()
    assert newest(world).status == ABORTED
    assert len(retained(world)) == 11
    rollouts.revert(world.store, "2", "no", world.now)
    world.tick()
    play(world)
    assert len(retained(world)) == 1


def test_a_target_with_another_release_is_left_alone(tmp_path: Path) -> None:
    with closing(World(tmp_path)) as world:
        world.add(4)
        world.add(4, "rp2040")
        world.start(1, targets=(TARGET, "rp2040"))
        play(world)
        ends = {"all": 7, f"modelwave/1/{FLEET}/desired/rp2040/digits/all": 8}
        assert retained(world) == ends
        world.start(2)
        play(world)
        assert set(retained(world)) == set(ends)
        assert retained(world)[f"modelwave/1/{FLEET}/desired/rp2040/digits/all"] == 8


def test_the_answers_to_the_order_for_all_add_nothing_to_the_log(world: World) -> None:
    world.start(1)
    play(world)
    before = events(world)
    for outcome in ("", "SUCCEEDED"):  # as an agent that says that it is at it, too
        for device in world.devices.values():
            order = world.ordered(device)
            assert order is not None
            device.take(order, outcome)
            device.models["digits"]["sha256"] = order["manifest"]
        world.hear(world.devices.values())
    assert {d.models["digits"]["seq"] for d in world.devices.values()} == {4}
    assert events(world) == before
    world.tick()
    assert [(row.devices, row.succeeded) for row in seen(world).rows] == [(2, 2), (8, 8), (10, 10)]


def test_a_device_that_fails_after_all_have_it_is_in_the_log(world: World) -> None:
    world.start(1)
    play(world)
    world.answer("FAILED", [world.devices["d0"]], "disk")
    assert sum(row.failed for row in seen(world).rows) == 1
    world.answer("SUCCEEDED", [world.devices["d0"]])
    assert sum(row.failed for row in seen(world).rows) == 0
    assert sum(row.succeeded for row in seen(world).rows) == 20


def test_a_device_that_had_failed_is_counted_once_when_the_order_for_all_reaches_it(
    world: World,
) -> None:
    world.start(1, quick(stage={"max_failed_percent": 100, "min_succeeded_percent": 0}))
    for _ in range(4):
        world.tick()
        world.answer("FAILED", [world.devices["d0"]], "HTTP 503")
        world.answer("SUCCEEDED", list(world.devices.values())[1:])
    world.tick()
    assert newest(world).status == FINISHED
    assert sum(row.failed for row in seen(world).rows) == 1
    world.answer("SUCCEEDED", [world.devices["d0"]])
    assert [row.devices for row in seen(world).rows] == [2, 8, 10]
    assert [row.succeeded for row in seen(world).rows] == [2, 8, 10]
    assert sum(row.failed for row in seen(world).rows) == 0


def test_a_roll_back_is_not_hidden_by_the_refusal_of_the_same_model(world: World) -> None:
    world.start(1, quick(stage={"max_rolled_back_percent": 100, "min_succeeded_percent": 0}))
    for _ in range(4):
        world.tick()
        world.answer("ROLLED_BACK", [world.devices["d0"]], "golden set")
        world.answer("SUCCEEDED", list(world.devices.values())[1:])
    world.tick()
    assert set(retained(world)) == {"all"}
    world.answer("REJECTED", [world.devices["d0"]], "blacklist: it failed on this device")
    assert [sum(getattr(row, word) for row in seen(world).rows) for word in WORDS] == [1, 0, 19]
    (problem,) = seen(world).problems
    assert problem.reason == "golden set"


def test_the_order_for_all_comes_in_the_transaction_that_finishes_the_rollout(
    world: World,
) -> None:
    world.start(1)
    for _ in range(2):
        world.tick()
        world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    world.answer("SUCCEEDED", world.devices.values())
    while newest(world).status != FINISHED:
        assert "all" not in retained(world)
        world.acknowledge()
        world.ticker.tick(world.now, world.steady)
    assert set(retained(world)) == {"all"}


def test_nothing_is_signed_while_the_clock_is_in_doubt(world: World) -> None:
    world.start(1)
    for _ in range(3):
        world.tick()
        world.answer("SUCCEEDED", world.devices.values())
    world.jump(-86400)
    world.tick()
    assert newest(world).status == FINISHED
    assert "all" not in retained(world)
    world.jump(86400)
    world.tick()
    assert set(retained(world)) == {"all"}


def test_the_next_rollout_opens_slots_beside_the_order_for_all(world: World) -> None:
    world.start(1)
    play(world)
    world.start(2)
    world.tick()
    held = retained(world)
    assert held["all"] < max(held.values())
    assert len(held) == 3
    play(world)
    assert set(retained(world)) == {"all"}


def test_what_is_folded_knows_the_order_for_all(world: World) -> None:
    world.start(1)
    play(world)
    with world.store.read() as connection:
        state = log.folded(connection)
    slots = state.desired["digits", TARGET]
    assert len(slots) == SLOTS
    assert {(w.seq, w.release.release, w.whole) for w in slots.values()} == {(4, 1, True)}
