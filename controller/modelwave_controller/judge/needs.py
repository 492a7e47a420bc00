"""What a verdict would need: more canaries or more windows for a PASS, and the smallest harm that a
stage can see. All follow from the standard error, which shrinks with the number of devices and, as
far as it comes from counting, with the number of windows."""

from collections.abc import Sequence
from math import asin, ceil, fsum, pi, sin, sqrt
from statistics import covariance, variance
from typing import NamedTuple

from modelwave_controller.judge.contrast import bent_counting_variance, counting_variance
from modelwave_controller.judge.devices import Frozen, Observed
from modelwave_controller.judge.statistics import t_quantile, t_tail

MAX_WINDOWS_NEEDED = 1000  # more are no help to anybody
POWER = 0.8  # the smallest harm is that which is found in so many rollouts of ten
SURE = 0.9  # a margin is judgeable if a release without harm passes so often


class Need(NamedTuple):
    """What would make it PASS if the estimate stays: more canaries, or more windows of those that
    there are. None: no number of them would."""

    canaries: int | None
    windows: int | None

    @property
    def words(self) -> str:
        wanted = ((self.canaries, "canary", "canaries"), (self.windows, "window", "windows"))
        ways = [
            f"{number} more {one if number == 1 else many}"
            for number, one, many in wanted
            if number is not None
        ]
        if not ways:
            return "this fleet cannot prove that it is within the margin"
        return f"it needs {' or '.join(ways)} if the estimate stays"


class Arms(NamedTuple):
    canaries: int
    controls: int
    error: float
    freedom: float

    @property
    def variance(self) -> float:
        """The variance of one device's number, as if the same in both arms."""
        return self.error**2 / (1 / self.canaries + 1 / self.controls)


def need(arms: Arms, room: float, tail: float, windows: int, noise: float | None) -> Need:
    """Returns what a PASS needs. `room` is how far the estimate lies within the allowed harm,
    `tail` the level of the bound, `noise` the part of a device's variance that comes from counting,
    which is None if it is not known."""
    if room <= 0:
        return Need(None, None)
    return Need(
        _canaries(arms, room, tail),
        None if noise is None else _windows(arms, room, tail, windows, noise),
    )


def _canaries(arms: Arms, room: float, tail: float) -> int | None:
    """Every further canary is one control less; at half of all devices the error is smallest."""
    freedom = max(arms.freedom, arms.canaries + arms.controls - 2)
    wanted = (room / t_quantile(tail, freedom)) ** 2
    devices = arms.canaries + arms.controls
    most = devices // 2 - arms.canaries

    def enough(more: int) -> bool:
        canaries = arms.canaries + more
        return arms.variance * (1 / canaries + 1 / (devices - canaries)) <= wanted

    if most < 1 or not enough(most):
        return None
    low, high = 0, most  # not enough, enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _windows(arms: Arms, room: float, tail: float, windows: int, noise: float) -> int | None:
    wanted = (room / t_quantile(tail, arms.freedom)) ** 2 / (1 / arms.canaries + 1 / arms.controls)
    lasting = max(arms.variance - noise, 0.0)
    if wanted <= lasting:
        return None
    more = ceil(noise * windows / (wanted - lasting)) - windows
    return max(more, 1) if more <= MAX_WINDOWS_NEEDED else None


def spread_ahead(devices: Sequence[Observed], frozen: Frozen, weight: float) -> float | None:
    """Returns the standard deviation that the numbers of devices will have in raw units, from what
    they sent before the first order, once each has `weight` labels or inferences in the stage. None
    if fewer than two devices have windows of odd and of even number.

    The covariance of a device's two halves is what lasts of its difference from the others, the
    rest is noise, which shrinks with the weight.
    """
    halves = [d for d in devices if d.odd.weight > 0 and d.even.weight > 0]
    if len(halves) < 2:
        return None
    odd, even = [d.odd.mean for d in halves], [d.even.mean for d in halves]
    lasting = max(covariance(odd, even), 0.0)
    half = max((variance(odd) + variance(even)) / 2 - lasting, 0.0)
    before = fsum(d.before.weight for d in halves) / len(halves)
    noise = half * before / 2  # of a weight of 1
    theta = frozen.theta
    return sqrt(lasting * (1 - theta) ** 2 + noise / weight + theta**2 * noise / before)


class Crowd(NamedTuple):
    """A target as a stage will find it: its canaries and controls, and the standard deviation of
    their numbers in raw units; of a SHARE also its mean, and the labels or inferences that each
    device has in the stage."""

    canaries: int
    controls: int
    spread: float
    share: float = 0.0
    weight: float = 0.0


class Ahead(NamedTuple):
    """The error that a comparison will have, in raw units. `bent` is the least one of a SHARE, of
    the arcsine of its root, whose mean is `share`; else it is 0."""

    error: float
    freedom: int
    bent: float
    share: float


def ahead(crowds: Sequence[Crowd]) -> Ahead | None:
    """Returns the error of the comparison of these targets together, as contrast.py computes it;
    None if they are too few devices, or if none will differ from another."""
    crowds = [crowd for crowd in crowds if crowd.canaries and crowd.controls]
    canaries, controls = sum(c.canaries for c in crowds), sum(c.controls for c in crowds)
    freedom = canaries + controls - 2 * len(crowds)
    if controls <= len(crowds) or freedom < 1:
        return None
    parts = [c.canaries * c.controls / (c.canaries + c.controls) for c in crowds]
    squares = fsum(part * c.spread**2 for part, c in zip(parts, crowds, strict=True))
    error, bent, share = sqrt(squares) / sum(parts), 0.0, 0.0
    if all(c.weight > 0 for c in crowds):
        sides = [[c.canaries for c in crowds], [c.controls for c in crowds]]
        weights = [fsum(n * c.weight for n, c in zip(s, crowds, strict=True)) for s in sides]
        totals = [
            fsum(n * c.weight * c.share for n, c in zip(s, crowds, strict=True)) for s in sides
        ]
        error = max(error, sqrt(sum(map(counting_variance, weights, totals))))
        bent = sqrt(sum(map(bent_counting_variance, weights)))
        share = sum(totals) / sum(weights)
    return Ahead(error, freedom, bent, share) if error > 0 else None


def smallest_harm(found: Ahead, level: float, margin: float, rises: bool) -> float:
    """Returns the harm that a look at `level` finds in 8 of 10 rollouts, in raw units. It must be
    proven, and be estimated beyond the `margin`. `rises`: a share is the worse the higher it is."""
    proof, reach = t_quantile(level, found.freedom), t_quantile(1 - POWER, found.freedom)
    harm = max(proof * found.error, margin) + reach * found.error
    return max(harm, _unbent((proof + reach) * found.bent, found.share, rises))


def _unbent(reach: float, share: float, rises: bool) -> float:
    """Returns how far a share moves if the arcsine of its root moves by `reach`."""
    angle = asin(sqrt(min(max(share, 0.0), 1.0)))
    moved = min(angle + reach, pi / 2) if rises else max(angle - reach, 0.0)
    return abs(sin(moved) ** 2 - sin(angle) ** 2)


def smallest_margin(found: Ahead, tail: float) -> float:
    """Returns the harm that a release without any is shown to be below of in 9 of 10 rollouts, at a
    look whose bounds have the level `tail`; in raw units."""
    return found.error * (t_quantile(tail, found.freedom) + t_quantile(1 - SURE, found.freedom))


def passes(found: Ahead, allowed: float, tail: float) -> float:
    """Returns how often a release without harm is shown to be below the harm `allowed`, there."""
    return 1 - t_tail(allowed / found.error - t_quantile(tail, found.freedom), found.freedom)
