"""Tests whole rollouts, tick by tick, with simulated devices."""

import contextlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from postgres_server import needs_postgres, postgres
from rollout_world import FLEET, NO_RELEASE, TARGET, World, newest, quick, seen
from sqlalchemy import Connection

from modelwave_controller.errors import OperatorError
from modelwave_controller.operations import rollouts, status
from modelwave_controller.operations.rollouts import Request
from modelwave_controller.rollout import events, slot_sets
from modelwave_controller.rollout.draw import MAX_SEED
from modelwave_controller.rollout.state import (
    ABORTED,
    FINISHED,
    HELD,
    NEW,
    PAUSED,
    REVERTED,
    REVERTING,
    RUNNING,
    State,
)
from modelwave_controller.storage import log, outbox
from modelwave_shared import documents, dsse, words
from modelwave_shared.limits import MAX_ENVELOPE_BYTES, SLOTS
from modelwave_shared.slots import slot


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=20)) as made:
        yield made


def run_to_the_end(world: World, outcome: str = "SUCCEEDED") -> None:
    for _ in range(6):
        world.tick()
        world.answer(outcome, world.devices.values())
    world.tick()


def bring_to(world: World, release: int) -> None:
    world.start(release)
    run_to_the_end(world)
    assert newest(world).status == FINISHED


def sent(world: World) -> dict[str, bytes]:
    with world.store.read() as connection:
        return {m.topic: m.payload for m in outbox.unsent(connection, 10_000)}


def test_a_good_release_opens_stage_after_stage_and_finishes(world: World) -> None:
    world.start(1)
    opened = []
    for _ in range(3):
        world.tick()
        opened.append(sum(o.known for o in newest(world).stages[-1].orders))
        world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    assert opened == [2, 8, 10]
    assert newest(world).status == FINISHED
    assert [stage.verdict for stage in newest(world).stages] == ["PASS", "PASS", "PASS"]


def test_no_further_stage_opens_before_the_answers_are_there(world: World) -> None:
    world.start(1)
    world.tick()
    world.answer("", world.devices.values())  # taken, under way
    world.now += 50
    world.tick()
    assert len(newest(world).stages) == 1


def test_the_soak_is_waited_for(world: World) -> None:
    world.start(1, quick(stage={"soak_seconds": 40}))
    world.tick()
    world.answer("SUCCEEDED", world.devices.values())
    world.now += 39
    world.tick()
    assert len(newest(world).stages) == 1
    world.now += 1
    world.tick()
    assert len(newest(world).stages) == 2


def test_a_claim_of_success_with_another_release_live_opens_nothing(world: World) -> None:
    world.start(1)
    world.tick()
    for device in world.devices.values():
        order = world.ordered(device)
        if order:
            device.take(order, "SUCCEEDED")
            device.models["digits"]["sha256"] = "f" * 64
    world.hear(world.devices.values())
    world.tick()
    rollout = newest(world)
    assert len(rollout.stages) == 1
    assert {a.outcome for a in rollout.stages[0].answers.values()} == {"IN_PROGRESS"}


def test_answers_to_an_order_of_another_epoch_count_for_nothing(world: World) -> None:
    """A new epoch begins its numbers anew."""
    world.start(1)
    world.tick()
    for device in world.devices.values():
        order = world.ordered(device)
        if order:
            device.take(order | {"epoch": order["epoch"] + 1}, "ROLLED_BACK")
    world.hear(world.devices.values())
    world.tick()
    assert newest(world).status == RUNNING
    assert newest(world).stages[0].answers == {}


def test_answers_of_devices_outside_the_stage_count_for_nothing(world: World) -> None:
    world.start(1)
    world.tick()
    inside = [device for device in world.devices.values() if world.ordered(device)]
    order = world.ordered(inside[0])
    assert order is not None
    for device in world.devices.values():
        if device not in inside:
            device.take(order, "ROLLED_BACK")
    world.hear(world.devices.values())
    world.tick()
    assert newest(world).status == RUNNING
    assert newest(world).stages[0].answers == {}


def test_an_order_is_one_signature_for_all_slots_of_a_stage(world: World) -> None:
    world.acknowledges = False
    world.start(1)
    world.tick()
    orders = newest(world).stages[0].orders
    payloads = set(sent(world).values())
    assert len(orders) == len(payloads) == 1
    lines = payloads.pop().split(b"\n")
    assert [len(line) <= MAX_ENVELOPE_BYTES for line in lines] == [True, True]
    order = documents.open_signed(words.ORDER, dsse.read(lines[0]), world.home.root_document)
    manifest = dsse.read(lines[1])
    documents.open_signed(words.MANIFEST, manifest, world.home.root_document)
    assert order["manifest"] == manifest.digest()
    assert slot_sets.named_in(order) == orders[0].slots
    assert order["seq"] == orders[0].seq == 1
    assert (order["issued"], order["expires"]) == (1_800_000_000, 1_800_000_000 + 365 * 86400)
    assert (order["epoch"], order["shadow"]) == (0, False)
    assert order["trial"] == {"seconds": 1, "inferences": 0}
    assert "extra" not in order
    assert order["urls"] == ["http://127.0.0.1:1/files"]
    known = {slot(FLEET, name) for name in world.devices} & set(_slots(orders))
    topics = {f"modelwave/1/{FLEET}/desired/{TARGET}/digits/{number}" for number in known}
    assert set(sent(world)) == topics


def test_order_says_which_share_of_its_trial_may_fail(world: World) -> None:
    world.acknowledges = False
    trial = {"seconds": 1, "inferences": 200, "max_failed_percent": 0.5}
    world.start(1, quick(trial=trial))
    world.tick()
    order = documents.open_signed(
        words.ORDER,
        dsse.read(set(sent(world).values()).pop().split(b"\n")[0]),
        world.home.root_document,
    )
    assert order["trial"] == {"seconds": 1, "inferences": 200}
    assert order["extra"] == {"max_failed_ppm": 5000}


def test_deferred_device_is_waited_for_and_named_with_its_reason(world: World) -> None:
    world.start(1, quick(100))
    world.tick()
    first, *others = world.devices.values()
    world.answer("SUCCEEDED", others)
    world.answer("DEFERRED", [first], "the battery is low")
    world.tick()
    with world.store.read() as connection:
        found = status.StatusReader(connection, None).read(connection, world.now)
    assert (found.rows[0].deferred, found.rows[0].in_progress, found.rows[0].silent) == (1, 0, 0)
    assert [(p.device, p.outcome, p.reason) for p in found.problems] == [
        (first.name, "DEFERRED", "the battery is low")
    ]
    world.answer("SUCCEEDED", [first])
    world.tick()
    assert newest(world).status == FINISHED


def test_ban_is_lifted_by_the_orders_of_the_rollout_that_asked_and_not_by_its_revert(
    world: World,
) -> None:
    device = next(iter(world.devices.values()))
    world.start(1)
    run_to_the_end(world)
    assert "extra" not in (world.ordered(device) or {})
    request = Request(
        "digits", world.release(2, [TARGET]), (), quick(100), 0, lift_ban="the sensor was loose"
    )
    number = rollouts.start(world.store, request, world.now)
    world.tick()
    assert newest(world).created.lift_ban == "the sensor was loose"
    order = world.ordered(device)
    assert order
    assert order["extra"] == {"lift_ban": True}
    rollouts.revert(world.store, str(number), "", world.now)
    world.tick()
    order = world.ordered(device)
    assert order
    assert order["seq"] > 2
    assert "extra" not in order


def test_start_of_the_live_release_names_the_way_back_from_orders_that_were_left(
    world: World,
) -> None:
    """Canaries that are offline report the live release, and would take the other one later."""
    bring_to(world, 1)
    left = world.start(2, quick(10, 100))
    world.tick()
    rollouts.abort(world.store, str(left), "", world.now)
    refusal = f"orders of rollout {left} for release 2 stand: `modelwave rollout revert {left}`"
    with pytest.raises(OperatorError, match=refusal):
        world.start(1)
    rollouts.revert(world.store, str(left), "", world.now)
    world.tick()
    ordered = [order for device in world.devices.values() if (order := world.ordered(device))]
    live = world.release(1)[TARGET].digest
    assert {order["manifest"] for order in ordered} == {live}
    with pytest.raises(OperatorError, match="runs release 1 of digits already; name the other"):
        world.start(1)


def test_ban_is_lifted_by_a_retry_and_not_by_orders_that_say_the_same_again(world: World) -> None:
    """A device may have banned the release again since: the operator has not asked twice."""
    devices = list(world.devices.values())
    plan = quick(10, 100, expires_seconds=2000)
    request = Request("digits", world.release(1, [TARGET]), (), plan, 0, lift_ban="it was loose")
    number = rollouts.start(world.store, request, world.now)
    world.tick()
    opened = [order for device in devices if (order := world.ordered(device))]
    assert opened
    assert all(order["extra"] == {"lift_ban": True} for order in opened)
    run_to_the_end(world)
    settled = world.ordered(devices[0])
    assert settled
    assert (settled["slots"], "extra" in settled) == ([[0, SLOTS - 1]], False)
    rollouts.retry(world.store, str(number), ["d0"], [], "", world.now)
    world.tick()
    again = world.ordered(devices[0])
    assert again
    assert (again["device"], again["extra"]) == ("d0", {"lift_ban": True})
    world.now += 1200  # more than half of the orders' time
    world.tick()
    renewed = world.ordered(devices[0])
    assert renewed
    assert (renewed["seq"] > again["seq"], "extra" in renewed) == (True, False)


def _slots(orders: list) -> list[int]:  # type: ignore[type-arg]
    return [slot for o in orders for first, last in o.slots for slot in range(first, last + 1)]


def test_each_target_has_its_own_order_and_its_own_share(tmp_path: Path) -> None:
    with closing(World(tmp_path)) as world:
        world.add(10, "rp2040")
        world.add(30, "esp32")
        world.start(1, targets=("rp2040", "esp32"))
        world.tick()
        orders = newest(world).stages[0].orders
        assert {order.target: order.known for order in orders} == {"esp32": 3, "rp2040": 1}
        assert sorted(order.seq for order in orders) == [1, 2]
        run_to_the_end(world)
        assert newest(world).status == FINISHED
        for target in ("rp2040", "esp32"):
            opened = [o for s in newest(world).stages for o in s.orders if o.target == target]
            assert sorted(_slots(opened)) == list(range(SLOTS))


def test_a_late_joiner_finds_its_order_and_is_counted(world: World) -> None:
    bring_to(world, 1)
    (joined,) = world.add(1)
    assert world.ordered(joined) is not None
    world.answer("SUCCEEDED", [joined])
    assert sum(row.devices for row in seen(world).rows) == 21
    assert sum(row.succeeded for row in seen(world).rows) == 21


def test_a_bad_release_is_taken_back_with_a_higher_sequence(world: World) -> None:
    bring_to(world, 1)
    highest = world.state().seqs["digits"]
    world.start(2)
    world.tick()
    world.answer("ROLLED_BACK", world.devices.values(), "golden set: 3 of 60 right")
    world.tick()
    rollout = newest(world)
    assert rollout.status == REVERTING
    assert rollout.back is not None
    (order,) = rollout.back.orders
    assert order.seq == highest + 2
    assert order.slots == rollout.stages[0].orders[0].slots
    assert order.release.release == 1
    awaited = f"--target {TARGET} --not-on 1` names those that are awaited"
    assert awaited in seen(world).next
    world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    assert newest(world).status == REVERTED
    assert "awaited" not in seen(world).next
    assert {o["manifest"] for o in map(world.ordered, world.devices.values()) if o} == {
        order.release.manifest
    }


def test_where_there_is_no_earlier_release_the_topics_are_cleared(world: World) -> None:
    world.start(1)
    world.tick()
    world.acknowledges = False
    world.answer("ROLLED_BACK", world.devices.values())
    world.tick()
    assert newest(world).status == REVERTED
    assert set(sent(world).values()) == {b""}
    assert [world.ordered(device) for device in world.devices.values()] == [None] * 20


def test_failed_beyond_its_limit_holds_and_a_person_decides(world: World) -> None:
    world.start(1)
    world.tick()
    world.answer("FAILED", world.devices.values(), "download: no route")
    world.tick()
    assert newest(world).status == HELD
    assert "failed" in newest(world).reason
    rollouts.resume(world.store, "digits", "the network is known to be bad", world.now)
    world.tick()
    assert len(newest(world).stages) == 2


def test_a_resume_without_accepting_waits_for_the_silent_anew(world: World) -> None:
    world.start(1)
    world.tick()
    world.now += 100
    world.tick()
    assert newest(world).status == HELD
    rollouts.resume(world.store, "1", "", world.now)
    world.tick()
    assert newest(world).status == RUNNING
    world.now += 100
    world.tick()
    assert newest(world).status == HELD


def test_a_pause_opens_nothing_and_a_resume_goes_on(world: World) -> None:
    world.start(1)
    world.tick()
    rollouts.pause(world.store, "1", "lunch", world.now)
    world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    assert (newest(world).status, len(newest(world).stages)) == (PAUSED, 1)
    rollouts.resume(world.store, "1", "", world.now)
    world.tick()
    assert (newest(world).status, len(newest(world).stages)) == (RUNNING, 2)


def test_a_fail_that_the_plan_holds_cannot_be_resumed(world: World) -> None:
    world.start(1, quick(on_fail="hold"))
    world.tick()
    world.answer("ROLLED_BACK", world.devices.values())
    world.tick()
    assert newest(world).status == HELD
    with pytest.raises(OperatorError, match="has failed and cannot go on"):
        rollouts.resume(world.store, "1", "never mind", world.now)
    rollouts.revert(world.store, "1", "as it failed", world.now)
    world.tick()
    assert newest(world).status == REVERTED


def test_abort_leaves_the_opened_slots_their_order(world: World) -> None:
    bring_to(world, 1)
    before = {name: world.ordered(device) for name, device in world.devices.items()}
    world.start(2)
    world.tick()
    rollouts.abort(world.store, "digits", "changed our mind", world.now)
    world.tick()
    assert newest(world).status == ABORTED
    after = {name: world.ordered(device) for name, device in world.devices.items()}
    assert sum(before[name] != after[name] for name in before) == 2
    world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    assert newest(world).status == ABORTED


def test_a_finished_rollout_can_be_taken_back(world: World) -> None:
    bring_to(world, 1)
    bring_to(world, 2)
    rollouts.revert(world.store, "2", "it drifts", world.now)
    run_to_the_end(world)
    assert newest(world).status == REVERTED
    first = world.release(1)[TARGET].digest
    assert {o["manifest"] for o in map(world.ordered, world.devices.values()) if o} == {first}
    assert world.state().current["digits", TARGET].release == 1
    world.start(3)  # and the next rollout goes back to release 1 as well
    assert newest(world).created.previous[TARGET].release == 1


def test_a_revert_also_reaches_slots_that_an_aborted_rollout_left(world: World) -> None:
    bring_to(world, 1)
    request = Request("digits", world.release(2), (), quick(), 500)
    rollouts.start(world.store, request, world.now)
    world.tick()
    rollouts.abort(world.store, "digits", "", world.now)
    left = _slots(newest(world).stages[0].orders)
    world.start(2)
    world.tick()
    world.answer("ROLLED_BACK", world.devices.values())
    world.tick()
    back = newest(world).back
    assert back is not None
    assert set(left) <= set(_slots(back.orders))
    world.answer("SUCCEEDED", world.devices.values())
    first = world.release(1)[TARGET].digest
    assert {o["manifest"] for o in map(world.ordered, world.devices.values()) if o} == {first}


def test_after_the_way_back_nobody_is_in_progress_any_more(world: World) -> None:
    bring_to(world, 1)
    world.start(2, quick(100))
    world.tick()
    _silent, *others = world.devices.values()
    world.answer("", others[:5])  # they have begun
    world.answer("ROLLED_BACK", others[5:])
    world.tick()
    assert _unanswered(world) == (5, 1)
    world.answer("SUCCEEDED", world.devices.values())
    run_to_the_end(world, "SUCCEEDED")
    assert newest(world).status == REVERTED
    assert _unanswered(world) == (0, 6)


def _unanswered(world: World) -> tuple[int, int]:
    """How many devices of the first stage are in progress, and without an answer."""
    row = seen(world).rows[0]
    return row.in_progress, row.silent


def test_what_an_aborted_rollout_left_is_taken_back_by_one_that_opened_no_stage(
    world: World,
) -> None:
    bring_to(world, 1)
    world.start(2)
    world.tick()
    world.answer("SUCCEEDED", world.devices.values())
    rollouts.abort(world.store, "2", "enough", world.now)
    world.start(2)
    rollouts.revert(world.store, "3", "it was bad after all", world.now)
    world.tick()
    assert (newest(world).status, newest(world).stages) == (REVERTING, [])
    assert "all devices have answered, in 100 s at the latest" in seen(world).next
    world.now += 100
    world.tick()
    assert newest(world).status == REVERTED


def test_a_revert_waits_for_no_device_for_ever(world: World) -> None:
    bring_to(world, 1)
    world.start(2)
    world.tick()
    world.answer("ROLLED_BACK", world.devices.values())
    world.tick()
    world.now += 100
    world.tick()
    assert newest(world).status == REVERTED


def test_orders_of_a_model_never_share_a_sequence_number(world: World) -> None:
    for release in (1, 2, 3):
        world.start(release)
        run_to_the_end(world, "SUCCEEDED" if release != 2 else "ROLLED_BACK")
    seqs = [
        order.seq
        for rollout in world.state().rollouts.values()
        for wave in rollout.waves()
        for order in wave.orders
    ]
    assert seqs == sorted(set(seqs))


def test_a_rollout_of_another_model_goes_on_beside_it(world: World) -> None:
    world.start(1)
    world.tick()
    for device in world.devices.values():
        device.models["letters"] = dict(NO_RELEASE)
    world.hear(world.devices.values())
    rollouts.start(world.store, Request("letters", world.release(1), (), quick()), world.now)
    world.tick()
    assert [r.status for r in world.state().rollouts.values()] == [RUNNING, RUNNING]
    assert world.state().seqs == {"digits": 1, "letters": 1}


def test_a_better_release_may_start_while_the_bad_one_is_still_coming_back(world: World) -> None:
    bring_to(world, 1)
    world.start(2)
    world.tick()
    world.answer("ROLLED_BACK", world.devices.values())
    world.tick()
    assert newest(world).status == REVERTING
    world.start(3)
    run_to_the_end(world)
    assert [r.status for r in world.state().rollouts.values()][1:] == [REVERTING, FINISHED]
    world.now += 100  # those that run release 3 now do not answer for release 2 any more
    world.tick()
    assert world.state().rollouts[2].status == REVERTED
    assert newest(world).created.previous[TARGET].release == 1


# What is refused.


def test_a_second_rollout_of_the_model_is_refused_while_one_is_active(world: World) -> None:
    world.start(1)
    with pytest.raises(OperatorError, match="rollout 1 of digits for linux-cpu is NEW"):
        world.start(2)
    assert list(world.state().rollouts) == [1]


def test_a_rollout_to_nobody_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with closing(World(tmp_path)) as world, pytest.raises(OperatorError, match="modelwave serve"):
        world.start(1)


def test_a_release_that_everyone_has_is_refused(world: World) -> None:
    bring_to(world, 1)
    with pytest.raises(OperatorError, match="runs release 1 of digits already"):
        world.start(1)


def test_a_target_that_the_release_is_not_for_is_refused(world: World) -> None:
    request = Request("digits", world.release(1), ("esp32",), quick())
    with pytest.raises(OperatorError, match="not for 'esp32'; it is for linux-cpu"):
        rollouts.start(world.store, request, world.now)


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1, 10**30])
def test_a_seed_that_is_none_is_refused(world: World, seed: int) -> None:
    with pytest.raises(OperatorError, match=r"--seed: .*; give a number from 0 to 4294967295"):
        rollouts.start(
            world.store, Request("digits", world.release(1), (), quick(), seed), world.now
        )


def test_without_a_seed_it_is_random_and_recorded(world: World) -> None:
    found = set()
    for _ in range(8):
        rollouts.start(world.store, Request("digits", world.release(1), (), quick()), world.now)
        found.add(newest(world).created.seed)
        rollouts.abort(world.store, "digits", "", world.now)
    assert len(found) > 1


def test_what_does_not_fit_the_status_is_refused(world: World) -> None:
    world.start(1)
    with pytest.raises(OperatorError, match="nothing to resume"):
        rollouts.resume(world.store, "1", "", world.now)
    with pytest.raises(OperatorError, match=r"to revert \(`modelwave rollout abort 1` ends it\)"):
        rollouts.revert(world.store, "1", "", world.now)
    assert newest(world).status == NEW
    rollouts.pause(world.store, "1", "", world.now)
    with pytest.raises(OperatorError, match="nothing to pause"):
        rollouts.pause(world.store, "1", "", world.now)
    with pytest.raises(OperatorError, match="no gate holds"):
        rollouts.resume(world.store, "1", "because", world.now)
    rollouts.abort(world.store, "1", "", world.now)
    with pytest.raises(OperatorError, match="nothing to abort"):
        rollouts.abort(world.store, "1", "", world.now)


def test_commands_read_no_answers_while_the_service_waits_for_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.start(1)
    world.tick()
    world.answer("SUCCEEDED", world.devices.values())
    writing, read, load, write = [], [], events.load_event, world.store.write

    def noted(id: int, rollout: int, at: float, kind: str, body: str) -> events.Event:
        read.append((kind, bool(writing)))
        return load(id, rollout, at, kind, body)

    @contextlib.contextmanager
    def watched() -> Iterator[Connection]:
        with write() as connection:
            writing.append(1)
            yield connection
            writing.clear()

    monkeypatch.setattr(events, "load_event", noted)
    monkeypatch.setattr(world.store, "write", watched)
    rollouts.retry(world.store, "1", [], ["SUCCEEDED"], "", world.now)
    assert (events.REPORTED, False) in read
    assert [kind for kind, waiting in read if waiting] == []
    read.clear()
    rollouts.abort(world.store, "1", "rain", world.now)
    assert events.REPORTED not in {kind for kind, _ in read}, "it needs none"
    assert [kind for kind, waiting in read if waiting] == []
    assert world.state().rollouts[1].status == ABORTED


def test_a_command_sees_what_came_while_it_read_the_log(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.start(1)
    without_answers = log.without_answers

    def overtaken(connection: Connection) -> State:
        found = without_answers(connection)
        monkeypatch.setattr(log, "without_answers", without_answers)
        rollouts.abort(world.store, "1", "rain", world.now)
        return found

    monkeypatch.setattr(log, "without_answers", overtaken)
    with pytest.raises(OperatorError, match="ABORTED: there is nothing to pause"):
        rollouts.pause(world.store, "1", "lunch", world.now)


def test_digits_are_the_number_of_a_rollout_and_never_a_model_of_that_name(world: World) -> None:
    for device in world.devices.values():
        device.models["2"] = dict(NO_RELEASE)
    world.hear(world.devices.values())
    request = Request("2", world.release(1, model="2"), (), quick(), 0)
    assert rollouts.start(world.store, request, world.now) == 1
    with pytest.raises(OperatorError, match="ROLLOUT: no rollout or model is called '2'"):
        rollouts.abort(world.store, "2", "", world.now)
    assert world.start(1) == 2
    rollouts.abort(world.store, "1", "", world.now)
    assert rollouts.start(world.store, request, world.now) == 3
    assert rollouts.pause(world.store, "2", "", world.now) == 2
    assert seen(world, "2").rollout == 2


def test_a_revert_is_asked_for_once(world: World) -> None:
    bring_to(world, 1)
    rollouts.revert(world.store, "1", "", world.now)
    with pytest.raises(OperatorError, match="already"):
        rollouts.revert(world.store, "1", "", world.now)
    world.tick()
    with pytest.raises(OperatorError, match="already"):
        rollouts.revert(world.store, "1", "", world.now)


def test_an_old_rollout_is_not_taken_back_under_a_running_one(world: World) -> None:
    bring_to(world, 1)
    world.start(2)
    with pytest.raises(
        OperatorError, match="2 of digits is NEW: `modelwave rollout abort 2` first"
    ):
        rollouts.revert(world.store, "1", "", world.now)


def test_a_release_that_has_been_replaced_everywhere_cannot_be_taken_back(world: World) -> None:
    bring_to(world, 1)
    bring_to(world, 2)
    with pytest.raises(OperatorError, match="no slot has an order for"):
        rollouts.revert(world.store, "1", "", world.now)


@pytest.mark.parametrize("wanted", ["2", "letters", "../..", "x" * 10_000, "1\n"])
def test_a_rollout_that_is_none_is_refused(world: World, wanted: str) -> None:
    world.start(1)
    with pytest.raises(OperatorError, match="no rollout or model is called"):
        rollouts.abort(world.store, wanted, "", world.now)


# Where the log is.


def test_a_controller_that_starts_anew_goes_on_where_the_log_is(world: World) -> None:
    from modelwave_controller.service.tick import Ticker

    bring_to(world, 1)
    world.start(2)
    for _ in range(6):
        world.ticker = Ticker(world.store, world.issuer)
        world.tick()
        world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    assert newest(world).status == FINISHED


def test_a_forgotten_device_does_not_undo_what_it_answered(world: World) -> None:
    from modelwave_controller.storage import forgetting

    world.start(1)
    world.tick()
    world.answer("ROLLED_BACK", world.devices.values())
    with world.store.write() as connection:
        for name in world.devices:
            forgetting.forget(connection, name)
    world.tick()
    assert newest(world).status == REVERTED


@pytest.mark.slow
@needs_postgres
def test_on_postgresql_a_release_comes_and_a_bad_one_goes(tmp_path: Path) -> None:
    with postgres() as url, closing(World(tmp_path, url, devices=20)) as world:
        bring_to(world, 1)
        world.start(2)
        run_to_the_end(world, "ROLLED_BACK")
        assert newest(world).status == REVERTED
        first = world.release(1)[TARGET].digest
        assert {o["manifest"] for o in map(world.ordered, world.devices.values()) if o} == {first}


def test_the_devices_that_are_silent_are_named_as_soon_as_their_rollout_is_held(
    tmp_path: Path,
) -> None:
    """The clock that people are shown is not behind that of the decision."""
    with closing(World(tmp_path, devices=7)) as world:
        world.start(2, quick(100, stage={"deadline_seconds": 10}))
        world.tick()
        silent, *others = world.devices.values()
        world.answer("SUCCEEDED", others)
        while newest(world).status != HELD:
            world.now += 0.7
            world.tick()
        found = seen(world)
    assert "1 of 7 devices silent" in found.why
    assert [(one.device, one.outcome) for one in found.problems] == [(silent.name, "silent")]
    assert [row.silent for row in found.rows] == [1]
