"""Tests that a gate separates evidence about the model from other failures."""

from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelwave_controller.judge.verdicts import FAIL, INCONCLUSIVE, PASS
from modelwave_controller.rollout.gates import (
    NOBODY,
    PENDING,
    Counts,
    Gate,
    judge_stage,
    tally,
    without_overruled,
)
from modelwave_controller.rollout.plan import Stage

STAGE = Stage(
    percent=10,
    max_rolled_back_percent=10,
    max_failed_percent=20,
    max_rejected_percent=30,
    max_silent_percent=40,
    min_succeeded_percent=50,
)


def of_ten(overdue: bool = False, **counts: int) -> Gate:
    return judge_stage(STAGE, Counts(devices=10, **counts), overdue)


def test_rolled_back_beyond_its_limit_fails_at_once() -> None:
    gate = of_ten(rolled_back=2)
    assert gate.verdict == FAIL
    assert "2 of 10 devices rolled back (20 %), the limit is 10 %" in gate.reason


@pytest.mark.parametrize(
    ("rolled_back", "opened", "verdict"),
    [
        *((1, 2, FAIL), (1, 3, INCONCLUSIVE), (1, 14, INCONCLUSIVE), (1, 15, PASS)),
        *((2, 16, FAIL), (2, 17, INCONCLUSIVE), (2, 47, PASS), (5, 124, FAIL), (0, 1, PASS)),
        *((21, 10_000, PASS), (90, 10_000, FAIL)),
    ],
)
def test_without_a_limit_the_evidence_of_roll_backs_holds_and_reverts(
    rolled_back: int, opened: int, verdict: str
) -> None:
    counts = Counts(devices=opened, succeeded=opened - rolled_back, rolled_back=rolled_back)
    stage = Stage(percent=10)
    assert judge_stage(stage, counts, False).verdict == verdict
    pending = replace(counts, succeeded=0)  # a device that was opened and is silent counts too
    expected = PENDING if verdict == PASS else verdict
    assert judge_stage(stage, pending, False).verdict == expected


def test_one_more_roll_back_never_makes_a_gate_milder_at_any_size() -> None:
    order = [PASS, INCONCLUSIVE, FAIL]
    for opened in (1, 2, 3, 5, 12, 50, 500):
        found = [
            order.index(judge_stage(Stage(percent=1), _fine_but(k, opened), False).verdict)
            for k in range(opened + 1)
        ]
        assert found == sorted(found), opened


def _fine_but(rolled_back: int, devices: int) -> Counts:
    return Counts(devices, succeeded=devices - rolled_back, rolled_back=rolled_back)


def test_rolled_back_at_its_limit_does_not_fail() -> None:
    assert of_ten(rolled_back=1, succeeded=9).verdict == PASS


@pytest.mark.parametrize(
    ("counts", "word"),
    [({"failed": 3}, "failed"), ({"rejected": 4}, "rejected"), ({"canceled": 5}, "canceled")],
)
def test_what_says_nothing_of_the_model_is_inconclusive_and_never_a_fail(
    counts: dict[str, int], word: str
) -> None:
    gate = of_ten(**counts)
    assert gate.verdict == INCONCLUSIVE
    assert word in gate.reason


def test_rejected_is_not_mixed_with_failed() -> None:
    assert of_ten(succeeded=5, failed=2, rejected=3).verdict == PASS


def test_a_rollback_outweighs_everything_that_is_inconclusive() -> None:
    assert of_ten(rolled_back=2, failed=4, rejected=4).verdict == FAIL


def test_silence_waits_for_the_deadline_and_is_inconclusive_then() -> None:
    assert of_ten(succeeded=5).verdict == PENDING
    gate = of_ten(succeeded=5, overdue=True)
    assert gate.verdict == INCONCLUSIVE
    assert "5 of 10 devices silent" in gate.reason


def test_silence_within_its_limit_passes_at_the_deadline_not_before() -> None:
    assert of_ten(succeeded=6).verdict == PENDING
    gate = of_ten(succeeded=6, overdue=True)
    assert gate.verdict == PASS
    assert "4 timed out" in gate.reason


def test_under_way_at_the_deadline_is_silence() -> None:
    assert of_ten(succeeded=5, in_progress=5, overdue=True).verdict == INCONCLUSIVE


def test_it_passes_early_when_the_pending_could_change_nothing() -> None:
    assert of_ten(succeeded=9).verdict == PASS  # the tenth may even be rolled back
    assert of_ten(succeeded=8).verdict == PENDING  # two would be beyond the limit


def test_success_out_of_reach_is_inconclusive_before_the_deadline() -> None:
    stage = STAGE.model_copy(update={"max_silent_percent": 100.0, "max_rejected_percent": 100.0})
    gate = judge_stage(stage, Counts(devices=10, rejected=6, in_progress=4), False)
    assert gate.verdict == INCONCLUSIVE
    assert "0 of 10 devices succeeded (0 %), at least 50 % must" in gate.reason


def test_one_device_rolled_back_of_one_fails() -> None:
    assert judge_stage(STAGE, Counts(devices=1, rolled_back=1), False).verdict == FAIL


def test_a_stage_without_devices_passes_and_says_so() -> None:
    assert judge_stage(STAGE, Counts(), False) == Gate(PASS, "no known device in its slots")


def test_the_tally_names_every_count() -> None:
    counts = Counts(
        devices=21,
        in_progress=2,
        succeeded=3,
        rolled_back=1,
        failed=2,
        rejected=3,
        canceled=4,
        deferred=5,
    )
    assert tally(counts, False) == (
        "3 of 21 devices succeeded, 1 rolled back, 2 failed, 3 rejected, 4 canceled, "
        "5 deferred, 2 in progress, 1 without an answer yet"
    )
    assert "5 deferred, 3 timed out" in tally(counts, True)


def test_deferred_waits_until_the_deadline_and_is_silent_after_it() -> None:
    counts = Counts(devices=2, succeeded=1, deferred=1)
    assert judge_stage(STAGE, counts, False).verdict == PENDING
    found = judge_stage(STAGE, counts, True)
    assert found.verdict == INCONCLUSIVE
    assert found.reason.startswith("1 of 2 devices silent, deferred or canceled")


@st.composite
def some_counts(draw: Any) -> Counts:
    parts = [draw(st.integers(0, 12)) for _ in range(7)]
    names = ("in_progress", "deferred", "succeeded", "rolled_back", "failed", "rejected")
    names += ("canceled",)
    found = dict(zip(names, parts, strict=True))
    return Counts(devices=sum(parts) + draw(st.integers(0, 12)), **found)


PERCENT = st.one_of(st.sampled_from([0.0, 0.1, 33.3, 100.0]), st.floats(0, 100))
STAGES = st.builds(
    Stage,
    percent=st.just(10.0),
    max_rolled_back_percent=PERCENT,
    max_failed_percent=PERCENT,
    max_rejected_percent=PERCENT,
    max_silent_percent=PERCENT,
    min_succeeded_percent=PERCENT,
)
ANSWERS = ("succeeded", "rolled_back", "failed", "rejected", "canceled")


@example(STAGE, Counts(devices=10, in_progress=2, succeeded=8), ["rolled_back"] * 2, False)
@given(STAGES, some_counts(), st.lists(st.sampled_from(ANSWERS), max_size=12), st.booleans())
def test_what_is_decided_early_stays_whatever_the_pending_say(
    stage: Stage, counts: Counts, later: list[str], overdue: bool
) -> None:
    before = judge_stage(stage, counts, False).verdict
    for word in later[: counts.pending]:
        word_before = "in_progress" if counts.in_progress else "deferred"
        taken = {word_before: max(0, getattr(counts, word_before) - 1)}
        counts = replace(counts, **taken, **{word: getattr(counts, word) + 1})
    after = judge_stage(stage, counts, overdue).verdict
    if before == FAIL:
        assert after == FAIL
    if before == INCONCLUSIVE:
        assert after in (INCONCLUSIVE, FAIL)
    if before == PASS:
        assert after == PASS


@given(STAGES, some_counts())
def test_at_the_deadline_nothing_is_pending(stage: Stage, counts: Counts) -> None:
    assert judge_stage(stage, counts, True).verdict != PENDING


@given(STAGES, some_counts())
def test_a_pass_keeps_every_limit(stage: Stage, counts: Counts) -> None:
    if judge_stage(stage, counts, True).verdict == PASS and counts.devices:
        bounds = (
            (counts.rolled_back, stage.max_rolled_back_percent),
            (counts.failed, stage.max_failed_percent),
            (counts.rejected, stage.max_rejected_percent),
            (counts.pending + counts.canceled, stage.max_silent_percent),
        )
        for number, limit in bounds:
            assert 100 * number <= limit * counts.devices * (1 + 1e-9)


LIMITED, BY_EVIDENCE = STAGE, Stage(percent=10)


@pytest.mark.parametrize(
    ("stage", "of_stage", "of_opened", "is_judged"),
    [
        *((LIMITED, 2, 9, False), (LIMITED, 1, 9, False), (LIMITED, 3, 0, True)),
        *((BY_EVIDENCE, 9, 4, False), (BY_EVIDENCE, 9, 3, False), (BY_EVIDENCE, 0, 5, True)),
    ],
)
def test_roll_backs_that_the_operator_overruled_count_again_with_one_more(
    stage: Stage, of_stage: int, of_opened: int, is_judged: bool
) -> None:
    """A plan's limit is about the 2 of its stage, the evidence about the 4 of all opened ones."""
    counts, opened = Counts(devices=10, rolled_back=of_stage), Counts(20, rolled_back=of_opened)
    found = without_overruled(stage, counts, 2, opened, 4)
    assert found == (stage if is_judged else stage.model_copy(update=NO_LIMIT))


NO_LIMIT = {"max_rolled_back_percent": 100.0}


@pytest.mark.parametrize("stage", [LIMITED, BY_EVIDENCE])
def test_a_stage_of_which_nothing_was_overruled_is_judged_as_it_is_planned(stage: Stage) -> None:
    assert without_overruled(stage, NOBODY, 0, NOBODY, 0) == stage


def test_nobody_is_in_progress_until_it_is_said_and_counts_stay_as_they_are() -> None:
    assert (NOBODY.pending, NOBODY.queued, Counts(devices=3).queued) == (0, 0, 3)
    with pytest.raises(FrozenInstanceError):
        NOBODY.devices = 1  # type: ignore[misc]


def test_roll_backs_of_a_whole_stage_are_judged_by_the_evidence_of_all_opened_devices() -> None:
    """One of 100 is no evidence, also if it is the only one of its stage."""
    opened = Counts(devices=100, succeeded=99, rolled_back=1)
    gate = judge_stage(Stage(percent=10), Counts(devices=1, rolled_back=1), False, opened)
    assert gate.verdict == INCONCLUSIVE
    assert "at least" in gate.reason


@pytest.mark.parametrize(
    ("counts", "overdue", "told"),
    [
        (Counts(devices=1, in_progress=1), False, "0 of 1 device succeeded, 1 in progress"),
        (Counts(devices=1, in_progress=1), True, "0 of 1 device succeeded, 1 timed out"),
        (
            Counts(devices=2, succeeded=1),
            False,
            "1 of 2 devices succeeded, 1 without an answer yet",
        ),
        (Counts(devices=2, succeeded=1), True, "1 of 2 devices succeeded, 1 timed out"),
        (Counts(devices=2, succeeded=2), True, "2 of 2 devices succeeded"),
        (NOBODY, False, "no known device in its slots"),
    ],
)
def test_all_counts_are_told_that_are_not_0(counts: Counts, overdue: bool, told: str) -> None:
    assert tally(counts, overdue) == told


def test_devices_that_shadow_and_those_that_went_on_trial_have_done_it() -> None:
    assert Counts(devices=5, succeeded=1, shadowed=3).done == 4
