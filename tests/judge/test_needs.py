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
    """(spread, level of FAIL, level of PASS) of those fleets."""
    rng, plan = np.random.default_rng(3), Plan(60, (0.2,), 4)
    fleet = Fleet(rng, plan, World())
    devices = fleet.data.observed(fleet.prepared, 0, 0)
    budget = Budget(4, 1, 4, False)
    return needs.spread_ahead(devices, fleet.frozen, 800), budget.to_fail(3), budget.to_pass(3)


def test_smallest_harm_is_found_by_most_and_half_of_it_by_few():
    """A fifth more, as devices that are nearly always right do not become worse by all of it."""
    spread, level, _ = expected()
    harm = needs.smallest_harm(spread, 12, 48, level)
    assert words(0.0, 1.2 * harm).count(FAIL) >= 26
    assert words(0.0, harm / 2).count(FAIL) <= 10


def test_smallest_margin_is_passed_by_most_and_half_of_it_by_few():
    spread, _, tail = expected()
    margin = needs.smallest_margin(spread, 12, 48, tail)
    assert words(margin, 0.0).count(PASS) >= 28
    assert words(margin / 2, 0.0).count(PASS) <= 20
