"""Intervals for a share of right answers, and for the difference of two such shares.

Of one share: Wilson, Probable Inference, the Law of Succession, and Statistical Inference, Journal
of the American Statistical Association 22 (1927), 209-212. Of the difference of two independent
ones: Newcombe, Interval Estimation for the Difference between Independent Proportions, Statistics
in Medicine 17 (1998), 873-890, method 10. Both are good for few examples and for shares of 0 and 1,
where the usual interval (the share ± 1.96 standard errors) has no width.
tests/judge/test_proportions.py compares them with SciPy and with Newcombe's table II.
"""

from math import hypot, sqrt
from statistics import NormalDist
from typing import NamedTuple

CONFIDENCE = 0.95


class Interval(NamedTuple):
    least: float
    most: float


def wilson(share: float, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Returns the interval of a `share`, 0 to 1, of `n` examples. Raises ValueError for others."""
    if not (0 <= share <= 1 and n >= 1):
        raise ValueError(f"a share must be in 0…1 of at least 1 example, not {share} of {n}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    middle = share + z * z / (2 * n)
    reach = z * sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    whole = 1 + z * z / n
    # Rounding must not leave the share outside.
    return Interval(
        max(0.0, min(share, (middle - reach) / whole)),
        min(1.0, max(share, (middle + reach) / whole)),
    )


def difference(share: float, n: int, other: float, other_n: int) -> Interval:
    """Returns the interval of `share` - `other`, of independent examples. Raises ValueError."""
    this, that = wilson(share, n), wilson(other, other_n)
    below = hypot(share - this.least, that.most - other)
    above = hypot(this.most - share, other - that.least)
    return Interval(max(-1.0, share - other - below), min(1.0, share - other + above))
