"""Turns the windows of a device into one number: its mean in this stage, less what it did before.

    z = f(mean of this stage's windows) - theta * f(mean of the windows before)

f            arcsin of the square root for shares, which evens out the noise of counting
             (Anscombe, Biometrika 35, 1948); nothing for other numbers. A positive quantity comes
             as the sum of its logarithms, so that its mean is one already.
theta        how much of a device's difference from the others lasts: the reliability of its mean
             before, 2r/(1+r), where r is the correlation of its odd and even windows over all
             devices (Spearman 1910, Brown 1910). It is frozen before the first order. It removes
             most of what devices differ by (a covariate, as that of Deng et al., WSDM 2013), and
             any value of it is right on average, as canaries and controls have the same.

A window that came twice counts once, in the version that has more in it. Order does not matter:
sums are exact (math.fsum).
"""

from collections.abc import Callable, Iterable, Sequence
from math import asin, expm1, fsum, log1p, sqrt
from typing import NamedTuple

from modelwave_controller.judge.contrast import Counted, pooled

# The windows before the first order that count: the last ones.
MAX_BEFORE_WINDOWS = 16
# A window with a larger total, or with none that is a number, adds nothing: it would be all that
# counts. What a device may send is far below it.
MAX_TOTAL = 1e100
MAX_LOGARITHM = 700.0  # of what `expm1` can return
# With fewer devices that have odd and even windows, their correlation says nothing.
MIN_CORRELATED = 3


class Scale(NamedTuple):
    """On what scale devices are compared, and what a difference on it means."""

    name: str
    bend: Callable[[float], float]


def _arcsine(share: float) -> float:
    return asin(sqrt(min(max(share, 0.0), 1.0)))


def _as_it_is(mean: float) -> float:
    return mean


SHARE = Scale("share", _arcsine)  # correct of labelled, failures of inferences
RATIO = Scale("ratio", _as_it_is)  # a mean of logarithms; differences are shown as ratios
NUMBER = Scale("number", _as_it_is)


class Quantity(NamedTuple):
    """What is judged. `margin` is the harm that is still accepted, in the units of the quantity;
    for a RATIO the harm relative to the controls, 0.2 for a fifth, and below 1 where higher is
    better."""

    name: str
    scale: Scale
    higher_is_better: bool
    margin: float
    may_fail: bool = True  # else its worst verdict is HOLD, and it never passes

    @property
    def sign(self) -> float:
        """What turns a value into one that is the better the higher it is."""
        return 1.0 if self.higher_is_better else -1.0

    @property
    def margin_on_scale(self) -> float:
        """The margin on the scale of the raw numbers: of a RATIO their logarithms."""
        if self.scale is not RATIO:
            return self.margin
        return -log1p(-self.margin) if self.higher_is_better else log1p(self.margin)

    def shown(self, harm: float) -> float:
        """Returns a harm on the scale of the raw numbers in the units of people."""
        if self.scale is not RATIO:
            return harm
        return -self.sign * expm1(min(-self.sign * harm, MAX_LOGARITHM))


class Window(NamedTuple):
    """What one window adds to a quantity: `weight` labels or inferences, whose values sum up to
    `total`."""

    number: int
    weight: float
    total: float


class Sums(NamedTuple):
    weight: float
    total: float

    @property
    def mean(self) -> float:
        return self.total / self.weight


NOTHING = Sums(0.0, 0.0)


class Observed(NamedTuple):
    """All that a look needs of a device: its sums before the first order, in windows of odd and of
    even number, and its sums in this stage so far."""

    odd: Sums
    even: Sums
    now: Sums

    @property
    def before(self) -> Sums:
        return Sums(self.odd.weight + self.even.weight, self.odd.total + self.even.total)


class Frozen(NamedTuple):
    """What is fixed for a target and quantity before the first order. `mean_before` stands in for
    the mean of a device that has no windows before."""

    theta: float
    mean_before: float


class Arm(NamedTuple):
    """The devices of one side of a comparison: `z` judges, `raw` is the same in the units of
    people, `counted` is what the mean of all devices is worth in this stage."""

    z: Sequence[float]
    raw: Sequence[float]
    counted: Counted


def fold(windows: Iterable[Window]) -> Sums:
    """Returns the sums of the windows. One of weight 0 adds nothing."""
    kept = _once(windows)
    return Sums(fsum(w.weight for w in kept), fsum(w.total for w in kept))


def fold_before(windows: Iterable[Window]) -> tuple[Sums, Sums]:
    """Returns the sums of the last windows before the first order: of odd ones, of even ones."""
    kept = sorted(_once(windows))[-MAX_BEFORE_WINDOWS:]
    return fold(w for w in kept if w.number % 2), fold(w for w in kept if not w.number % 2)


def _once(windows: Iterable[Window]) -> list[Window]:
    kept: dict[int, Window] = {}
    for window in windows:
        counts = 0 < window.weight <= MAX_TOTAL and abs(window.total) <= MAX_TOTAL
        if counts and window >= kept.get(window.number, window):
            kept[window.number] = window
    return list(kept.values())


def freeze(devices: Sequence[Observed]) -> Frozen:
    """Returns theta and the mean before, of all devices of a target; only their sums before the
    first order count."""
    means = [before.mean for before in (device.before for device in devices) if before.weight > 0]
    halves = [
        (device.odd.mean, device.even.mean)
        for device in devices
        if device.odd.weight > 0 and device.even.weight > 0
    ]
    mean = fsum(means) / len(means) if means else 0.0
    if len(halves) < MIN_CORRELATED:
        return Frozen(0.0, mean)
    r = min(max(_correlation(halves), 0.0), 1.0)
    return Frozen(2 * r / (1 + r), mean)


def _correlation(pairs: Sequence[tuple[float, float]]) -> float:
    number = len(pairs)
    mean_x, mean_y = fsum(x for x, _ in pairs) / number, fsum(y for _, y in pairs) / number
    product = fsum((x - mean_x) * (y - mean_y) for x, y in pairs)
    square_x = fsum((x - mean_x) ** 2 for x, _ in pairs)
    square_y = fsum((y - mean_y) ** 2 for _, y in pairs)
    return product / max(sqrt(square_x * square_y), 1e-12)


def arm(devices: Iterable[Observed], quantity: Quantity, frozen: Frozen) -> Arm:
    """Returns the numbers of the devices that have a window in this stage. In them higher is
    better, whatever the quantity."""
    bend, sign, theta = quantity.scale.bend, quantity.sign, frozen.theta
    seen = [device for device in devices if device.now.weight > 0]
    z, raw = [], []
    for odd, even, now in seen:
        weight = odd.weight + even.weight
        before = (odd.total + even.total) / weight if weight > 0 else frozen.mean_before
        mean = now.total / now.weight
        z.append(sign * (bend(mean) - theta * bend(before)))
        raw.append(sign * (mean - theta * before))
    return Arm(z, raw, pooled([Counted(1, *device.now) for device in seen]))
