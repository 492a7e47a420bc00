"""The intervals of judge/proportions.py against SciPy and against Newcombe's table II."""

from itertools import product

import pytest
from scipy import stats

from modelwave_controller.judge import proportions
from modelwave_controller.judge.proportions import Interval

# Newcombe, Statistics in Medicine 17 (1998), 873-890, table II, method 10: the examples (a) to (h).
TABLE_II = [
    ((56, 70), (48, 80), (0.0524, 0.3339)),
    ((9, 10), (3, 10), (0.1705, 0.8090)),
    ((6, 7), (2, 7), (0.0582, 0.8062)),
    ((5, 56), (0, 29), (-0.0381, 0.1926)),
    ((0, 10), (0, 20), (-0.1611, 0.2775)),
    ((0, 10), (0, 10), (-0.2775, 0.2775)),
    ((10, 10), (0, 20), (0.6791, 1.0)),
    ((10, 10), (0, 10), (0.6075, 1.0)),
]


@pytest.mark.parametrize(("first", "second", "interval"), TABLE_II)
def test_interval_of_a_difference_is_that_of_newcombe(
    first: tuple[int, int], second: tuple[int, int], interval: tuple[float, float]
) -> None:
    found = proportions.difference(first[0] / first[1], first[1], second[0] / second[1], second[1])
    assert found == pytest.approx(interval, abs=0.00006)


def test_interval_of_one_share_is_that_of_scipy() -> None:
    for n, part in product((1, 2, 7, 100, 360, 10**6, 10**9), (0, 0.01, 0.5, 0.968, 1)):
        right = round(n * part)
        theirs = stats.binomtest(right, n).proportion_ci(method="wilson")
        ours = proportions.wilson(right / n, n)
        assert ours == pytest.approx((theirs.low, theirs.high), rel=1e-9, abs=1e-12)


def test_intervals_stay_within_what_is_possible() -> None:
    sizes = product((1, 9, 51, 10**9), (1,))  # of 51, rounding would leave a little less than 0
    for (p, q), (m, n) in product(product((0.0, 0.3, 1.0), repeat=2), sizes):
        least, most = proportions.difference(p, m, q, n)
        assert -1 <= least <= p - q <= most <= 1
        assert 0 <= proportions.wilson(p, m).least <= p <= proportions.wilson(p, m).most <= 1


def test_the_other_way_round_is_the_mirror_image() -> None:
    there, back = (
        proportions.difference(0.9, 50, 0.7, 80),
        proportions.difference(0.7, 80, 0.9, 50),
    )
    assert back == pytest.approx(Interval(-there.most, -there.least))


@pytest.mark.parametrize(
    ("share", "n"), [(-0.1, 10), (1.1, 10), (float("nan"), 10), (0.5, 0), (0.5, -1)]
)
def test_what_is_no_share_of_a_count_is_refused(share: float, n: int) -> None:
    with pytest.raises(ValueError, match="share"):
        proportions.wilson(share, n)
