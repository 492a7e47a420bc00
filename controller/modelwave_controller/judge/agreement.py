"""Judges how much a release that runs beside the live one agrees with it, against the agreement
that its manifest signs: it was measured on few held-out examples, so it is uncertain itself.

A device counts with one number: its agreement less what is expected of its target. With m their
mean, the interval of m takes in both uncertainties:

    m - sqrt(r² + (u - e)²)  to  m + sqrt(r² + (e - l)²)

r       t times the standard error of the devices' mean (limit.py)
l, u    the bounds of the expectation e (Wilson, proportions.py)

This is how Newcombe makes the interval of a difference out of those of its two parts (Statistics in
Medicine 17, 1998), for any two parts: Zou and Donner, Construction of confidence limits about
effect measures, Statistics in Medicine 27 (2008), 1693-1702. Of several targets the part of the
expectation is the root of the sum of squares, each weighted by its share of the devices.

    fewer than MIN_DEVICES devices that compared outputs    INCONCLUSIVE
    the upper bound is below what the margin allows         FAIL
    the lower bound is within it                            PASS
    otherwise                                               INCONCLUSIVE
"""

from collections.abc import Sequence
from math import fsum, hypot
from typing import NamedTuple

from modelwave_controller.judge.compare import Occasion
from modelwave_controller.judge.devices import Quantity, Sums
from modelwave_controller.judge.limit import MIN_DEVICES, Limited, mean_and_error
from modelwave_controller.judge.proportions import wilson
from modelwave_controller.judge.statistics import t_quantile
from modelwave_controller.judge.verdicts import FAIL, INCONCLUSIVE, PASS


class Group(NamedTuple):
    """The devices of a target, and the agreement that is expected of them: a share of `n` held-out
    examples."""

    devices: Sequence[Sums]
    expected: float
    n: int


def judge_expected(groups: Sequence[Group], quantity: Quantity, occasion: Occasion) -> Limited:
    """Returns the verdict by the rules above. `mean` and its bounds are of the agreement less what
    is expected; the limit is the margin, below 0."""
    groups = [group for group in groups if any(sums.weight for sums in group.devices)]
    seen = [sums for group in groups for sums in group.devices if sums.weight]
    limit = -quantity.margin
    if len(seen) < MIN_DEVICES:
        reason = f"{len(seen)} devices that compared outputs are too few to judge"
        return Limited(INCONCLUSIVE, len(seen), limit, occasion.to_fail, reason)
    less = [
        Sums(sums.weight, sums.total - sums.weight * group.expected)
        for group in groups
        for sums in group.devices
        if sums.weight
    ]
    mean, error = mean_and_error(less, quantity, seen)
    low, high = _bounds(groups, mean, error, len(seen), occasion.to_pass)
    _, highest = _bounds(groups, mean, error, len(seen), occasion.to_fail)
    word = FAIL if highest < limit else PASS if low >= limit else INCONCLUSIVE
    agreed = fsum(sums.mean for sums in seen) / len(seen)
    reason = (
        f"{quantity.name} is {agreed:.3g} on {len(seen)} devices, {agreed - mean:.3g} is expected: "
        f"{mean:+.3g} ({low:+.3g} to {high:+.3g}); the margin is {quantity.margin:g}"
    )
    return Limited(word, len(seen), limit, occasion.to_fail, reason, mean, low, high)


def _bounds(
    groups: Sequence[Group], mean: float, error: float, devices: int, tail: float
) -> tuple[float, float]:
    reach = t_quantile(tail, devices - 1) * error
    below, above = [reach], [reach]
    for group in groups:
        weight = sum(1 for sums in group.devices if sums.weight) / devices
        least, most = wilson(group.expected, group.n, 1 - 2 * tail)
        below.append(weight * (most - group.expected))
        above.append(weight * (group.expected - least))
    return mean - hypot(*below), mean + hypot(*above)
