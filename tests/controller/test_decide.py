"""Tests the next step of a rollout, for every situation and for random fleets (hypothesis)."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwave_controller.judge.verdicts import FAIL, INCONCLUSIVE, PASS
from modelwave_controller.rollout.decide import (
    CONTINUE,
    FINISH,
    HOLD,
    OPEN,
    REVERT,
    WAIT,
    Facts,
    StageFacts,
    decide,
)
from modelwave_controller.rollout.gates import Counts
from modelwave_controller.rollout.plan import Plan, make_plan

GOOD = Counts(devices=10, succeeded=10)
BAD = Counts(devices=10, rolled_back=10)
LOST = Counts(devices=10, failed=10)
WAITING = Counts(devices=10)


def plan(**changes: Any) -> Plan:
    stage = {"soak_seconds": 50, "deadline_seconds": 100}
    stages = [{"percent": percent} | stage for percent in (10, 100)]
    return make_plan({"stages": stages, "trial": {"seconds": 1}} | changes)


def stage(counts: Counts = GOOD, since: float | None = 0, **changes: Any) -> StageFacts:
    return StageFacts(since, since, counts, **changes)


def verb(facts: Facts, now: float = 60, **changes: Any) -> str:
    return decide(plan(**changes), facts, now).verb


def test_the_first_stage_opens_at_once() -> None:
    assert decide(plan(), Facts(), 0)[:3] == (
        OPEN,
        "no stage has opened yet",
        "stage 1 (10 %) opens",
    )


def test_the_next_stage_opens_when_the_gate_passed_and_the_soak_is_over() -> None:
    found = decide(plan(), Facts((stage(GOOD),)), 50)
    assert found.verb == OPEN
    assert found.gate is not None
    assert found.gate.verdict == PASS
    assert found.reason == "stage 1 (10 %): 10 of 10 devices succeeded"


def test_no_stage_opens_a_moment_before_the_soak_is_over() -> None:
    found = decide(plan(), Facts((stage(GOOD),)), 49.9)
    assert found.verb == WAIT
    assert found.next == "stage 2 (100 %) opens in 1 s"


def test_a_resume_does_not_begin_the_soak_anew() -> None:
    resumed = replace(stage(GOOD), waiting_since=40)
    assert verb(Facts((resumed,)), now=50) == OPEN


def test_the_last_stage_finishes() -> None:
    assert verb(Facts((stage(GOOD), stage(GOOD)))) == FINISH


def test_it_finishes_with_the_answers_of_all_stages_as_the_last_may_have_no_device() -> None:
    found = decide(plan(), Facts((stage(GOOD), stage(Counts()))), 60)
    assert found.verb == FINISH
    assert found.reason == (
        "stage 2 (100 %): no known device in its slots; in all stages 10 of 10 devices succeeded"
    )


def test_what_the_service_has_still_to_hold_names_no_command_that_needs_a_held_one() -> None:
    for facts in (Facts((stage(LOST),)), Facts(unreadable=("d1 reads order v 1",))):
        found = decide(plan(), facts, 60)
        assert found.verb == HOLD
        assert found.next == "this holds it by itself at the service's next tick"


def test_what_happens_next_names_commands_with_the_number_of_the_rollout() -> None:
    for facts in (Facts((stage(LOST),), held=True), Facts((stage(GOOD),), paused=True)):
        assert "`modelwave rollout resume 7`" in decide(plan(), replace(facts, rollout=7), 60).next


def test_no_more_than_the_whole_deadline_and_soak_are_left() -> None:
    waiting, soaking = Facts((stage(WAITING, 60),)), Facts((stage(GOOD, 60),))
    assert decide(plan(), waiting, 59).next.endswith(" in 100 s at the latest")
    assert decide(plan(), soaking, 59).next == "stage 2 (100 %) opens in 50 s"


def test_a_stage_without_devices_has_nothing_to_soak() -> None:
    assert verb(Facts((stage(Counts()),)), now=0) == OPEN


def test_it_waits_while_the_gate_is_pending_and_says_how_long() -> None:
    found = decide(plan(), Facts((stage(WAITING),)), 60)
    assert found.verb == WAIT
    assert found.next == "the gate decides when enough devices answered, in 40 s at the latest"


def test_a_fail_reverts_at_once() -> None:
    found = decide(plan(), Facts((stage(BAD),)), 0)
    assert found.verb == REVERT
    assert found.gate is not None
    assert (found.stage, found.gate.verdict) == (0, FAIL)


def test_a_fail_holds_where_the_plan_says_so_and_only_once() -> None:
    assert verb(Facts((stage(BAD),)), on_fail="hold") == HOLD
    assert verb(Facts((stage(BAD),), held=True), on_fail="hold") == WAIT


def test_a_stage_that_passed_before_can_still_fail() -> None:
    facts = Facts((stage(BAD), stage(WAITING, 50)))
    stages = [{"percent": percent, "max_rolled_back_percent": 2} for percent in (10, 100)]
    found = decide(plan(stages=stages), facts, 60)
    assert (found.verb, found.stage) == (REVERT, 0)


def test_roll_backs_of_all_opened_devices_are_evidence_in_the_newest_stage() -> None:
    one = Counts(devices=3, succeeded=2, rolled_back=1)
    assert decide(plan(), Facts((stage(one),)), 60)[0] == HOLD
    later = Facts((stage(one), stage(replace(GOOD, devices=50, succeeded=50), 0)))
    assert decide(plan(), later, 60).verb == FINISH  # 1 of 53 is no evidence
    two = replace(one, succeeded=1, rolled_back=2)
    found = decide(plan(), replace(later, stages=(stage(two), stage(Counts(devices=10), 0))), 60)
    assert (found.verb, found.stage) == (REVERT, 1)
    assert "2 of 13 opened devices rolled back" in found.reason


def test_a_stage_that_passed_before_holds_nothing_up_by_falling_silent() -> None:
    late_joiners = Counts(devices=30, succeeded=10)
    assert verb(Facts((stage(late_joiners), stage(GOOD, 100))), now=150) == FINISH


@pytest.mark.parametrize("state", ["paused", "held"])
def test_a_fail_reverts_also_while_paused_or_held(state: str) -> None:
    assert verb(replace(Facts((stage(BAD),)), **{state: True})) == REVERT


def test_nothing_opens_while_paused() -> None:
    assert verb(Facts((stage(GOOD),), paused=True)) == WAIT


@pytest.mark.parametrize("counts", [LOST, replace(LOST, failed=5), WAITING])
def test_nothing_opens_while_held(counts: Counts) -> None:
    assert verb(Facts((stage(counts),), held=True)) == WAIT


def test_a_held_rollout_continues_when_its_gate_has_passed_since() -> None:
    assert verb(Facts((stage(GOOD),), held=True)) == CONTINUE
    assert verb(Facts((stage(GOOD),), held=True, paused=True)) == WAIT


@pytest.mark.parametrize("counts", [WAITING, GOOD, replace(GOOD, succeeded=9)])
def test_no_deadline_and_no_soak_runs_before_the_broker_has_acknowledged_the_orders(
    counts: Counts,
) -> None:
    found = decide(plan(), Facts((stage(counts, None),)), 10**9)
    assert found.verb == WAIT
    assert "when the broker has acknowledged its orders" in found.next


def test_the_deadline_of_a_revert_begins_with_the_acknowledgement_too() -> None:
    back = Facts((stage(BAD),), back=Counts(devices=2, succeeded=1))
    assert decide(plan(), back, 10**9).verb == WAIT
    assert verb(replace(back, back=Counts(devices=1, succeeded=1))) == FINISH


@pytest.mark.parametrize(
    "facts",
    [
        Facts(),
        Facts((stage(GOOD),)),
        Facts((stage(BAD),)),
        Facts((stage(GOOD),), revert_asked="it drifts"),
    ],
)
def test_nothing_is_signed_while_the_clock_is_in_doubt(facts: Facts) -> None:
    assert verb(facts) in (OPEN, REVERT)
    found = decide(plan(), replace(facts, doubt="the clock is wrong"), 60)
    assert found.verb == WAIT
    assert found.reason.startswith("the clock is wrong; ")
    assert "modelwave clock accept REASON" in found.next


def test_what_needs_no_signature_is_done_also_while_the_clock_is_in_doubt() -> None:
    doubt = "the clock is wrong"
    assert verb(Facts((stage(GOOD), stage(GOOD)), doubt=doubt)) == FINISH
    assert verb(Facts((stage(LOST),), doubt=doubt)) == HOLD


def test_nothing_opens_that_was_paused_before_it_began() -> None:
    assert verb(Facts(paused=True)) == WAIT


def test_an_inconclusive_gate_holds() -> None:
    found = decide(plan(), Facts((stage(LOST),)), 60)
    assert found.verb == HOLD
    assert found.gate is not None
    assert found.gate.verdict == INCONCLUSIVE


def test_the_operator_may_overrule_an_inconclusive_gate() -> None:
    found = decide(plan(), Facts((stage(LOST, accepted="known outage"),)), 60)
    assert found.verb == OPEN
    assert "known outage" in found.reason


def test_an_overruled_gate_still_soaks() -> None:
    assert verb(Facts((stage(LOST, accepted="known outage"),)), now=49) == WAIT


def test_nobody_may_overrule_a_fail() -> None:
    assert verb(Facts((stage(BAD, accepted="never mind"),))) == REVERT


def test_a_fail_stays_one_when_the_numbers_look_better_later() -> None:
    assert verb(Facts((stage(GOOD, failed="2 of 10 rolled back"),))) == REVERT


def test_after_a_resume_the_deadline_runs_anew() -> None:
    resumed = replace(stage(WAITING), waiting_since=1000)
    assert verb(Facts((resumed,)), now=1099) == WAIT
    assert verb(Facts((resumed,)), now=1100) == HOLD


def test_an_asked_revert_is_done_whatever_else_holds() -> None:
    asked = Facts((stage(GOOD),), paused=True, revert_asked="it drifts")
    assert decide(plan(), asked, 0)[:2] == (REVERT, "it drifts")


def test_a_revert_is_over_when_all_have_answered() -> None:
    back = Facts((stage(BAD),), back_since=60, back=Counts(devices=2, succeeded=1, failed=1))
    assert verb(back, now=61) == FINISH


def test_a_revert_is_over_at_the_deadline_whoever_is_silent() -> None:
    back = Facts((stage(BAD),), back_since=60, back=Counts(devices=2, succeeded=1))
    assert verb(back, now=159.9) == WAIT
    assert verb(back, now=160) == FINISH


# Fleets made up by hypothesis.

PERCENT = st.sampled_from([0.0, 5.0, 20.0, 50.0, 100.0])
STAGES = st.fixed_dictionaries(
    {
        "soak_seconds": st.integers(0, 40),
        "deadline_seconds": st.integers(40, 90),
        "max_rolled_back_percent": PERCENT,
        "max_failed_percent": PERCENT,
        "max_rejected_percent": PERCENT,
        "max_silent_percent": PERCENT,
        "min_succeeded_percent": PERCENT,
    }
)
PLANS = st.tuples(STAGES, STAGES, STAGES, st.sampled_from(["revert", "hold"])).map(
    lambda found: make_plan(
        {
            "stages": [
                {"percent": percent} | stage
                for percent, stage in zip((5, 50, 100), found[:3], strict=True)
            ],
            "trial": {"seconds": 1},
            "on_fail": found[3],
        }
    )
)
WORDS = ("succeeded", "rolled_back", "failed", "rejected", "canceled", "in_progress", "deferred")
# What happens between two ticks: time passes, a device of a stage answers (or takes its
# answer back), the operator acts.
HAPPENINGS = st.one_of(
    st.tuples(st.just("time"), st.integers(1, 60)),
    st.tuples(st.just("answer"), st.integers(0, 2), st.sampled_from(WORDS), st.integers(1, 6)),
    st.tuples(st.just("unsay"), st.integers(0, 2), st.sampled_from(WORDS)),
    st.tuples(st.just("pause"), st.booleans()),
    st.tuples(st.just("resume"), st.booleans()),
)


class Run:
    """A rollout as the ticker and the log would take it through these facts."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.facts = Facts()
        self.now = 0.0
        self.opened: list[float] = []
        self.failed = self.over = False

    def tick(self) -> str:
        found = decide(self.plan, self.facts, self.now)
        stages = list(self.facts.stages)
        if found.gate is not None and found.gate.verdict == FAIL and found.verb != WAIT:
            assert found.stage is not None
            stages[found.stage] = replace(stages[found.stage], failed=found.gate.reason)
            self.failed = True
        if found.verb == OPEN:
            self.opened.append(self.now)
            stages.append(stage(Counts(devices=6), self.now))
        changed = replace(self.facts, stages=tuple(stages))
        if found.verb in (HOLD, CONTINUE):
            changed = replace(changed, held=found.verb == HOLD)
        self.facts = changed
        self.over = found.verb in (FINISH, REVERT)
        return found.verb

    def happen(self, what: tuple[Any, ...]) -> None:
        facts, stages = self.facts, list(self.facts.stages)
        if what[0] == "time":
            self.now += what[1]
        elif what[0] == "pause" and not facts.held:
            self.facts = replace(facts, paused=what[1])
        elif what[0] == "resume" and facts.held and not self.failed:
            accepted = "because" if what[1] else ""
            stages[-1] = replace(stages[-1], waiting_since=self.now, accepted=accepted)
            self.facts = replace(facts, stages=tuple(stages), held=False)
        elif what[0] in ("answer", "unsay") and what[1] < len(stages):
            counts = stages[what[1]].counts
            number = getattr(counts, what[2])
            spare = counts.pending - counts.in_progress
            number = min(number + what[3], number + spare) if what[0] == "answer" else 0
            stages[what[1]] = replace(stages[what[1]], counts=replace(counts, **{what[2]: number}))
            self.facts = replace(facts, stages=tuple(stages))


@pytest.mark.slow
@settings(max_examples=300)
@given(PLANS, st.lists(HAPPENINGS, max_size=40))
def test_whatever_happens_the_promises_hold(plan: Plan, happenings: list[tuple[Any, ...]]) -> None:
    run = Run(plan)
    for what in happenings:
        before = run.facts
        done = run.tick()
        if done == OPEN:
            assert not run.failed, "a stage opened after a FAIL"
            assert not before.paused, "a stage opened while paused"
            assert not before.held, "a stage opened while held"
            assert len(run.opened) <= len(plan.stages)
            if len(run.opened) > 1:
                soak = plan.stages[len(run.opened) - 2].soak_seconds
                assert run.opened[-1] - run.opened[-2] >= soak, "a stage opened before the soak"
        if done == FINISH:
            assert not run.failed, "finished after a FAIL"
            assert len(before.stages) == len(plan.stages)
        if done == REVERT:
            assert plan.on_fail == "revert"
            assert run.failed
        if run.over:
            return
        run.happen(what)


@pytest.mark.slow
@given(PLANS, st.lists(HAPPENINGS, max_size=30), st.integers(0, 2))
def test_more_devices_rolled_back_never_open_a_stage(
    plan: Plan, happenings: list[tuple[Any, ...]], number: int
) -> None:
    run = Run(plan)
    for what in happenings:
        run.tick()
        if run.over:
            return
        run.happen(what)
    if number < len(run.facts.stages):
        stages = list(run.facts.stages)
        counts = stages[number].counts
        worse = replace(counts, succeeded=0, rolled_back=counts.rolled_back + counts.succeeded)
        stages[number] = replace(stages[number], counts=worse)
        after = decide(plan, replace(run.facts, stages=tuple(stages)), run.now).verb
        before = decide(plan, run.facts, run.now).verb
        if before not in (OPEN, FINISH):
            assert after not in (OPEN, FINISH)
