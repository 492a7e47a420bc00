"""What a verdict would need: more canaries or more windows for a PASS, and the smallest harm that a
stage can see. All follow from the standard error, which shrinks with the number of devices and, as
far as it comes from counting, with the number of windows."""

from collections.abc import Sequence
from math import ceil, fsum, sqrt
from statistics import covariance, variance
from typing import NamedTuple

from modelwave_controller.judge.devices import Frozen, Observed
from modelwave_controller.judge.statistics import t_quantile

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


def smallest_harm(spread: float, canaries: int, controls: int, level: float) -> float:
    """Returns the harm that a look at `level` finds in 8 of 10 rollouts, in the unit of `spread`,
    which is the standard deviation of the devices' numbers."""
    error, freedom = spread * sqrt(1 / canaries + 1 / controls), canaries + controls - 2
    return error * (t_quantile(level, freedom) + t_quantile(1 - POWER, freedom))


def smallest_margin(spread: float, canaries: int, controls: int, tail: float) -> float:
    """Returns the harm that a release without any is shown to be below of in 9 of 10 rollouts, at a
    look whose bounds have the level `tail`."""
    error, freedom = spread * sqrt(1 / canaries + 1 / controls), canaries + controls - 2
    return error * (t_quantile(tail, freedom) + t_quantile(1 - SURE, freedom))
