"""Whole rollouts in short: what `make judge` shows with many more. A bound is left by chance in one
of 10,000 runs of a rule that just keeps its promise; the seeds are fixed."""

import numpy as np
import pytest
from scipy import stats

from modelwave_controller.judge.looks import ALPHA
from modelwave_controller.judge.verdicts import FAIL, INCONCLUSIVE, PASS
from tests.judge import evidence
from tests.judge.rollouts import Fleet, Plan, false_fails, play, sizes
from tests.judge.worlds import WORLDS, World

ACCURACY = World()


def at_most(hits, runs, share):
    return hits <= stats.binom.isf(1e-4, runs, share)


def at_least(hits, runs, share):
    return hits >= stats.binom.ppf(1e-4, runs, share)


@pytest.mark.parametrize(("devices", "runs"), [(12, 300), (50, 120)])
def test_release_without_effect_fails_in_at_most_5_percent_of_rollouts(devices, runs):
    rng = np.random.default_rng(devices)
    failed = sum(false_fails(rng, Plan(devices), ACCURACY)[0] for _ in range(runs))
    assert at_most(failed, runs, ALPHA)


@pytest.mark.parametrize("world", [name for name in WORLDS if name != "accuracy"])
def test_release_without_effect_rarely_fails_in_any_world(world):
    """So few runs see only a rule that is wrong, such as the one of the next test."""
    rng, runs = np.random.default_rng(4), 40
    failed = sum(false_fails(rng, Plan(50), WORLDS[world])[0] for _ in range(runs))
    assert at_most(failed, runs, ALPHA)


def test_the_same_rollouts_show_that_a_plain_z_at_each_window_is_wrong():
    rng, runs = np.random.default_rng(5), 40
    fleets = [Fleet(rng, Plan(12), ACCURACY) for _ in range(runs)]
    failed = sum(max(fleet.z(stage) for stage in range(3)) > 1.96 for fleet in fleets)
    assert not at_most(failed, runs, ALPHA)
    assert not at_most(sum(fleet.flagger(2) for fleet in fleets), runs, ALPHA)


def test_release_that_is_5_points_worse_is_stopped_at_50_devices():
    rng, runs = np.random.default_rng(6), 40
    plan = Plan(50, quantities=4)
    ends = [play(Fleet(rng, plan, ACCURACY, harm=0.05)) for _ in range(runs)]
    assert all(end.ended.word == FAIL for end in ends)
    assert np.mean([end.open for end in ends]) < 0.10


def test_good_release_finishes_at_50_devices_with_a_margin_of_2_points():
    rng, runs = np.random.default_rng(7), 40
    plan = Plan(50, (0.06, 0.2, 0.5), 4, margin=0.02, goes_on=False)
    words = [play(Fleet(rng, plan, ACCURACY)).ended.word for _ in range(runs)]
    assert at_least(words.count(PASS), runs, 0.9)


def test_harm_at_the_margin_seldom_finishes_a_rollout():
    rng, runs = np.random.default_rng(8), 25
    plan = Plan(50, (0.06, 0.2, 0.5), 4, margin=0.02, goes_on=False, extensions=2)
    words = [play(Fleet(rng, plan, ACCURACY, harm=0.02)).ended.word for _ in range(runs)]
    assert at_most(words.count(PASS), runs, ALPHA)
    assert words.count(INCONCLUSIVE) > 0


def test_margin_of_2_points_cannot_be_judged_by_12_devices():
    rng, runs = np.random.default_rng(9), 30
    plan = Plan(12, (0.25, 0.5), 4, margin=0.02, goes_on=False)
    words = [play(Fleet(rng, plan, ACCURACY)).ended.word for _ in range(runs)]
    assert at_most(words.count(PASS), runs, 0.6)


def test_one_bad_target_of_four_is_found_by_its_name():
    rng = np.random.default_rng(10)
    found = [evidence.targets_that_fail(rng, 4, 60, 0.15) for _ in range(4)]
    assert all(bad for bad, _, _ in found)
    assert not any(good for _, _, good in found)


def test_estimated_accuracy_holds_a_fall_of_confidence_and_not_an_honest_table():
    rng, plan = np.random.default_rng(11), Plan(50, quantities=4)
    worse = [evidence.Confident(rng, plan, 0.05, honest=False) for _ in range(5)]
    equal = [evidence.Confident(rng, plan, 0.05, honest=True) for _ in range(5)]
    assert all(fleet.share_at_halt() < 0.5 for fleet in worse)
    assert all(fleet.share_at_halt() == 1 for fleet in equal)


def test_rollbacks_by_chance_and_the_rule_of_shares_beside_them():
    rng, limits = np.random.default_rng(12), evidence.thresholds(500)
    for devices in (5, 12, 50, 500):
        opened, _ = evidence.whole_stages(rng, 1000, devices, evidence.STRAY, limits)
        held, reverted = evidence.one_by_one(rng, 1000, devices, evidence.STRAY, limits)
        assert at_most(1000 * opened, 1000, ALPHA)
        assert at_most((reverted > 0).sum(), 1000, ALPHA)
        assert (held > 0).sum() >= (reverted > 0).sum()
    assert not at_most(1000 * evidence.cliff(rng, 1000, 50, evidence.STRAY), 1000, ALPHA)


def test_silence_of_crashed_canaries_is_found_and_that_of_a_good_release_is_not():
    rng = np.random.default_rng(13)
    assert all(evidence.silence_fails(rng, 500, 0.5) is not None for _ in range(20))
    assert at_most(
        sum(evidence.silence_fails(rng, 500, 0) is not None for _ in range(100)), 100, 0.05
    )


@pytest.mark.parametrize("world", ["accuracy", "late labels", "off by night", "its logarithm"])
def test_arms_that_numpy_makes_for_large_fleets_are_those_of_the_product(world):
    fleet = Fleet(np.random.default_rng(15), Plan(120), WORLDS[world], harm=0.05)
    for look, windows in enumerate(fleet.plan.windows):
        for fast, slow in zip(fleet.pair(1, look), fleet.slow_pair(8, windows, 12), strict=True):
            assert fast.z == pytest.approx(slow.z, abs=1e-12)
            assert fast.raw == pytest.approx(slow.raw, abs=1e-12)
            assert fast.counted == pytest.approx(slow.counted)


def test_a_stage_opens_at_least_three_devices():
    assert sizes(12) == [3, 3, 6]
    assert sizes(10_000) == [100, 1000, 5000]


def test_equal_seeds_give_equal_verdicts():
    def verdicts():
        fleet = Fleet(np.random.default_rng(14), Plan(50), ACCURACY, harm=0.06)
        return [fleet.judged(stage, look) for stage in range(3) for look in range(4)]

    assert verdicts() == verdicts()
