"""Judges a quantity against a limit that does not depend on controls, such as failures <= 0.001.

One-sided t test and bound of the mean of the devices, at the levels that the look's budget gives:

    fewer than MIN_DEVICES devices with a window            INCONCLUSIVE
    the mean is beyond the limit, and t says so             FAIL
    the bound of the mean is within the limit               PASS
    otherwise                                               INCONCLUSIVE

Nothing tells harm by the release from a bad day of the whole fleet here; with controls, compare.py
is the better judge. It needs none, so it also serves the last stage and shadows. There is no
permutation: a few devices that are far worse than the others make the spread larger, and t careful.
"""

from collections.abc import Sequence
from math import exp, fsum, sqrt
from typing import NamedTuple

from modelwave_controller.judge.compare import Occasion
from modelwave_controller.judge.contrast import Counted, counting_variance, pooled
from modelwave_controller.judge.devices import RATIO, SHARE, Observed, Quantity, Sums
from modelwave_controller.judge.statistics import t_quantile, t_tail
from modelwave_controller.judge.verdicts import FAIL, HOLD, INCONCLUSIVE, PASS

MIN_DEVICES = 3


class Limited(NamedTuple):
    """The mean of the devices in this stage, in the units of the quantity, and its bounds."""

    word: str
    devices: int
    limit: float
    level: float
    reason: str
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    t_p: float | None = None


def judge_limit(
    devices: list[Observed], quantity: Quantity, limit: float, occasion: Occasion
) -> Limited:
    """Returns the verdict by the rules above. The limit is the highest mean that is good, or the
    lowest where higher is better; it is in the units that a window's total has. A RATIO comes as
    logarithms, and is shown without them."""
    seen = [device.now for device in devices if device.now.weight > 0]
    if len(seen) < MIN_DEVICES:
        reason = f"{len(seen)} devices with a window are too few to judge"
        return Limited(INCONCLUSIVE, len(seen), limit, occasion.to_fail, reason)
    mean, error = mean_and_error(seen, quantity, seen)
    beyond, freedom = quantity.sign * (limit - mean), len(seen) - 1
    p = t_tail(beyond / error, freedom) if error > 0 else 1.0
    reach = t_quantile(occasion.to_pass, freedom) * error
    word = INCONCLUSIVE
    if beyond > 0 and p <= occasion.to_fail:
        word = FAIL if quantity.may_fail else HOLD
    elif quantity.may_fail and error > 0 and beyond + reach <= 0:
        word = PASS
    shown = exp if quantity.scale is RATIO else float
    low, high = within_share(quantity, mean - reach, mean + reach)
    low, high, mean, limit = (shown(x) for x in (low, high, mean, limit))
    reason = f"{quantity.name} is {mean:.3g} ({low:.3g} to {high:.3g}) on {len(seen)} devices"
    reason += f"; the limit is {limit:g}"
    return Limited(word, len(seen), limit, occasion.to_fail, reason, mean, low, high, p)


def within_share(quantity: Quantity, low: float, high: float) -> tuple[float, float]:
    """Returns the bounds as people see them: a share is between 0 and 1."""
    return (max(low, 0.0), min(high, 1.0)) if quantity.scale is SHARE else (low, high)


def mean_and_error(
    seen: Sequence[Sums], quantity: Quantity, counted: Sequence[Sums]
) -> tuple[float, float]:
    """Returns the mean of the devices, and its standard error: that of a share is at least the one
    of counting, from `counted`."""
    means = [sums.mean for sums in seen]
    mean = fsum(means) / len(means)
    squares = fsum([(value - mean) * (value - mean) for value in means])
    error = sqrt(squares / (len(means) - 1) / len(means))
    if quantity.scale is SHARE:
        whole = pooled([Counted(1, *sums) for sums in counted])
        error = max(error, sqrt(counting_variance(whole.weight, whole.total)))
    return mean, error
