"""The difference of two arms, its standard error and its degrees of freedom.

One target: Student's t with one variance for both arms while either has fewer than MIN_WELCH
devices, as a variance of few devices is often far too small by chance; from there that of Welch
(Biometrika 34, 1947), which lets the arms differ.

Several targets: each is compared within itself, and weighs by m = n1 * n0 / (n1 + n0); this is the
least-squares estimate of one common effect with a mean of its own for each target. Deviations are
those from the mean of the device's own arm and target, so targets may differ as much as they like.
For one target all this is the usual formula.
"""

from collections.abc import Sequence
from math import fsum, sqrt
from typing import NamedTuple

from modelwave_controller.judge.statistics import t_tail

MIN_WELCH = 10


class Contrast(NamedTuple):
    """`harm` is how much lower the canaries are; higher numbers are better."""

    harm: float
    error: float  # standard error; 0 says that no device differs from another
    freedom: float

    @property
    def p(self) -> float:
        """The probability of so much harm by chance alone, one-sided."""
        return t_tail(self.harm / self.error, self.freedom) if self.error > 0 else 1.0

    def widened(self, error: float) -> "Contrast":
        """Returns it with a further, independent error that all canaries share."""
        return self._replace(error=sqrt(self.error**2 + error**2))


class _Side(NamedTuple):
    number: int
    mean: float
    squares: float  # the sum of squared deviations from the mean


def _side(values: Sequence[float]) -> _Side:
    mean = fsum(values) / len(values)
    return _Side(len(values), mean, fsum([(value - mean) * (value - mean) for value in values]))


def contrast(groups: Sequence[tuple[Sequence[float], Sequence[float]]]) -> Contrast | None:
    """Returns the contrast of canaries and controls, given for each target; None if there are too
    few devices for any."""
    sides = [(_side(ours), _side(others)) for ours, others in groups]
    weights = [a.number * b.number / (a.number + b.number) for a, b in sides]
    weight = sum(weights)
    ours, others = sum(a.number for a, _ in sides), sum(b.number for _, b in sides)
    free = ours + others - 2 * len(sides)
    if others <= len(sides) or free < 1:
        return None
    harm = fsum(w * (b.mean - a.mean) for w, (a, b) in zip(weights, sides, strict=True)) / weight
    squares, other_squares = fsum(a.squares for a, _ in sides), fsum(b.squares for _, b in sides)
    free_ours, free_others = ours - len(sides), others - len(sides)
    if min(free_ours, free_others) + 1 < MIN_WELCH:
        return Contrast(harm, sqrt((squares + other_squares) / free / weight), free)
    parts = [w / weight for w in weights]
    one = squares / free_ours * _spread_over(parts, [a.number for a, _ in sides])
    two = other_squares / free_others * _spread_over(parts, [b.number for _, b in sides])
    if one + two == 0:
        return Contrast(harm, 0.0, free)
    welch = (one + two) ** 2 / (one**2 / free_ours + two**2 / free_others)
    return Contrast(harm, sqrt(one + two), welch)


def _spread_over(parts: Sequence[float], numbers: Sequence[int]) -> float:
    return fsum(part**2 / number for part, number in zip(parts, numbers, strict=True))


class Counted(NamedTuple):
    """A share of `weight` labels or inferences, `total` of which were counted, that so many
    `devices` measured."""

    devices: int
    weight: float
    total: float


def pooled(parts: Sequence[Counted]) -> Counted:
    """Returns how many labels or inferences the mean of all these devices is worth: for each device
    the harmonic mean of their weights, as all devices count alike. One that has 10^9 of them makes
    nothing known of the others."""
    number = sum(part.devices for part in parts)
    if not number:
        return Counted(0, 0.0, 0.0)
    weight = number**2 / fsum(part.devices**2 / part.weight for part in parts)
    share = fsum(part.devices * (part.total / part.weight) for part in parts) / number
    return Counted(number, weight, weight * share)


def counting_variance(weight: float, total: float) -> float:
    """Returns the variance of a share of which `total` of `weight` were counted: the binomial one,
    with one more of each kind (Agresti and Coull, The American Statistician 52, 1998)."""
    share = (total + 1) / (weight + 2)
    return max(share * (1 - share), 0.0) / weight


def bent_counting_variance(weight: float) -> float:
    """Returns the same of the arcsine of its root."""
    return 0.25 / weight
