"""Where the judge's rules begin and end."""

from math import sqrt

import pytest
from scipy import stats

from modelwave_controller.judge import compare, levels, needs
from modelwave_controller.judge.devices import NOTHING, NUMBER, Observed, Quantity, Sums, freeze
from modelwave_controller.judge.drift import Move, class_drift
from modelwave_controller.judge.estimated import Bin
from modelwave_controller.judge.limit import judge_limit
from modelwave_controller.judge.looks import Budget
from modelwave_controller.rollout.plan import make_plan
from tests.judge.building import ACCURACY, occasion, sums
from tests.judge.test_levels import target
from tests.judge.test_looks import COURSE

POWER = Quantity("power_mw", NUMBER, False, margin=0.0)


def test_a_class_that_one_arm_never_predicted_has_no_share_there():
    found = class_drift({"a": 10}, {"a": 5, "b": 5})
    assert found.moved == [Move("a", 1.0, 0.5), Move("b", 0.0, 0.5)]


def test_the_variance_of_a_bin_is_that_of_its_beta_distribution():
    for examples, right in ((8, 4), (8, 7), (0, 0), (1000, 999)):
        theirs = stats.beta(right + 1, examples - right + 1)
        one = Bin(examples, right)
        assert (one.accuracy, one.variance) == pytest.approx((theirs.mean(), theirs.var()))


def test_errors_of_tables_weigh_by_the_devices_of_both_arms():
    pairs = {"few": target(0.9, canaries=3, seed=1), "many": target(0.8, canaries=30, seed=2)}
    weights = 3 * 97 / 100, 30 * 70 / 100
    mean = (weights[0] * 0.2 + weights[1] * 0.1) / sum(weights)
    judged = levels.judge(pairs, ACCURACY, occasion(), {"few": 0.2, "many": 0.1})
    together, _ = levels.divided(occasion().budget, 2)
    at = occasion()._replace(budget=together)
    assert judged.whole == compare.compare([*pairs.values()], ACCURACY, at, mean)


def test_two_targets_divide_the_error_as_more_do():
    budget = Budget(1, 1, 4, False)
    shares = [[one.share for one in levels.divided(budget, n)] for n in (0, 1, 2, 3)]
    assert shares == [[1, 1], [1, 1], [1 / 2, 1 / 4], [1 / 2, pytest.approx(1 / 6)]]


def test_a_device_with_a_single_label_counts():
    found = judge_limit([sums(1, v) for v in (1, 2, 3)], POWER, 10, occasion())
    assert (found.devices, found.mean) == (3, 2.0)


@pytest.mark.parametrize("value", [5.0, 10.0, 15.0])
def test_devices_that_are_alike_prove_nothing_on_either_side_of_a_limit(value):
    found = judge_limit([sums(1, value)] * 5, POWER, 10.0, occasion())
    assert (found.word, found.t_p, found.low, found.high) == ("INCONCLUSIVE", 1.0, value, value)


def test_a_stage_opens_three_devices_of_each_target_if_the_plan_says_nothing():
    plan = make_plan({"stages": [{"percent": 100}], "trial": {"seconds": 1}})
    assert plan.judge.least_devices == 3


def test_a_window_counts_to_the_last_moment():
    assert COURSE.watermark(1) == 1090
    assert COURSE.counts(1000, 1060, 1090, 1)
    for start, end, arrived in ((999, 1060, 1090), (1000, 1061, 1090), (1000, 1060, 1091)):
        assert not COURSE.counts(start, end, arrived, 1)


def test_a_device_with_windows_of_one_kind_says_nothing_of_how_much_lasts():
    whole = [Observed(Sums(10, n), Sums(10, n + 1), NOTHING) for n in (5, 6, 8)]
    half = Observed(Sums(10, 9), NOTHING, NOTHING)
    frozen = freeze(whole)
    assert needs.spread_ahead([*whole, half], frozen, 100) == needs.spread_ahead(whole, frozen, 100)


def test_more_than_a_thousand_windows_are_no_help():
    """All of the variance is noise, so that `more` windows are variance / wanted - 1."""
    arms = needs.Arms(10, 10, sqrt(0.2), 18.0)
    reach = stats.t.isf(0.0125, 18) * sqrt(0.2)
    for times, found in ((1000.5, 1000), (1001.5, None)):
        room = reach * sqrt(arms.variance / times)
        assert needs.need(arms, room, 0.0125, 1, arms.variance).windows == found
