"""Devices that did not get to the release are ordered it anew: `rollout retry`, and `resume` of a
held rollout."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rollout_world import FLEET, TARGET, Device, World, newest, quick, seen
from test_retained_set import retained

from modelwave_controller.errors import OperatorError
from modelwave_controller.operations import rollouts
from modelwave_controller.operations.rollouts import Request
from modelwave_controller.rollout.events import Event, Reordered, Reported
from modelwave_controller.rollout.plan import Plan
from modelwave_controller.rollout.state import FINISHED, HELD, PAUSED, REVERTED, RUNNING
from modelwave_controller.service import tick
from modelwave_controller.storage import forgetting, log
from modelwave_shared.slots import slot


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=10)) as made:
        yield made


def retry(
    world: World, rollout: str | None = None, names: Iterable[str] = (), words: Iterable[str] = ()
) -> int:
    _, number = rollouts.retry(world.store, rollout, list(names), list(words), "again", world.now)
    return number


def lenient(*percents: float) -> Plan:
    """A plan that finishes also if some devices fail."""
    limits = dict.fromkeys(("failed", "rejected", "silent", "rolled_back"), 100)
    stage = {f"max_{name}_percent": limit for name, limit in limits.items()}
    return quick(*percents or (100,), stage=stage | {"min_succeeded_percent": 0})


def finish_without(world: World, outcome: str, *names: str, reason: str = "") -> None:
    """Finishes a rollout in which these devices have another outcome; "" for none at all."""
    world.start(1, lenient())
    world.tick()
    world.answer("SUCCEEDED", [d for d in world.devices.values() if d.name not in names])
    if outcome:
        world.answer(outcome, [world.devices[name] for name in names], reason)
    else:
        world.now += 100
    world.tick()
    assert newest(world).status == FINISHED


def counts(world: World) -> list[tuple[int, int, int, int]]:
    rows = seen(world).rows
    return [(r.devices, r.succeeded, r.failed, r.silent) for r in rows if r.devices]


def seq(world: World, device: Device) -> int:
    order = world.ordered(device)
    assert order is not None
    return int(order["seq"])


def reordered(world: World) -> list[Reordered]:
    with world.store.read() as connection:
        found = [event.body for event in log.events_after(connection)]
    return [body for body in found if isinstance(body, Reordered) and not body.settled]


def test_after_the_end_a_failed_device_is_ordered_the_release_anew(world: World) -> None:
    finish_without(world, "FAILED", "d3", reason="HTTP 503")
    assert counts(world) == [(10, 9, 1, 0)]
    failed, other = world.devices["d3"], world.devices["d4"]
    before = seq(world, other)
    assert retry(world) == 1
    world.tick()
    order = world.ordered(failed)
    assert order is not None
    assert (order["device"], order["seq"]) == ("d3", before + 1)
    assert order["manifest"] == world.release(1)[TARGET].digest
    assert seq(world, other) == before
    assert counts(world) == [(10, 9, 0, 1)]
    world.answer("SUCCEEDED", [failed])
    world.tick()
    assert counts(world) == [(10, 10, 0, 0)]
    assert newest(world).status == FINISHED


def test_a_finished_rollout_says_how_many_are_left_and_names_the_way_out(world: World) -> None:
    finish_without(world, "FAILED", "d3", "d4")
    said = "2 of 10 devices did not get to the release: `modelwave rollout retry 1` orders 2 anew"
    assert said in seen(world).next
    retry(world)
    assert "2 devices to be ordered anew at the service's next ticks" in seen(world).next
    assert seen(world).why.endswith("; now 8 of 10 devices succeeded, 2 failed")
    world.tick()
    world.answer("SUCCEEDED", world.devices.values())
    found = seen(world)
    assert found.next.startswith("nothing: it is over")
    assert found.why.endswith("; now 10 of 10 devices succeeded")


def test_each_way_out_is_named_for_the_devices_that_it_helps(world: World) -> None:
    world.start(1, lenient())
    world.tick()
    outcomes = {"d1": "ROLLED_BACK", "d2": "REJECTED", "d3": "FAILED"}
    for device in world.devices.values():
        world.answer(outcomes.get(device.name, "SUCCEEDED"), [device])
    world.tick()
    assert seen(world).next.startswith(
        "it is over, but 3 of 10 devices did not get to the release: "
        "`modelwave rollout retry 1` orders 1 anew; "
        "1 rejected it, `modelwave rollout retry 1 --outcome REJECTED` if the cause is gone; "
        "1 rolled it back, `modelwave rollout start digits 1 --lift-ban REASON` lets them try"
    )


def test_a_silent_device_is_ordered_anew_too(world: World) -> None:
    finish_without(world, "", "d3")
    assert retry(world) == 1
    world.tick()
    assert "device/d3/digits" in {t.split("desired/")[-1] for t in retained(world)}


@pytest.mark.parametrize("asked", [{"words": ["ROLLED_BACK"]}, {"names": ["d1", "d3"]}])
def test_a_device_that_banned_the_release_is_not_retried_without_lifting_the_ban(
    world: World, asked: dict[str, list[str]]
) -> None:
    world.start(1, quick(100))
    world.tick()
    for name, outcome in (("d1", "ROLLED_BACK"), ("d3", "FAILED")):
        world.answer(outcome, [world.devices[name]])
    world.answer("SUCCEEDED", [d for d in world.devices.values() if d.name not in ("d1", "d3")])
    with pytest.raises(OperatorError) as caught:
        retry(world, **asked)
    assert str(caught.value) == (
        "rollout 1: 1 device, such as d1, rolled the release back, and would reject an order that "
        "does not lift the ban: it can be tried again when rollout 1 is over: `modelwave rollout "
        "abort 1` or `modelwave rollout revert 1` first"
    )
    world.tick()
    assert newest(world).status == FINISHED
    with pytest.raises(OperatorError) as caught:
        retry(world, **asked)
    assert "`modelwave rollout start digits 1 --lift-ban REASON` lets them try" in str(caught.value)
    assert seen(world).rows[0].rolled_back == 1
    assert retry(world) == 1


def test_rolled_back_and_rejected_are_retried_only_if_they_are_named(world: World) -> None:
    request = Request("digits", world.release(1), (), lenient(), 0, lift_ban="it was loose")
    rollouts.start(world.store, request, world.now)
    world.tick()
    for name, outcome in (("d1", "ROLLED_BACK"), ("d2", "REJECTED"), ("d3", "FAILED")):
        world.answer(outcome, [world.devices[name]])
    rest = [d for d in world.devices.values() if d.name not in ("d1", "d2", "d3")]
    world.answer("SUCCEEDED", rest)
    world.tick()
    assert retry(world) == 1
    assert retry(world, words=["ROLLED_BACK", "REJECTED"]) == 2
    assert retry(world, names=["d1"]) == 1
    assert retry(world, names=["d1", "d4"], words=["ROLLED_BACK"]) == 1


def test_what_is_refused_says_what_there_is(world: World) -> None:
    world.start(1, lenient())
    with pytest.raises(OperatorError, match="no device has its orders"):
        retry(world)
    world.tick()
    world.answer("SUCCEEDED", world.devices.values())
    with pytest.raises(OperatorError, match="no device to order anew: 10 SUCCEEDED; name others"):
        retry(world)
    with pytest.raises(OperatorError, match="--device: 'd99' is no known device"):
        retry(world, names=["d99"])
    with pytest.raises(OperatorError, match="--outcome: 'NICE' is none; give some of SUCCEEDED, "):
        retry(world, words=["NICE"])
    assert newest(world).retry == {}


def test_a_rollout_that_another_one_has_replaced_is_not_retried(world: World) -> None:
    finish_without(world, "FAILED", "d3")
    world.start(2, lenient())
    world.tick()
    with pytest.raises(OperatorError, match="another rollout has ordered them something else"):
        retry(world, "1")


def test_devices_that_were_forgotten_or_got_another_order_since_are_left_out(world: World) -> None:
    finish_without(world, "FAILED", "d3", "d4")
    retry(world)
    with world.store.write() as connection:
        forgetting.forget(connection, "d3")
    world.tick()
    (done,) = [body for body in reordered(world) if body.orders]
    assert [order.device for order in done.orders] == ["d4"]
    assert newest(world).retry == {}


def test_a_tick_signs_a_bounded_number_of_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tick, "MAX_ORDERED_ANEW", 3)
    finish_without(world, "FAILED", *[f"d{number}" for number in range(7)])
    retry(world)
    world.tick()
    assert [len(body.orders) for body in reordered(world)] == [3, 3, 1]


def test_nothing_is_ordered_anew_while_the_clock_is_in_doubt(world: World) -> None:
    finish_without(world, "FAILED", "d3")
    retry(world)
    world.jump(-86400)
    world.tick()
    assert reordered(world) == []
    world.jump(86400)
    world.tick()
    assert len(reordered(world)) == 1


# Held.


def hold(world: World, outcome: str = "FAILED") -> list[Device]:
    world.start(1, quick(50, 100))
    world.tick()
    asked = [device for device in world.devices.values() if world.ordered(device)]
    world.answer("SUCCEEDED", asked[1:])
    world.answer(outcome, asked[:1], "HTTP 503")
    world.tick()
    assert newest(world).status == HELD
    return asked


@pytest.mark.parametrize("outcome", ["FAILED", "CANCELED"])
def test_a_resume_orders_anew_whom_the_rollout_waits_for(world: World, outcome: str) -> None:
    failed, other, *_ = hold(world, outcome)
    before = seq(world, other)
    rollouts.resume(world.store, "1", "", world.now)
    world.tick()
    assert newest(world).status == RUNNING
    assert (seq(world, failed), seq(world, other)) == (before + 1, before)
    world.now += 99
    world.tick()
    assert newest(world).status == RUNNING, "it has the whole deadline again"
    world.answer("SUCCEEDED", [failed])
    world.tick()
    assert len(newest(world).stages) == 2


def test_a_resume_orders_the_silent_anew(world: World) -> None:
    world.start(1, quick(50, 100))
    world.tick()
    asked = [device for device in world.devices.values() if world.ordered(device)]
    world.answer("SUCCEEDED", asked[1:])
    world.now += 100
    world.tick()
    assert newest(world).status == HELD
    rollouts.resume(world.store, "1", "", world.now)
    world.tick()
    (done,) = reordered(world)
    assert [order.device for order in done.orders] == [asked[0].name]


def test_overruling_the_gate_orders_nothing_anew(world: World) -> None:
    hold(world)
    rollouts.resume(world.store, "1", "the server was down", world.now)
    world.tick()
    assert reordered(world) == []
    assert len(newest(world).stages) == 2


def test_the_clocks_begin_when_the_broker_has_the_new_orders(world: World) -> None:
    hold(world)
    world.acknowledges = False
    rollouts.resume(world.store, "1", "", world.now)
    world.tick()
    assert newest(world).stages[0].waiting_since is None
    world.now += 1000
    world.tick()
    assert newest(world).status == RUNNING
    world.acknowledges = True
    world.tick()
    assert newest(world).stages[0].waiting_since is not None


def test_a_held_rollout_goes_on_by_itself_when_the_retried_have_succeeded(world: World) -> None:
    failed, *_ = hold(world)
    retry(world)
    world.tick()
    assert newest(world).status == HELD
    world.answer("SUCCEEDED", [failed])
    world.tick()
    assert (newest(world).status, len(newest(world).stages)) == (RUNNING, 2)
    assert newest(world).stages[0].verdict_reason.startswith("5 of 5")


def test_a_paused_rollout_stays_paused_when_its_devices_are_retried(world: World) -> None:
    failed, *_ = hold(world)
    rollouts.pause(world.store, "1", "night", world.now)
    retry(world)
    world.tick()
    world.answer("SUCCEEDED", [failed])
    world.tick()
    assert (newest(world).status, len(newest(world).stages)) == (PAUSED, 1)


def test_a_rollout_that_failed_is_not_retried(world: World) -> None:
    world.start(1, quick(100, on_fail="hold"))
    world.tick()
    world.answer("ROLLED_BACK", world.devices.values())
    world.tick()
    with pytest.raises(OperatorError, match="has failed and cannot go on"):
        retry(world, words=["ROLLED_BACK"])


# Answers, and what comes after.


def test_a_late_answer_to_the_older_order_does_not_count(world: World) -> None:
    failed, *_ = hold(world)
    old = world.ordered(failed)
    assert old is not None
    retry(world)
    world.tick()
    failed.take(old, "ROLLED_BACK")
    world.hear([failed])
    world.tick()
    assert newest(world).status == HELD
    assert failed.name not in newest(world).stages[0].answers


def test_an_older_answer_never_overwrites_a_newer_one() -> None:
    from test_events import OPENED, after, sent

    again = sent(9, [7, 7]).model_copy(update={"device": "d1"})
    answers = [
        Reported(device="d1", seq=9, outcome="SUCCEEDED", reason=""),
        Reported(device="d1", seq=4, outcome="FAILED", reason=""),
    ]
    state = after(OPENED, Reordered(stage=0, orders=[again]), *answers)
    assert state.rollouts[1].stages[0].answers["d1"].outcome == "SUCCEEDED"
    assert state.alone["digits"]["d1"].wanted.seq == 9


def test_an_order_for_one_device_is_answered_by_that_device_only(world: World) -> None:
    failed, *_ = hold(world)
    names = (f"twin{number}" for number in range(100_000))
    twin = Device(next(n for n in names if slot(FLEET, n) == slot(FLEET, failed.name)))
    world.hear([twin])
    retry(world)
    world.tick()
    order = world.ordered(failed)
    assert order is not None
    assert "device" in order
    twin.take(order, "ROLLED_BACK")
    world.hear([twin])
    world.tick()
    assert twin.name not in newest(world).stages[0].answers


def test_a_revert_takes_back_devices_that_were_ordered_alone(world: World) -> None:
    finish_without(world, "FAILED", "d3")
    retry(world)
    world.tick()
    world.answer("SUCCEEDED", [world.devices["d3"]])
    rollouts.revert(world.store, "1", "it drifts", world.now)
    world.tick()
    assert newest(world).status == REVERTED
    assert retained(world) == {}
    assert world.state().alone["digits"] == {}


def test_devices_that_did_not_go_back_are_ordered_back_anew(world: World) -> None:
    finish_without(world, "SUCCEEDED")
    world.start(2, quick(100))
    world.tick()
    world.answer("ROLLED_BACK", world.devices.values())
    world.tick()
    world.answer("SUCCEEDED", list(world.devices.values())[1:])
    world.now += 100
    world.tick()
    assert newest(world).status == REVERTED
    before = seq(world, world.devices["d0"])
    assert retry(world, "2") == 1
    world.tick()
    order = world.ordered(world.devices["d0"])
    assert order is not None
    assert order["seq"] == before + 1
    assert order["manifest"] == world.release(1)[TARGET].digest


def test_the_next_rollout_clears_the_orders_for_single_devices(world: World) -> None:
    finish_without(world, "FAILED", "d3")
    retry(world)
    world.tick()
    assert len(retained(world)) == 2
    world.start(2, quick(100))
    world.tick()
    assert set(retained(world)) == {"all"}


def test_an_unknown_stage_is_not_understood() -> None:
    from test_events import OPENED, status

    assert status(OPENED, Reordered(stage=3, orders=[])) == "UNKNOWN"
    assert Event(1, 1, 0.0, Reordered(stage=0, orders=[])).body.kind == "reordered"


# A release that part of the fleet lacks.


def test_a_release_that_part_of_the_fleet_lacks_may_be_started_again(world: World) -> None:
    finish_without(world, "FAILED", "d3")
    world.start(1)
    assert newest(world).status == "NEW"
    assert newest(world).created.previous == {}
    rollouts.abort(world.store, "2", "", world.now)
    world.answer("SUCCEEDED", [world.devices["d3"]])
    with pytest.raises(OperatorError, match="each device of linux-cpu runs release 1"):
        world.start(1)


def test_its_way_back_is_the_release_before(world: World) -> None:
    world.start(1, lenient())
    for _ in range(2):
        world.tick()
        world.answer("SUCCEEDED", world.devices.values())
    world.start(2, lenient())
    world.tick()
    world.answer("FAILED", [world.devices["d0"]])
    world.answer("SUCCEEDED", list(world.devices.values())[1:])
    world.tick()
    assert newest(world).status == FINISHED
    world.start(2, lenient())
    assert newest(world).created.previous[TARGET].release == 1
