"""Tests of the agreement of a release that runs beside the live one, against what is expected."""

import math
import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from scipy import stats

from modelwave_controller.judge.agreement import Group, judge_expected
from modelwave_controller.judge.compare import Occasion
from modelwave_controller.judge.devices import SHARE, Quantity, Sums
from modelwave_controller.judge.levels import at_levels
from modelwave_controller.judge.limit import Limited
from modelwave_controller.judge.looks import Budget
from modelwave_controller.judge.proportions import difference, wilson
from modelwave_controller.judge.verdicts import FAIL, INCONCLUSIVE, PASS

AGREEMENT = Quantity("agreement", SHARE, True, 0.02)
LOOK = Occasion(Budget(1, 1, 1, may_extend=False), 0, 4, 1, 0)


def group(*shares: float, expected: float = 0.98, n: int = 3600, compared: int = 1000) -> Group:
    return Group([Sums(compared, compared * share) for share in shares], expected, n)


@pytest.mark.parametrize(
    ("groups", "word"),
    [
        ([group(0.98, 0.981, 0.979, 0.98)], PASS),
        ([group(0.9, 0.905, 0.895, 0.9)], FAIL),
        ([group(0.955, 0.965, 0.95, 0.97)], INCONCLUSIVE),
        ([group(0.9, 0.9)], INCONCLUSIVE),  # too few devices
        ([group()], INCONCLUSIVE),
        ([group(0.9, 0.901, 0.899, 0.9, expected=0.9, n=30)], INCONCLUSIVE),  # n proves nothing
        ([group(0.93, 0.935, 0.925, 0.93, n=30)], INCONCLUSIVE),
        ([group(0.93, 0.935, 0.925, 0.93)], FAIL),
        ([group(0.98, 0.98), group(0.9, 0.9, expected=0.9)], PASS),  # each as is expected of it
        ([group(*[1.0] * 4, expected=1.0)], PASS),
    ],
)
def test_the_uncertainty_of_both_decides(groups: Sequence[Group], word: str) -> None:
    found = judge_expected(groups, AGREEMENT, LOOK)
    assert found.word == word, found


def test_more_examples_and_more_devices_make_the_interval_narrower() -> None:
    def width(found: Limited) -> float:
        assert found.low is not None
        assert found.high is not None
        return found.high - found.low

    few, many = (0.97, 0.99, 0.98), (0.97, 0.99, 0.98) * 5
    widths = [
        width(judge_expected([group(*shares, n=n)], AGREEMENT, LOOK))
        for shares, n in ((few, 100), (few, 10_000), (many, 10_000), (many, 10**8))
    ]
    assert all(later < before for before, later in pairwise(widths))


def test_with_devices_as_exact_as_counting_it_is_newcombes_interval() -> None:
    """Many devices with one share between them: Wilson's and the counting error are nearly one."""
    shares = [0.97] * 1000
    found = judge_expected([group(*shares, n=3600)], AGREEMENT, LOOK)
    interval = difference(0.97, 10**6, 0.98, 3600)
    tail = LOOK._replace(budget=LOOK.budget._replace(alpha=0.025))
    found = judge_expected([group(*shares, n=3600)], AGREEMENT, tail)
    assert found.mean == pytest.approx(-0.01)
    assert (found.low, found.high) == pytest.approx((interval.least, interval.most), abs=2e-5)


def test_a_target_that_is_bad_does_not_hide_in_the_mean() -> None:
    good, bad = group(*[0.981, 0.98, 0.979] * 10), group(0.8, 0.81, 0.79, 0.8)
    groups = {"good": good, "bad": bad}
    found = at_levels(
        ["bad", "good"],
        lambda names, o: judge_expected([groups[name] for name in names], AGREEMENT, o),
        LOOK,
    )
    assert found.whole.word != FAIL
    assert (found.word, found.targets["bad"].word, found.targets["good"].word) == (FAIL, FAIL, PASS)
    assert found.reason.startswith("bad: agreement is 0.8 ")


@pytest.mark.parametrize(("devices", "n"), [(3, 360), (12, 360), (50, 3600)])
def test_a_release_at_the_margin_fails_no_more_often_than_is_permitted(
    devices: int, n: int
) -> None:
    """Its true agreement is a margin below that on held-out data: the worst that is still good."""
    chance, fails, runs = random.Random(1), 0, 400
    for _ in range(runs):
        measured = sum(chance.random() < 0.97 for _ in range(n)) / n
        shares = [min(1.0, chance.gauss(0.95, 0.02)) for _ in range(devices)]
        fails += (
            judge_expected([group(*shares, expected=measured, n=n)], AGREEMENT, LOOK).word == FAIL
        )
    assert fails / runs <= 0.07  # of 5 %: two standard errors of 400 runs above


def test_the_bounds_take_in_both_uncertainties_of_each_target() -> None:
    """By hand: t of one freedom less than there are devices, and Wilson's bounds."""
    few, many = (0.9, 0.92), (0.91, 0.95, 0.99, 0.93)
    groups = [group(*few, expected=0.95, n=100), group(*many, expected=0.98, n=300)]
    found = judge_expected(groups, AGREEMENT, LOOK)
    less = [*(share - 0.95 for share in few), *(share - 0.98 for share in many)]
    mean, tail = sum(less) / 6, LOOK.to_pass
    reach = stats.t.isf(tail, 5) * stats.sem(less)
    above, below = [reach], [reach]
    for one, n in zip(groups, (2, 4), strict=True):
        least, most = wilson(one.expected, one.n, 1 - 2 * tail)
        above.append(n / 6 * (one.expected - least))
        below.append(n / 6 * (most - one.expected))
    assert found.mean == pytest.approx(mean)
    assert found.low == pytest.approx(mean - math.hypot(*below))
    assert found.high == pytest.approx(mean + math.hypot(*above))


def test_the_margin_itself_is_within_it() -> None:
    one = [group(0.93, 0.95, 0.94, 0.92)]
    both = LOOK._replace(budget=LOOK.budget._replace(share=1.0))
    assert both.to_fail == both.to_pass
    found = judge_expected(one, AGREEMENT, both)
    assert found.low is not None
    assert found.high is not None
    for bound, word in ((found.low, PASS), (found.high, INCONCLUSIVE)):
        at_bound = AGREEMENT._replace(margin=-bound)
        assert judge_expected(one, at_bound, both).word == word


def test_the_reason_says_what_was_expected() -> None:
    found = judge_expected([group(0.96, 0.97, 0.98)], AGREEMENT, LOOK)
    assert found.reason.startswith("agreement is 0.97 on 3 devices, 0.98 is expected: -0.01 (")
