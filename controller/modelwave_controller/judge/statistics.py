"""Student's t distribution, the incomplete beta function and Fisher's exact test, by `math` alone.

The incomplete beta function is the continued fraction 8.17.22 of the NIST Digital Library of
Mathematical Functions (https://dlmf.nist.gov/8.17#v), evaluated by Lentz's method in the form of
Thompson and Barnett, "Coulomb and Bessel functions of complex arguments and order", Journal of
Computational Physics 64 (1986), appendix III. Student's t follows from it (Abramowitz and Stegun,
Handbook of Mathematical Functions, 26.7.1); its quantile is Newton's method on the tail, which is
convex. Fisher, The Design of Experiments (1935), chapter 2: the tail of the hypergeometric
distribution. Within several groups it is the tail of the sum (Mantel and Haenszel, Journal of the
National Cancer Institute 22 (1959), 719-748, in its exact form). tests/judge/test_statistics.py
compares all of them with SciPy.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import exp, lgamma, log, log1p
from statistics import NormalDist
from typing import NamedTuple

# A term of the continued fraction that changes the result by less ends it.
PRECISION = 1e-15
# The fraction needs about as many terms as the square root of its larger parameter: 1,000,000
# devices need 1,400.
MAX_TERMS = 100_000
# A number of hits with a smaller probability is left out of sums.
NEXT_TO_IMPOSSIBLE = 1e-18
TINY = 1e-300  # stands for 0 where Lentz's method would divide by it


def log_beta(a: float, b: float) -> float:
    """Returns the natural logarithm of the beta function of `a` and `b`, which are above 0."""
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def incomplete_beta(a: float, b: float, x: float, rest: float | None = None) -> float:
    """Returns I_x(a, b), the regularised incomplete beta function: the probability that a variable
    with the beta distribution of `a` and `b` is at most `x`.

    `rest` is 1 - x, for callers that know it more exactly than the subtraction gives it.
    Raises ValueError where `a` or `b` is not above 0, or `x` not in 0…1.
    """
    if not (a > 0 and b > 0 and 0 <= x <= 1):
        raise ValueError(f"a and b must be above 0 and x in 0…1, not {a}, {b}, {x}")
    rest = 1 - x if rest is None else rest
    if x == 0 or rest == 0:
        return float(x > 0)
    front = exp(a * log(x) + b * log(rest) - log_beta(a, b))
    if x < (a + 1) / (a + b + 2):  # where the fraction converges fast; else its mirror does
        return front * _fraction(a, b, x) / a
    return 1 - front * _fraction(b, a, rest) / b


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of I_x(a, b), by Lentz's method."""
    upper = 1.0
    lower = 1 / _nonzero(1 - (a + b) * x / (a + 1))
    value = lower
    for m in range(1, MAX_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            lower = 1 / _nonzero(1 + term * lower)
            upper = _nonzero(1 + term / upper)
            value *= lower * upper
        if abs(lower * upper - 1) < PRECISION:
            return value
    raise ArithmeticError(f"the incomplete beta function does not converge at {a}, {b}, {x}")


def _nonzero(value: float) -> float:
    return value if abs(value) > TINY else TINY


def t_tail(t: float, freedom: float) -> float:
    """Returns the probability that a variable with Student's t distribution of `freedom` degrees
    is at least `t`."""
    square = t * t
    x, rest = freedom / (freedom + square), square / (freedom + square)
    tail = 0.5 * incomplete_beta(freedom / 2, 0.5, x, rest)
    return tail if t >= 0 else 1 - tail


@lru_cache(maxsize=1024)  # the searches of needs.py ask for the same ones again
def t_quantile(tail: float, freedom: float) -> float:
    """Returns the t that a variable with Student's t distribution of `freedom` degrees exceeds
    with probability `tail`, which is above 0 and below 1."""
    if tail > 0.5:
        return -t_quantile(1 - tail, freedom)
    t = NormalDist().inv_cdf(1 - tail)  # below the t that is looked for, as the tail is thinner
    scale = -log_beta(freedom / 2, 0.5) - log(freedom) / 2
    for _ in range(100):
        density = exp(scale - (freedom + 1) / 2 * log1p(t * t / freedom))
        step = (t_tail(t, freedom) - tail) / density
        t += step
        if abs(step) <= 1e-7 * max(1.0, abs(t)):  # the next step would be its square
            break
    return t


class Group(NamedTuple):
    """`drawn` were drawn by chance from `total`, of which `marked` are marked."""

    drawn: int
    marked: int
    total: int


def fisher_tail(hits: int, groups: Sequence[Group]) -> float:
    """Returns the probability of at least `hits` marked ones among all that are drawn, each by
    chance from its own group: Fisher's exact test, one-sided, within the groups."""
    least, chances = 0, [1.0]
    for group in groups:
        first, its = _hits(group)
        least, chances = least + first, _sums(chances, its)
    if hits <= least:
        return 1.0
    return min(sum(chances[hits - least :]), 1.0)


def _hits(group: Group) -> tuple[int, list[float]]:
    """Returns the least possible number of marked ones among those drawn, and the probabilities of
    that and each greater number."""
    drawn, marked, total = group
    first, last = max(0, drawn + marked - total), min(drawn, marked)
    every = _log_choose(total, drawn)
    return first, [
        exp(_log_choose(marked, k) + _log_choose(total - marked, drawn - k) - every)
        for k in range(first, last + 1)
    ]


def _sums(one: Sequence[float], other: Sequence[float]) -> list[float]:
    """Returns the probabilities of the sums of two numbers, each given with those from 0 on. What
    is next to impossible is left out, as fleets have many numbers."""
    found = [0.0] * (len(one) + len(other) - 1)
    likely = [(k, p) for k, p in enumerate(other) if p > NEXT_TO_IMPOSSIBLE]
    for start, chance in enumerate(one):
        if chance > NEXT_TO_IMPOSSIBLE:
            for k, p in likely:
                found[start + k] += chance * p
    return found


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
