"""How rare the canaries' sum is: all choices where they are few, drawn ones where they are many."""

from itertools import combinations, product
from math import comb
from random import Random

import numpy as np
import pytest
from scipy import stats

from modelwave_controller.judge.permutation import DRAWS, Rarity, rarity


def counted(groups):
    """The share of choices whose sum is as low as the canaries', each target within itself."""
    sums = []
    for ours, others in groups:
        values = np.array([*ours, *others])
        values = values - values.mean()
        sums.append([values[list(c)].sum() for c in combinations(range(len(values)), len(ours))])
    whole = np.array([sum(one) for one in product(*sums)])
    observed = sum(sum(ours) - len(ours) * np.mean([*ours, *others]) for ours, others in groups)
    return float((whole <= observed + 1e-9).mean()), float((whole < observed - 1e-9).sum())


GROUPS = {
    "fewer canaries": [([1.0, 2.0], [0.5, 3.0, 4.0, 5.0])],
    "fewer controls": [([0.5, 1.0, 2.0, 3.0, 2.5], [2.2, 4.0])],
    "as many": [([1.0, 2.0, 3.0], [1.5, 2.5, 9.0])],
    "two targets": [([1.0, 2.0], [0.5, 3.0, 4.0]), ([11.0, 9.0, 12.0], [10.5, 13.0])],
    "equal numbers": [([1.0, 1.0], [1.0, 2.0, 2.0])],
    "one canary": [([7.0], [7.0, 8.0, 9.0])],
}


@pytest.mark.parametrize("name", GROUPS)
def test_few_choices_are_counted_one_by_one(name):
    share, lower = counted(GROUPS[name])
    found = rarity(GROUPS[name], 1)
    assert found.p == pytest.approx(share)
    assert not (found.extreme and lower)


def test_canaries_below_all_controls_are_extreme_and_others_are_not():
    assert rarity([([1.0, 2.0], [3.0, 4.0, 5.0])], 1).extreme
    assert rarity([([1.0, 2.0, 2.5], [3.0, 4.0])], 1).extreme
    assert not rarity([([1.0, 3.0], [3.0, 4.0, 5.0])], 1).extreme  # a control is as low
    assert not rarity([([1.0, 4.0], [3.0, 4.5, 5.0])], 1).extreme
    assert not rarity([([1.0, 2.0], [3.0, 4.0]), ([7.0], [6.0, 8.0])], 1).extreme
    assert rarity([([1.0], [2.0]), ([1.0, 2.0], [3.0, 4.0, 5.0])], 1).extreme
    # the only choice that there is: no other is as low
    assert rarity([([1.0], [])], 1) == Rarity(1.0, True)


@pytest.mark.parametrize(("canaries", "controls"), [(8, 30), (30, 8)])
def test_many_choices_are_drawn_and_the_real_one_counts_as_one(canaries, controls):
    rng = np.random.default_rng(3)
    groups = [(rng.normal(-0.3, 1, canaries).tolist(), rng.normal(0, 1, controls).tolist())]
    assert comb(38, 8) > DRAWS == 6000
    found = rarity(groups, 5)
    theirs = stats.permutation_test(
        groups[0], lambda a, b: np.mean(a) - np.mean(b), alternative="less", n_resamples=20_000
    ).pvalue
    assert found.p == pytest.approx(theirs, abs=0.03)
    low = (found.p * (DRAWS + 1)) % 1
    assert min(low, 1 - low) < 1e-6  # so many of 6,001
    assert rarity(groups, 5) == found
    assert rarity(groups, 6).p != found.p


@pytest.mark.parametrize(("canaries", "controls"), [(6, 40), (40, 6)])
def test_canaries_far_below_all_are_drawn_by_nobody_else(canaries, controls):
    groups = [([-100.0 - n for n in range(canaries)], [float(n) for n in range(controls)])]
    assert rarity(groups, 1) == Rarity(1 / (DRAWS + 1), True)


def test_draws_of_several_targets_add_up():
    rng = np.random.default_rng(4)
    groups = [(rng.normal(0, 1, 5).tolist(), rng.normal(0, 1, 15).tolist()) for _ in range(3)]
    groups[1] = groups[1][::-1]
    observed = sum(sum(a) - len(a) * np.mean([*a, *b]) for a, b in groups)
    spread = sum(len(a) * len(b) / (len(a) + len(b)) * np.var([*a, *b], ddof=1) for a, b in groups)
    assert rarity(groups, 1).p == pytest.approx(stats.norm.cdf(observed / spread**0.5), abs=0.03)


def test_rare_at_a_level_is_what_is_at_most_as_likely_or_cannot_be_rarer():
    assert Rarity(0.05, False).at_most(0.05)
    assert not Rarity(0.051, False).at_most(0.05)
    assert Rarity(0.5, True).at_most(0.05)


def drawn(groups, seed):
    """The share of draws as low as the canaries, by the form that is kept for ever: the smaller arm
    is drawn from the sorted numbers, which are not put back in order between two draws."""
    random, pools, observed = Random(seed).random, [], 0.0
    for ours, others in groups:
        mean = np.mean([*ours, *others])
        pools.append((sorted(value - mean for value in (*ours, *others)), ours, others))
        observed += sum(ours) - len(ours) * mean
    as_low = 0
    for _ in range(DRAWS):
        whole = 0.0
        for values, ours, others in pools:
            chosen, sign = min((len(ours), 1), (len(others), -1), key=lambda arm: arm[0])
            for place in range(chosen):
                other = place + int(random() * (len(values) - place))
                values[place], values[other] = values[other], values[place]
            whole += sign * sum(values[:chosen])
        as_low += whole <= observed + 1e-9
    return (as_low + 1) / (DRAWS + 1)


@pytest.mark.parametrize(("canaries", "controls"), [(8, 30), (30, 8), (9, 9)])
def test_draws_of_a_seed_stay_what_they_are(canaries, controls):
    """A decision is told again from the log, with its numbers."""
    rng = np.random.default_rng(7)
    groups = [
        (rng.normal(0, 1, canaries).tolist(), rng.normal(0, 1, controls).tolist()) for _ in range(2)
    ]
    assert rarity(groups, 3).p == drawn(groups, 3)


def test_as_many_choices_as_draws_are_counted():
    found = rarity([([7.5], [float(n) for n in range(DRAWS - 1)])], 1)
    assert found == Rarity(9 / DRAWS, False)


def test_where_no_draw_is_as_low_a_control_within_the_canaries_takes_nothing_away():
    """Else the draws' own smallest share would be all that many devices can show."""
    canaries = [*(-100.0 - n for n in range(5)), 0.5]
    assert rarity([(canaries, [float(n) for n in range(40)])], 1) == Rarity(1 / (DRAWS + 1), True)


def test_a_draw_that_is_as_low_and_a_control_like_a_canary_take_it_away():
    groups = [([-1.0, -1.0, 0.0], [0.0] * 187)]
    found = [rarity(groups, seed) for seed in range(20)]
    once = [one for one in found if one.p == 2 / (DRAWS + 1)]  # one draw had both of them
    assert once
    assert not any(one.extreme for one in once)


def test_devices_that_are_all_alike_are_not_extreme():
    assert rarity([([1.0], [1.0])], 1) == Rarity(1.0, False)
    assert rarity([([2.0], []), ([1.0], [1.0])], 1) == Rarity(1.0, False)
