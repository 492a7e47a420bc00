"""The judge against the same rules in numpy and SciPy, on random fleets.

MODELWAVE_LONG=1 compares 12,000 looks, an ordinary run 240.
"""

import os
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from modelwave_controller.judge import levels, permutation
from modelwave_controller.judge.devices import NUMBER, SHARE, Quantity, freeze
from tests.judge import building, reference

LOOKS = 4000 if os.environ.get("MODELWAVE_LONG") == "1" else 80
FLEETS = [(12, 3), (12, 6), (30, 9), (50, 5), (50, 25), (120, 12), (250, 110)]


def fleet(rng, devices, opened, harm, shares):
    means = np.clip(0.9 + 0.05 * rng.standard_normal((devices, 1)), 0.02, 0.99)
    old = np.repeat(means, 8, 1)
    new = np.repeat(np.clip(means - harm * opened[:, None], 0.01, 0.99), rng.choice([1, 2, 4]), 1)
    if shares:
        return rng.binomial(100, old) / 100, rng.binomial(100, new) / 100
    return tuple(10 * x + rng.standard_t(3, x.shape) for x in (old, new))


@pytest.mark.parametrize("seed", range(3))
def test_verdicts_estimates_and_p_values_are_those_of_the_reference(seed):
    rng, words, borderline = np.random.default_rng(seed), Counter(), 0
    for _ in range(LOOKS):
        devices, canaries = FLEETS[rng.integers(len(FLEETS))]
        opened = rng.permutation(devices) < canaries
        shares, margin = bool(rng.integers(2)), rng.choice([0.0, 0.02, 0.05])
        harm, allowance = rng.choice([0, 0.02, 0.05, 0.1]), int(rng.integers(1, 4))
        before, now = fleet(rng, devices, opened, harm, shares)
        margin = margin if shares else 10 * margin
        quantity = Quantity("q", SHARE if shares else NUMBER, True, margin)
        occasion = building.occasion(allowance=allowance, quantities=int(rng.choice([1, 4])))
        pair = building.pair(building.observed(before, now), opened, quantity)
        found = levels.judge({"one": pair}, quantity, occasion).whole
        word, estimate, bound, p, rare = reference.verdict(
            before, now, opened, shares, margin, allowance, occasion.to_fail, occasion.to_pass
        )
        assert found.harm == pytest.approx(estimate, rel=1e-9, abs=1e-12)
        assert found.high == pytest.approx(bound, rel=1e-8)
        assert found.t_p == pytest.approx(p, rel=1e-7)
        if found.word != word:  # only where the two draw other choices, near the level
            assert rare is not None
            assert found.permutation_p == pytest.approx(rare[0], abs=0.003)
            borderline += 1
        words[found.word] += 1
    assert borderline <= LOOKS / 100
    assert min(words[word] for word in ("PASS", "FAIL", "INCONCLUSIVE")) > LOOKS / 20


def test_theta_is_that_of_the_reference():
    rng = np.random.default_rng(5)
    for devices in (3, 12, 50):
        before, now = fleet(rng, devices, np.arange(devices) < 3, 0.0, True)
        assert freeze(building.observed(before, now)).theta == pytest.approx(
            reference.theta(before)
        )


def by_scipy(ours, others):
    """The p-value over all choices."""

    def difference(a, b, axis):
        return a.mean(axis) - b.mean(axis)

    return stats.permutation_test(
        (ours, others), difference, vectorized=True, alternative="less", n_resamples=10**5
    ).pvalue


@pytest.mark.parametrize("canaries", [2, 4, 8])
def test_all_choices_of_canaries_give_the_p_value_of_scipy(canaries):
    rng = np.random.default_rng(canaries)
    for _ in range(20):
        ours, others = rng.standard_normal(canaries) - 1, rng.standard_normal(11 - canaries)
        found = permutation.rarity([(ours.tolist(), others.tolist())], 1)
        assert found.p == pytest.approx(by_scipy(ours, others))


def test_drawn_choices_give_the_p_value_of_all_within_their_noise():
    rng = np.random.default_rng(3)
    ours, others = rng.standard_normal(8) - 0.7, rng.standard_normal(10)
    theirs = by_scipy(ours, others)  # 43,758 choices
    found = permutation.rarity([(ours.tolist(), others.tolist())], 1).p
    assert found == pytest.approx(theirs, abs=5 * (theirs / permutation.DRAWS) ** 0.5)
