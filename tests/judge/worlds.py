"""Fleets that observe: what devices measure in each window, before a rollout and in its stages.

A device differs from the others by a standard deviation of 0.05 in accuracy, which is 0.9 on
average, and labels 100 inferences a window. All devices, opened or not, share a daily cycle of
6 windows and one lasting shock of 5 points. A World says what else is the case. The worlds, with
their sizes, are those that the rules were found with, but for the last one.

The first world is also in the product, for `modelwave simulate judge` (evidence/fleets.py), which
says why it is there a second time.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from modelwave_controller.judge.devices import (
    NUMBER,
    RATIO,
    SHARE,
    Observed,
    Quantity,
    Scale,
    Sums,
    Window,
)

LABELS = 100
SPREAD = 0.05
BEFORE = 16  # windows


class World(NamedTuple):
    kind: str = "accuracy"
    scale: Scale = SHARE
    walk: float = 0.0  # of each device, a window
    walk_tail: int = 0  # degrees of freedom of its steps; 0: normal
    site: int = 1  # so many devices walk together
    own: float = 0.0  # how much the new model's effect differs between devices
    late: bool = False  # a quarter of the labels comes at once, the others after 1, 2, 4 windows
    seen: str = "all"  # or "lossy": 30 % of the windows and 10 % of the devices; or "by day"

    @property
    def quantity(self) -> Quantity:
        return Quantity(self.kind, self.scale, self.kind == "accuracy", margin=0.0)


WORLDS = {
    "accuracy": World(),
    "walk 0.01 a window": World(walk=0.01),
    "walk with jumps (t2)": World(walk=0.004, walk_tail=2),
    "sites of 10 walk together": World(walk=0.01, site=10),
    "late labels": World(late=True),
    "30 % windows lost, 10 % silent": World(seen="lossy"),
    "off by night": World(seen="by day"),
    "share over a frozen p95": World(kind="over"),
    "the same without arcsine": World(kind="over", scale=NUMBER),
    "mean of lognormal latency": World(kind="latency", scale=NUMBER),
    "its logarithm": World(kind="log latency", scale=RATIO),
    "own effects, sd 2 points": World(own=0.02),
    "failures, 1 of 1,000": World(kind="failures"),
}


class Recorded(NamedTuple):
    """What a fleet observed. Each batch of labels: how many windows late it comes, and the weight
    and total of each device (row) and window (column); the first `before` columns are before."""

    batches: list[tuple[int, np.ndarray, np.ndarray]]
    before: int

    def prepared(self):
        """Returns the sums before the first order: of odd and of even windows, for each device."""
        return [_sums(*self.sums(slice(first, self.before, 2))) for first in (1, 0)]

    def seen(self, first, windows):
        """Returns weight and total of each device, after so many windows of the stage that starts
        at window `first`."""
        weight = total = 0.0
        for late, weights, totals in self.batches:
            arrived = slice(self.before + first, self.before + first + max(windows - late, 0))
            weight, total = weight + weights[:, arrived].sum(1), total + totals[:, arrived].sum(1)
        return weight, total

    def sums(self, columns):
        return [sum(batch[i][:, columns].sum(1) for batch in self.batches) for i in (1, 2)]

    def observed(self, prepared, first, windows):
        """Returns the devices as they are seen then."""
        return list(map(Observed, *prepared, _sums(*self.seen(first, windows))))

    def windows(self):
        """Returns the windows of each device, if all labels are in time: those before the first
        order, and those since then."""
        _, weights, totals = self.batches[0]
        for weight, total in zip(weights.tolist(), totals.tolist(), strict=True):
            both = [Window(n, *row) for n, row in enumerate(zip(weight, total, strict=True))]
            yield both[: self.before], both[self.before :]


def _sums(weight, total):
    return list(map(Sums, weight.tolist(), total.tolist()))


def record(rng, world, stages, devices, soak, harm=0.0, before=BEFORE):
    """Plays a rollout whose stages open the first stages[0], stages[1] … devices. `harm` is that of
    an opened device: in accuracy, or the logarithm of how much slower it is."""
    windows = before + soak * len(stages)
    opened = np.zeros((devices, windows))
    for number, size in enumerate(stages):
        opened[:size, before + number * soak :] = 1
    drift = _drift(rng, windows) + _walk(rng, world, devices, windows)
    effect = -harm * opened
    if world.own:
        effect = effect + opened * rng.normal(0, world.own, (devices, 1))
    batches = _BATCHES[world.kind](rng, devices, drift, effect, world.late)
    seen = _SEEN[world.seen](rng, devices, windows)
    if seen is not None:
        batches = [(late, weight * seen, total * seen) for late, weight, total in batches]
    return Recorded(batches, before)


def _drift(rng, windows):
    t = np.arange(windows)
    cycle = 0.02 * np.sin(2 * np.pi * t / 6 + rng.uniform(0, 2 * np.pi))
    return cycle - 0.05 * (t >= rng.integers(windows))


def _walk(rng, world, devices, windows):
    if not world.walk:
        return 0.0
    sites = -(-devices // world.site)
    shape = (sites, windows)
    steps = rng.standard_t(world.walk_tail, shape) if world.walk_tail else rng.normal(0, 1, shape)
    walks = np.cumsum(world.walk * steps, 1)
    return walks[rng.permutation(np.arange(devices) // world.site)]


def _accuracy(rng, devices, drift, effect, late):
    p = np.clip(0.9 + rng.normal(0, SPREAD, (devices, 1)) + drift + effect, 0.02, 0.99)
    if late:
        quarter = np.full(p.shape, LABELS / 4)
        return [(n, quarter, rng.binomial(LABELS // 4, p).astype(float)) for n in (0, 1, 2, 4)]
    weight = np.full(p.shape, float(LABELS))
    if devices <= 500:
        return [(0, weight, rng.binomial(LABELS, p).astype(float))]
    noise = np.sqrt(p * (1 - p) * LABELS) * rng.standard_normal(p.shape)
    return [(0, weight, np.clip(LABELS * p + noise, 0, LABELS))]


def _over(rng, devices, drift, effect, late):
    """Inferences slower than the device's own frozen p95; the load has a heavy tail."""
    sigma = np.exp(np.log(0.4) + rng.normal(0, 0.3, (devices, 1)))
    threshold = sigma * (1.645 + rng.normal(0, 0.15, (devices, 1)))
    load = drift + 0.05 * rng.standard_t(3, effect.shape)
    share = ndtr(-(threshold - load + effect) / sigma)
    return [(0, np.full(share.shape, float(LABELS)), rng.binomial(LABELS, share).astype(float))]


def _latency(scale):
    def batches(rng, devices, drift, effect, late):
        heavy = 0.5 * np.clip(rng.standard_t(3, effect.shape), -8, 8)
        log = rng.normal(0, 1, (devices, 1)) + drift + heavy - effect
        value = log if scale is RATIO else np.exp(log)
        return [(0, np.full(log.shape, float(LABELS)), LABELS * value)]

    return batches


def _failures(rng, devices, drift, effect, late):
    rate = 0.001 * np.exp(rng.normal(-0.5, 1, (devices, 1)) - 4 * drift - effect)
    rate = np.clip(rate, 0, 1) + np.zeros(effect.shape)
    return [(0, np.full(rate.shape, float(LABELS)), rng.binomial(LABELS, rate).astype(float))]


_BATCHES = {
    "accuracy": _accuracy,
    "over": _over,
    "latency": _latency(NUMBER),
    "log latency": _latency(RATIO),
    "failures": _failures,
}


def _lossy(rng, devices, windows):
    kept, sends = rng.random((devices, windows)) > 0.3, rng.random((devices, 1)) > 0.1
    return (kept & sends).astype(float)


def _by_day(rng, devices, windows):
    hour = 2 * np.pi * np.arange(windows) / 6 + rng.uniform(0, 2 * np.pi, (devices, 1))
    return (np.sin(hour) > -0.3).astype(float)


_SEEN = {"all": lambda *_: None, "lossy": _lossy, "by day": _by_day}
