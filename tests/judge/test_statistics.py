"""The distributions of judge/statistics.py against SciPy's."""

import itertools
import math
import random

import pytest
from scipy import special, stats

from modelwave_controller.judge import statistics

CHANCE = random.Random(1)
# Few and many devices, and Welch's degrees between them.
FREEDOMS = [1, 2, 3, 4.5, 7, 10, 13.37, 30, 98, 499.2, 9998, 1e6]


@pytest.mark.parametrize("freedom", FREEDOMS)
def test_tail_of_t_is_that_of_scipy(freedom: float) -> None:
    for t in (-40, -8, -3, -1, -1e-3, 0, 1e-6, 0.01, 0.7, 1.9, 3, 5, 9, 30, 300):
        ours, theirs = statistics.t_tail(t, freedom), stats.t.sf(t, freedom)
        assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-290)


@pytest.mark.parametrize("freedom", FREEDOMS)
def test_quantile_of_t_is_that_of_scipy(freedom: float) -> None:
    for tail in (1e-9, 1e-5, 1 / 960, 0.0125, 0.05, 0.2, 0.49, 0.5, 0.8, 0.999):
        ours, theirs = statistics.t_quantile(tail, freedom), stats.t.isf(tail, freedom)
        assert ours == pytest.approx(theirs, rel=1e-8, abs=1e-9)


def test_incomplete_beta_is_that_of_scipy() -> None:
    for _ in range(2000):
        a, b = (10 ** CHANCE.uniform(-1, 4) for _ in range(2))
        x = CHANCE.betavariate(a, b)
        assert statistics.incomplete_beta(a, b, x) == pytest.approx(
            special.betainc(a, b, x), rel=1e-8, abs=1e-12
        )


def test_incomplete_beta_at_its_ends_is_exact() -> None:
    assert statistics.incomplete_beta(3, 4, 0.0) == 0
    assert statistics.incomplete_beta(3, 4, 1.0) == 1


@pytest.mark.parametrize(
    ("a", "b", "x"),
    [(0, 1, 0.5), (1, 0, 0.5), (1, -0.5, 0.5), (1, -1, 0.5), (1, 1, 1.5), (1, 1, -0.1)],
)
def test_incomplete_beta_outside_of_its_domain_is_refused(a: float, b: float, x: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        statistics.incomplete_beta(a, b, x)


def test_logarithm_of_beta_is_that_of_scipy() -> None:
    for a, b in [(0.5, 0.5), (1, 1), (3, 9998), (5000, 0.5), (1e6, 3)]:
        assert statistics.log_beta(a, b) == pytest.approx(special.betaln(a, b), rel=1e-8)


def test_fishers_test_is_that_of_scipy() -> None:
    for _ in range(1000):
        total = CHANCE.choice([5, 12, 50, 500, 10_000])
        drawn, marked = CHANCE.randint(1, total), CHANCE.randint(0, total)
        mean, spread = drawn * marked / total, math.sqrt(drawn) / 2 + 1
        hits = max(0, min(drawn, marked, round(CHANCE.gauss(mean, spread))))
        theirs = stats.hypergeom.sf(hits - 1, total, marked, drawn)
        ours = statistics.fisher_tail(hits, [statistics.Group(drawn, marked, total)])
        assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-12)


def test_fishers_test_of_impossible_numbers_is_0() -> None:
    assert statistics.fisher_tail(4, [statistics.Group(3, 10, 20)]) == 0


def test_fishers_test_within_groups_is_that_of_all_ways_to_draw() -> None:
    groups = [statistics.Group(3, 3, 4), statistics.Group(2, 1, 5), statistics.Group(4, 2, 9)]
    ways = [
        [set(drawn) for drawn in itertools.combinations(range(group.total), group.drawn)]
        for group in groups
    ]
    hits = [
        sum(len(one & {*range(group.marked)}) for one, group in zip(drawn, groups, strict=True))
        for drawn in itertools.product(*ways)
    ]
    for least in range(8):
        share = sum(one >= least for one in hits) / len(hits)
        assert statistics.fisher_tail(least, groups) == pytest.approx(share)


def test_quantiles_of_both_ends_are_the_same_but_for_their_sign() -> None:
    for freedom in (1, 2.5, 30):
        for tail in (0.75, 1 - 2**-20, 1 - 2**-40):
            assert statistics.t_quantile(tail, freedom) == -statistics.t_quantile(1 - tail, freedom)


def test_what_is_certain_has_the_probability_1_and_nothing_more() -> None:
    for total in range(2, 200):
        for drawn in {1, total // 3 or 1, total // 2, total - 1}:
            group = statistics.Group(drawn, total // 2, total)
            least = max(0, group.drawn + group.marked - group.total)
            assert statistics.fisher_tail(least, [group]) == 1.0
            assert statistics.fisher_tail(least + 1, [group]) <= 1.0


def test_what_is_next_to_certain_is_not_more_than_1() -> None:
    groups = [statistics.Group(n, n, n + 60) for n in range(60, 200)]
    assert max(statistics.fisher_tail(1, [group]) for group in groups) == 1.0
