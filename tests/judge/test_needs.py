"""What a fleet will see, before anything is opened."""

import numpy as np
import pytest
from scipy import stats

from modelwave_controller.judge import needs
from modelwave_controller.judge.devices import freeze
from modelwave_controller.judge.looks import Budget
from modelwave_controller.judge.verdicts import FAIL, PASS
from tests.judge.building import observed, sums
from tests.judge.rollouts import Fleet, Plan
from tests.judge.worlds import World


def test_spread_that_is_expected_is_that_which_comes():
    rng = np.random.default_rng(1)
    means = np.clip(0.85 + 0.05 * rng.standard_normal((400, 1)), 0, 0.99)
    before, now = (rng.binomial(100, np.repeat(means, n, 1)) / 100 for n in (16, 8))
    devices = observed(before, now)
    frozen = freeze(devices)
    found = needs.spread_ahead(devices, frozen, weight=800)
    assert found == pytest.approx(np.std(now.mean(1) - frozen.theta * before.mean(1)), rel=0.15)


def test_fleet_without_windows_before_has_no_expected_spread():
    devices = [sums(100, 90)] * 5
    assert needs.spread_ahead(devices, freeze(devices), weight=800) is None


@pytest.mark.parametrize("room", [0.011, 0.013, 0.02, 0.03])
def test_needed_canaries_are_the_fewest_whose_bound_is_within_the_margin(room):
    """One variance of all devices; a canary more is a control less."""
    spread, reach = 0.03, stats.t.isf(0.0125, 48)

    def bound(more):
        return reach * spread * (1 / (4 + more) + 1 / (46 - more)) ** 0.5

    arms = needs.Arms(4, 46, spread * (1 / 4 + 1 / 46) ** 0.5, 48.0)
    fewest = next((more for more in range(1, 22) if bound(more) <= room), None)
    assert needs.need(arms, room, 0.0125, 8, None) == (fewest, None)


def test_needed_windows_shrink_what_comes_from_counting_and_not_what_lasts():
    """Of a variance of 4 half is noise, which twice the windows halve."""
    arms = needs.Arms(10, 10, 2 * (1 / 10 + 1 / 10) ** 0.5, 18.0)
    reach = stats.t.isf(0.0125, 18) * (1 / 10 + 1 / 10) ** 0.5
    assert needs.need(arms, reach * 3.01**0.5, 0.0125, 8, 2.0).windows == 8
    assert needs.need(arms, reach * 1.9**0.5, 0.0125, 8, 2.0).windows is None


def words(margin, harm, runs=40):
    """The words of the last look of the first stage, of 60 devices with 12 canaries."""
    rng, found = np.random.default_rng(2), []
    plan = Plan(60, (0.2,), 4, margin)
    for _ in range(runs):
        found.append(Fleet(rng, plan, World(), harm).judged(0, 3).word)
    return found


def expected():
    """(the error, level of FAIL, level of PASS) of those fleets."""
    rng, plan = np.random.default_rng(3), Plan(60, (0.2,), 4)
    fleet = Fleet(rng, plan, World())
    devices = fleet.data.observed(fleet.prepared, 0, 0)
    budget = Budget(4, 1, 4, False)
    spread = needs.spread_ahead(devices, fleet.frozen, 800)
    error = needs.ahead([needs.Crowd(12, 48, spread, 0.9, 800)])
    return error, budget.to_fail(3), budget.to_pass(3)


def test_smallest_harm_is_found_by_most_and_half_of_it_by_few():
    """A fifth more, as devices that are nearly always right do not become worse by all of it."""
    error, level, _ = expected()
    harm = needs.smallest_harm(error, level, margin=0.0, rises=False)
    assert words(0.0, 1.2 * harm).count(FAIL) >= 26
    assert words(0.0, harm / 2).count(FAIL) <= 10


def test_smallest_margin_is_passed_by_most_and_half_of_it_by_few():
    error, _, tail = expected()
    margin = needs.smallest_margin(error, tail)
    assert needs.passes(error, margin, tail) == pytest.approx(needs.SURE)
    assert words(margin, 0.0).count(PASS) >= 28
    assert needs.passes(error, margin / 2, tail) < 0.5
    assert words(margin / 2, 0.0).count(PASS) <= 20


def test_harm_that_is_found_is_beyond_the_margin():
    """One that is proven FAILs only if its estimate is beyond the margin, too."""
    error, level, _ = expected()
    without = needs.smallest_harm(error, level, 0.0, rises=False)
    assert needs.smallest_harm(error, level, 0.5 * without, rises=False) == without
    harm = needs.smallest_harm(error, level, 0.1, rises=False)
    assert 0.1 < harm < 0.1 + without
    assert words(0.1, 1.2 * harm).count(FAIL) >= 26


def test_smallest_harm_of_failures_that_nobody_had_is_that_of_counting():
    """Of 1,000 inferences each, no device of 10 and 40 had a failure. SciPy: how many failures must
    the canaries have so that their share is proven to be higher in 8 of 10 rollouts?"""
    error, level = needs.ahead([needs.Crowd(10, 40, 0.0, 0.0, 1000)]), 0.005
    harm = needs.smallest_harm(error, level, 0.0, rises=True)
    failures = np.random.default_rng(4).poisson(harm * 10_000, 400)
    bent = np.arcsin(np.sqrt(failures / 10_000)) / error.bent
    assert 0.7 < np.mean(stats.t.sf(bent, 48) <= level) < 0.95


def test_targets_together_have_the_error_of_their_weighted_differences():
    """As contrast.py weighs them; a target without a canary or a control adds nothing."""
    crowds = [needs.Crowd(4, 16, 0.03), needs.Crowd(10, 40, 0.05), needs.Crowd(0, 9, 1.0)]
    found = needs.ahead(crowds)
    parts = np.array([4 * 16 / 20, 10 * 40 / 50])
    errors = np.array([0.03, 0.05]) / parts**0.5
    assert found.error == pytest.approx(np.sqrt(((parts * errors) ** 2).sum()) / parts.sum())
    assert found.freedom == 66


@pytest.mark.parametrize("crowd", [(3, 0, 0.05), (3, 1, 0.05), (3, 9, 0.0)])
def test_nothing_is_said_of_devices_that_are_too_few_or_do_not_differ(crowd):
    assert needs.ahead([needs.Crowd(*crowd)]) is None
