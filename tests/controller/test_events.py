"""Tests that the state which is computed from the log is what was done."""

from pathlib import Path

import pytest
from rollout_world import World, quick

from modelwave_controller.rollout import events
from modelwave_controller.rollout.events import (
    Aborted,
    Began,
    Continued,
    Created,
    Event,
    Finding,
    Finished,
    FrozenBaseline,
    Gated,
    Held,
    Looked,
    Opened,
    OrderSent,
    Paused,
    Release,
    Reordered,
    Reported,
    Resumed,
    Reverted,
    Unshadowed,
)
from modelwave_controller.rollout.state import (
    ABORTED,
    FINISHED,
    HELD,
    NEW,
    PAUSED,
    REVERTED,
    REVERTING,
    RUNNING,
    UNKNOWN,
    State,
    fold,
)
from modelwave_controller.storage import log

OLD = Release(release=1, version="v1", manifest="1" * 64, envelope="a" * 64)
NEW_RELEASE = Release(release=2, version="v2", manifest="2" * 64, envelope="b" * 64)
CREATED = Created(
    model="digits",
    plan=quick(),
    releases={"rp2040": NEW_RELEASE},
    previous={"rp2040": OLD},
    seed=7,
)


def sent(seq: int, *slots: list[int], release: Release = NEW_RELEASE) -> OrderSent:
    return OrderSent(target="rp2040", seq=seq, release=release, slots=list(slots), known=1)


OPENED = Opened(stage=0, orders=[sent(4, [7, 9])])
BACK = Reverted(reason="bad", orders=[sent(5, [7, 9], release=OLD)], cleared=[])


def after(*bodies: events.Body) -> State:
    return fold(
        Event(id=number, rollout=1, at=10.0 * number, body=body)
        for number, body in enumerate([CREATED, *bodies], 1)
    )


def status(*bodies: events.Body) -> str:
    return after(*bodies).rollouts[1].status


def test_every_body_is_read_back_as_it_was_written() -> None:
    bodies: list[events.Body] = [
        CREATED,
        OPENED,
        events.OpenedPart(stage=0, orders=[], rest=events.Rest(devices=3, due=1.5)),
        Began(stage=None, clock=1.5),
        Reported(device="d", seq=4, outcome="FAILED", reason="é"),
        Gated(stage=0, verdict="PASS", reason=""),
        Unshadowed(orders=[], cleared=[]),
        Looked(
            stage=0,
            look=0,
            windows=1,
            observed=True,
            findings=[
                Finding(
                    gate="failures <= 0.1",
                    verdict="PASS",
                    reason="r",
                    canaries=3,
                    controls=0,
                    harm=0.5,
                )
            ],
            frozen=[
                FrozenBaseline(gate="failures <= 0.1", target="t", theta=0.5, mean_before=0.25)
            ],
        ),
        Held(reason="h"),
        Continued(reason="c"),
        Paused(reason="p"),
        Resumed(accepted="a"),
        events.Promoted(
            stage=0,
            skipped="s",
            reason="r",
            full=True,
            overruled=[events.Overruled(rolled_back=1, looks=2)],
        ),
        events.StartedNow(reason="r"),
        events.ApprovalAsked(stage=0),
        events.Approved(stage=0, reason="r"),
        events.Retried(devices=["d"], reason="r"),
        events.RevertAsked(reason="r"),
        BACK,
        Reordered(stage=0, orders=[sent(6, [7, 7])], gone=["d"]),
        Finished(reason="f"),
        Aborted(reason="x"),
        events.ClockAccepted(reason="r", actor="eve@host"),
        events.Replaced(device="d", models=["digits"]),
        events.Forgotten(device="d"),
        events.Tagged(device="d", added=["a"], removed=[]),
        events.Restored(made_at=1.5, models=["digits"]),
        events.Recovered(model="digits", floor=1057),
        events.FoundNewer(model="digits", seq=57),
        events.EpochBegan(epoch=1),
        events.Condensed(
            waves=[
                events.WaveCounts(
                    stage=0,
                    devices=3,
                    answers={"SUCCEEDED": 2, "ROLLED_BACK": 1},
                    rolled_back=["d1"],
                )
            ],
            answers=7,
        ),
        events.DevicesEnrolled(number=2, first=["d", "e"], renewed=1),
        events.DeviceRevoked(device="d"),
        events.DeviceApproved(device="d"),
        events.TokenMade(token="B" * 8, name="eve", role="admin", expires_at=1.5),
        events.TokenRevoked(token="B" * 8, name="eve", reason="r"),
        events.RootPublished(version=2),
        events.ReleaseAdded(
            model="digits", release=2, version="v2", target="linux-cpu", manifest="a" * 64
        ),
        events.ReleasesSigned(model="digits", releases=[1, 2]),
        events.TargetAdded(target="mine"),
        events.CertificateMade(of="broker", hosts=["broker.example"]),
        events.InTrouble(devices=3, of=9, share=0.1, back=True, gateways={"gw-1": 2}),
        events.TroubleOver(devices=1, of=9),
        events.AlertGivenUp(alert="on-call", number=2, reason="r"),
        events.KeyAway(reason="r"),
        events.KeyBack(),
    ]
    assert {type(body) for body in bodies} == set(events.Body.__args__[0].__args__)  # type: ignore[attr-defined]
    for body in bodies:
        assert events.load_event(1, 1, 0.0, body.kind, events.dump_body(body)).body == body


def test_the_status_word_follows_the_events() -> None:
    assert status() == NEW
    assert status(OPENED) == RUNNING
    assert status(OPENED, Paused(reason="")) == PAUSED
    assert status(Paused(reason=""), Resumed(accepted="")) == NEW
    assert status(OPENED, Held(reason="")) == HELD
    assert status(OPENED, Held(reason=""), Resumed(accepted="")) == RUNNING
    assert status(OPENED, Finished(reason="")) == FINISHED
    assert status(OPENED, Held(reason=""), Continued(reason="")) == RUNNING
    assert status(OPENED, Held(reason=""), Paused(reason="")) == PAUSED
    assert status(OPENED, events.RevertAsked(reason="")) == REVERTING
    assert status(OPENED, Finished(reason=""), events.RevertAsked(reason="")) == REVERTING
    assert status(OPENED, Aborted(reason="")) == ABORTED
    assert status(OPENED, BACK) == REVERTING
    assert status(OPENED, BACK, Finished(reason="")) == REVERTED
    assert status(OPENED, Finished(reason=""), BACK) == REVERTING


def test_the_latest_answer_of_a_device_counts() -> None:
    answers = [
        Reported(device="d1", seq=4, outcome="SUCCEEDED", reason=""),
        Reported(device="d1", seq=4, outcome="ROLLED_BACK", reason="late"),
    ]
    stage = after(OPENED, *answers).rollouts[1].stages[0]
    assert {name: answer.outcome for name, answer in stage.answers.items()} == {"d1": "ROLLED_BACK"}


def test_an_answer_counts_for_the_order_it_speaks_of() -> None:
    answer = Reported(device="d1", seq=5, outcome="SUCCEEDED", reason="")
    rollout = after(OPENED, BACK, answer).rollouts[1]
    assert rollout.stages[0].answers == {}
    assert rollout.back is not None
    assert list(rollout.back.answers) == ["d1"]


@pytest.mark.parametrize("stop", [Held(reason=""), Paused(reason="")])
def test_a_resume_lets_the_deadline_begin_anew_and_the_soak_goes_on(stop: events.Body) -> None:
    began = Began(stage=0, clock=7.0)
    resumed = [OPENED, began, stop, Resumed(accepted="")]
    stage = after(*resumed).rollouts[1].stages[0]
    assert (stage.soaking_since, stage.waiting_since) == (7.0, None)
    stage = after(*resumed, Began(stage=0, clock=9.0)).rollouts[1].stages[0]
    assert (stage.soaking_since, stage.waiting_since) == (7.0, 9.0)


def test_a_resume_overrules_the_gate_that_holds_and_no_other() -> None:
    held = after(OPENED, Held(reason=""), Resumed(accepted="why")).rollouts[1].stages[0]
    assert held.accepted == "why"
    paused = after(OPENED, Paused(reason=""), Resumed(accepted="")).rollouts[1].stages[0]
    assert paused.accepted == ""


@pytest.mark.parametrize("stage", [None, -1, 1])
def test_clocks_of_orders_that_were_never_sent_are_not_understood(stage: int | None) -> None:
    assert status(OPENED, Began(stage=stage, clock=1.0)) == UNKNOWN


def test_only_a_finished_rollout_becomes_the_current_release() -> None:
    key = ("digits", "rp2040")
    assert key not in after(OPENED).current
    assert key not in after(OPENED, Aborted(reason="")).current
    assert after(OPENED, Finished(reason="")).current[key] == NEW_RELEASE


def test_taking_back_a_finished_rollout_makes_the_older_release_current_again() -> None:
    assert after(OPENED, Finished(reason=""), BACK).current["digits", "rp2040"] == OLD
    nothing = CREATED.model_copy(update={"previous": {}})
    cleared = events.Cleared(target="rp2040", slots=[[7, 9]], known=1)
    state = fold(
        Event(id=number, rollout=1, at=0.0, body=body)
        for number, body in enumerate(
            [
                nothing,
                OPENED,
                Finished(reason=""),
                Reverted(reason="", orders=[], cleared=[cleared]),
            ],
            1,
        )
    )
    assert state.current == {}
    assert state.desired["digits", "rp2040"] == {}


def test_what_slots_are_ordered_to_run_is_the_newest_order_for_each() -> None:
    state = after(OPENED, Opened(stage=1, orders=[sent(5, [0, 0], [10, 11])]))
    assert sorted(state.desired["digits", "rp2040"]) == [0, 7, 8, 9, 10, 11]
    assert state.rollouts[1].width("rp2040") == 6
    assert state.seqs == {"digits": 5}
    back = after(OPENED, BACK).desired["digits", "rp2040"].values()
    assert {wanted.release for wanted in back} == {OLD}


def test_folding_in_two_parts_is_folding_at_once(tmp_path: Path) -> None:
    world = World(tmp_path, devices=8)
    for outcome in ("SUCCEEDED", "ROLLED_BACK"):
        world.start(1 if outcome == "SUCCEEDED" else 2)
        for _ in range(4):
            world.tick()
            world.answer(outcome, world.devices.values())
    with world.store.read() as connection:
        entries = list(log.events_after(connection))
    assert len(entries) > 20
    for cut in range(len(entries)):
        assert fold(entries[cut:], fold(entries[:cut])) == fold(entries)
    world.close()


def test_answers_to_other_rollouts_are_left_out_when_not_asked_for(tmp_path: Path) -> None:
    world = World(tmp_path, devices=4)
    number = world.start(1)
    world.tick()
    world.answer("", world.devices.values())
    with world.store.read() as connection:
        assert log.folded(connection, reports_of=[]).rollouts[number].stages[0].answers == {}
        assert log.folded(connection, reports_of=[number]).rollouts[number].stages[0].answers
    world.close()
