"""Whole rollouts, judged by the product's own code."""

from functools import lru_cache
from math import ceil
from typing import NamedTuple

import numpy as np

from modelwave_controller.evidence import playing
from modelwave_controller.evidence.simulated import Played
from modelwave_controller.judge import levels, looks
from modelwave_controller.judge.compare import Occasion, Pair
from modelwave_controller.judge.contrast import Counted, pooled
from modelwave_controller.judge.devices import SHARE, Arm, arm, freeze
from modelwave_controller.judge.verdicts import FAIL, PASS
from modelwave_controller.rollout.events import Finding
from modelwave_controller.rollout.plan import make_plan
from tests.judge.worlds import BEFORE, World, record

STAGES = (0.01, 0.10, 0.50)  # 100 % follows, which has no controls
SOAK = 8  # windows
SEED = 1
MANY = 30  # from so many devices on, numpy makes the arms faster than the product does


def sizes(devices, shares=STAGES):
    """How many devices each stage opens; it leaves at least two controls."""
    return [min(devices - 2, max(looks.LEAST_CANARIES, ceil(s * devices - 1e-9))) for s in shares]


class Plan(NamedTuple):
    devices: int
    shares: tuple[float, ...] = STAGES
    quantities: int = 1  # that share the error
    margin: float = 0.0
    goes_on: bool = True  # where INCONCLUSIVE, else it is held
    soak: int = SOAK
    extensions: int = 0  # further looks while held
    before: int = BEFORE

    @property
    def stages(self):
        return sizes(self.devices, self.shares)

    @property
    def windows(self):
        """After how many windows of a stage it is looked at, with the extensions."""
        further = (looks.extension(self.soak, n + 1) for n in range(self.extensions))
        return [*looks.planned(self.soak), *further]

    @lru_cache(maxsize=1000)  # noqa: B019 (plans are few)
    def occasion(self, stage, look, quantities=None):
        budget = looks.Budget(
            quantities or self.quantities,
            len(self.stages),
            len(looks.planned(self.soak)),
            self.extensions > 0,
        )
        allowance = looks.allowance(stage, len(self.stages))
        return Occasion(budget, look, self.windows[look], allowance, SEED)


class Numbers:
    """What devices.arm computes, for all devices at once: a simulation of 10,000 devices spends
    most of its time there. test_rollouts.py compares the two."""

    def __init__(self, data, quantity, frozen):
        self.sign, self.shares = quantity.sign, quantity.scale is SHARE
        weight, total = data.sums(slice(None, data.before))
        mean = np.where(weight > 0, total / np.maximum(weight, 1e-9), frozen.mean_before)
        self.before, self.bent_before = frozen.theta * mean, frozen.theta * self._bent(mean)

    def _bent(self, mean):
        return np.arcsin(np.sqrt(np.clip(mean, 0, 1))) if self.shares else mean

    def pair(self, weight, total, opened):
        mean = total / np.maximum(weight, 1e-9)
        z = self.sign * (self._bent(mean) - self.bent_before)
        raw = self.sign * (mean - self.before)
        sides = (slice(None, opened), slice(opened, None))
        return Pair(*(_arm(weight[side], total[side], z[side], raw[side]) for side in sides))


def _arm(weight, total, z, raw):
    kept = weight > 0
    devices = [
        Counted(1, *sums) for sums in zip(weight[kept].tolist(), total[kept].tolist(), strict=True)
    ]
    return Arm(z[kept].tolist(), raw[kept].tolist(), pooled(devices))


class Fleet:
    """A fleet that plays one rollout, of one quantity."""

    def __init__(self, rng, plan: Plan, world: World, harm=0.0):
        self.plan, self.quantity = plan, world.quantity._replace(margin=plan.margin)
        self.length = plan.windows[-1]
        self.data = record(rng, world, plan.stages, plan.devices, self.length, harm, plan.before)
        self.prepared = self.data.prepared()
        self.frozen = freeze(self.data.observed(self.prepared, 0, 0))
        self.numbers = Numbers(self.data, self.quantity, self.frozen)

    def pair(self, stage, look):
        first, windows = stage * self.length, self.plan.windows[look]
        opened = self.plan.stages[stage]
        if self.plan.devices >= MANY:
            return self.numbers.pair(*self.data.seen(first, windows), opened)
        return self.slow_pair(first, windows, opened)

    def slow_pair(self, first, windows, opened):
        """The arms as the product makes them, device by device."""
        devices = self.data.observed(self.prepared, first, windows)
        canaries, controls = devices[:opened], devices[opened:]
        return Pair(
            arm(canaries, self.quantity, self.frozen), arm(controls, self.quantity, self.frozen)
        )

    def judged(self, stage, look, quantities=None):
        occasion = self.plan.occasion(stage, look, quantities)
        return levels.judge({"": self.pair(stage, look)}, self.quantity, occasion)

    def z(self, stage):
        """The largest plain z of all windows of a stage, as dashboards compute it: no planned
        looks, no correction, the spread of whatever devices there are."""
        largest = -np.inf
        for windows in range(1, self.plan.soak + 1):
            devices = self.data.observed(self.prepared, stage * self.length, windows)
            opened = self.plan.stages[stage]
            ours = np.array(arm(devices[:opened], self.quantity, self.frozen).z)
            others = np.array(arm(devices[opened:], self.quantity, self.frozen).z)
            error = np.sqrt(ours.var(ddof=1) / len(ours) + others.var(ddof=1) / len(others))
            largest = max(largest, (others.mean() - ours.mean()) / error)
        return largest

    def flagger(self, stage):
        """Flagger's rule: two windows running, the canaries' mean more than 2 points under what all
        devices had before."""
        _, weight, total = self.data.batches[0]
        before, first = self.data.before, self.data.before + stage * self.length
        opened = slice(None, self.plan.stages[stage])
        now = slice(first, first + self.plan.soak)
        low = total[opened, now].sum(0) / weight[opened, now].sum(0)
        low = low < total[:, :before].sum() / weight[:, :before].sum() - 0.02
        return bool((low[1:] & low[:-1]).any())


GATE = "accuracy >= baseline - 0.02"


@lru_cache
def _course(plan: Plan):
    """A plan of the product with the same looks. The budget and the margin are not its own: no
    plan has a single quantity, as silence is one, or a margin of 0."""
    rows = [
        {"percent": 100 * share, "soak_seconds": 60 * plan.soak, "gates": [GATE]}
        for share in plan.shares
    ]
    judge = {"window_seconds": 60, "inconclusive": "go on" if plan.goes_on else "hold"}
    everyone = {"percent": 100, "soak_seconds": 0, "gates": []}
    return make_plan({"stages": [*rows, everyone], "judge": judge})


def play(fleet: Fleet) -> Played:
    """Plays the rollout to its end by the words of its stages, as the product does."""
    plan = fleet.plan

    def judged(stage, look, windows):
        found = fleet.judged(stage, look)
        arms = found.whole.canaries, found.whole.controls
        verdict = {"verdict": found.word, "canaries": arms[0], "controls": arms[1]}
        return [Finding(gate=GATE, reason=found.reason, **verdict)]

    ended = playing.play(_course(plan), judged, plan.extensions)
    share = 1.0 if ended.word == PASS else plan.stages[ended.stage] / plan.devices
    return Played(ended, share)


def false_fails(rng, plan: Plan, world: World):
    """Plays a rollout without harm, through all looks. Returns whether it FAILs when it is judged
    alone, and when it is one of four quantities."""
    alone = of_four = False
    fleet = Fleet(rng, plan, world)
    for stage in range(len(plan.stages)):
        for look in range(len(plan.windows)):
            if fleet.judged(stage, look).word == FAIL:  # else it does not at a lower level either
                alone = True
                of_four = of_four or fleet.judged(stage, look, 4).word == FAIL
                if of_four:
                    return alone, of_four
    return alone, of_four


def interval(hits, number):
    """Wilson's 95 % interval of a share, in percent."""
    p, z = hits / number, 1.96
    centre, scale = p + z * z / 2 / number, 1 + z * z / number
    half = z * np.sqrt(p * (1 - p) / number + z * z / 4 / number**2)
    low, high = 100 * (centre - half) / scale, 100 * (centre + half) / scale
    return f"{100 * p:.1f} [{max(low, 0):.1f}, {high:.1f}]"
