"""A simulated fleet that observes: how many inferences were right, before a rollout and in it.

A device is right in `accuracy` of its labelled inferences, give or take the standard deviation
`spread`, which lasts. All devices share a daily cycle of 6 windows, 2 points up and down, and one
lasting shock of 5 points at some window. The new release is right less often by `harm`. What a
device gets right of n is binomial, from NORMAL_FROM expected ones on the normal distribution.

Only sums are drawn: of the odd and of the even windows before, and of what came between two looks,
with the mean of the drift over those windows. tests/judge/worlds.py draws each window, by numpy, in
other worlds too: it makes hundreds of thousands of rollouts, which would take days here, and a
controller does not need numpy. test_simulated.py compares the two.
"""

from collections.abc import Mapping, Sequence
from math import asin, floor, fsum, log, pi, sin, sqrt
from random import Random
from typing import NamedTuple

from modelwave_controller.judge.compare import Pair
from modelwave_controller.judge.contrast import Counted
from modelwave_controller.judge.devices import NOTHING, Arm, Observed, Sums, freeze

CYCLE_WINDOWS, CYCLE, SHOCK = 6, 0.02, 0.05
LEAST_RIGHT = 0.02  # of the labelled inferences of any device
NORMAL_FROM = 10  # expected right ones, and wrong ones


class World(NamedTuple):
    """`devices` by target; `labels` of a device and window; `before`: windows before the first
    order."""

    devices: Mapping[str, int]
    labels: int = 100
    accuracy: float = 0.9
    spread: float = 0.05
    before: int = 16

    @property
    def most_right(self) -> float:
        """The highest share of right ones of any device."""
        return 1 - min(0.01, (1 - self.accuracy) / 10)


class Drift:
    """What all devices share, in windows since the first one before the rollout."""

    def __init__(self, chance: Random, windows: int) -> None:
        self.phase = chance.random() * 2 * pi
        self.shock = int(chance.random() * windows)

    def mean(self, first: int, windows: int) -> float:
        """Returns its mean over so many windows from `first` on; whole cycles add nothing."""
        rest = range(first, first + windows % CYCLE_WINDOWS)
        cycle = CYCLE * fsum(sin(2 * pi * t / CYCLE_WINDOWS + self.phase) for t in rest)
        shocked = min(max(first + windows - self.shock, 0), windows)
        return (cycle - SHOCK * shocked) / windows


class SimulatedTarget:
    """The devices of one target. The first ones are opened first."""

    def __init__(self, chance: Random, world: World, devices: int, drift: Drift) -> None:
        self._chance, self._world, self._drift = chance, world, drift
        gauss = chance.gauss
        self._skills = [gauss(world.accuracy, world.spread) for _ in range(devices)]
        self._labels = 0
        self._right = [0.0] * devices
        self._freeze()

    def begin(self) -> None:
        """Begins a stage."""
        self._labels = 0
        self._right = [0.0] * len(self._skills)

    def observe(self, first: int, windows: int, opened: int, harm: float) -> None:
        """Adds so many windows, from `first` on; the first `opened` devices run the new release."""
        drift = self._drift.mean(first, windows)
        labels = windows * self._world.labels
        new = self._drawn(self._skills[:opened], labels, drift - harm)
        drawn = new + self._drawn(self._skills[opened:], labels, drift)
        self._right = [old + more for old, more in zip(self._right, drawn, strict=True)]
        self._labels += labels

    def pair(self, opened: int) -> Pair:
        """Returns the arms, as devices.arm makes them of the devices one by one."""
        labels = float(self._labels)
        means = [right / labels for right in self._right]
        z = [asin(sqrt(m)) - b for m, b in zip(means, self._bent_before, strict=True)]
        raw = [m - b for m, b in zip(means, self._before, strict=True)]
        total = fsum(self._right[:opened])
        ours = Arm(z[:opened], raw[:opened], Counted(opened, labels * opened, total))
        others = len(means) - opened
        rest = fsum(self._right[opened:])
        return Pair(ours, Arm(z[opened:], raw[opened:], Counted(others, labels * others, rest)))

    def observed(self) -> list[Observed]:
        """Returns the devices, as a look reads them."""
        labels = float(self._labels)
        return [
            Observed(odd, even, Sums(labels, right))
            for (odd, even), right in zip(self._halves, self._right, strict=True)
        ]

    def _freeze(self) -> None:
        odd, even = self._world.before // 2, -(-self._world.before // 2)
        self._halves = list(zip(self._half(odd), self._half(even), strict=True))
        devices = [Observed(*halves, NOTHING) for halves in self._halves]
        self.frozen = freeze(devices)
        theta, stand_in = self.frozen
        means = [d.before.mean if self._world.before else stand_in for d in devices]
        self._before = [theta * mean for mean in means]
        self._bent_before = [theta * asin(sqrt(mean)) for mean in means]

    def _half(self, windows: int) -> list[Sums]:
        """Returns what each device has in so many of the windows before, every second one. Their
        drift is that of all of them, as a difference of the halves is the same for all devices."""
        if not windows:
            return [NOTHING] * len(self._skills)
        labels, drift = windows * self._world.labels, self._drift.mean(0, self._world.before)
        weight = float(labels)
        return [Sums(weight, right) for right in self._drawn(self._skills, labels, drift)]

    def _drawn(self, skills: Sequence[float], labels: int, more: float) -> list[float]:
        chance, most = self._chance, self._world.most_right
        return [
            right_of(chance, labels, min(max(skill + more, LEAST_RIGHT), most)) for skill in skills
        ]


def right_of(chance: Random, labels: int, share: float) -> float:
    """Returns how many of `labels` inferences are right: binomial. Few are drawn by the waiting
    times between them, which are geometric (Devroye, Non-Uniform Random Variate Generation, 1986,
    chapter X.4)."""
    rarer = min(share, 1 - share)
    expected = labels * share
    if labels * rarer >= NORMAL_FROM:
        drawn = round(chance.gauss(expected, sqrt(expected * (1 - share))))
        return float(min(max(drawn, 0), labels))
    place, found, scale = 0, 0, log(1 - rarer)
    while True:
        place += floor(log(1 - chance.random()) / scale) + 1
        if place > labels:
            break
        found += 1
    return float(found if share <= 0.5 else labels - found)
