"""Rollouts that are judged by other evidence: roll-backs, silence, confidences, single targets."""

import numpy as np

from modelwave_controller.judge import estimated, levels, rollbacks
from modelwave_controller.judge.compare import Pair
from modelwave_controller.judge.devices import NOTHING, Observed, Sums, arm, freeze
from modelwave_controller.judge.silence import Heard, judge_silence
from modelwave_controller.judge.verdicts import FAIL, HOLD
from modelwave_controller.rollout import gates
from modelwave_controller.rollout.plan import Stage
from tests.judge.rollouts import SOAK, Fleet, Plan, sizes
from tests.judge.worlds import BEFORE, LABELS, World

STRAY = 0.005  # roll-backs of a good release


# --- roll-backs


def thresholds(devices):
    """From how many roll-backs among 1, 2 … devices it holds, and from how many it reverts."""
    holds, reverts, k = [], [], 1
    for n in range(1, devices + 1):
        while k <= n and rollbacks.judge_rollbacks(k, n).word == rollbacks.GO_ON:
            k += 1
        holds.append(k)
        reverts.append(rollbacks.judge_rollbacks(0, n).reverts_at)
    return np.array(holds), np.array(reverts)


def one_by_one(rng, runs, devices, share, limits):
    """Devices are opened one after the other. Returns at which device each run was held, and at
    which it was reverted; 0 is never."""
    rolled = np.cumsum(rng.random((runs, devices)) < share, 1)
    hits = [rolled >= limit[:devices] for limit in limits]
    return [np.where(hit.any(1), hit.argmax(1) + 1, 0) for hit in hits]


def whole_stages(rng, runs, devices, share, limits):
    """Whole stages are opened at once, and failures answer first. Returns the shares of runs that
    are reverted: counting devices that were opened, and those that have answered."""
    _, reverts = limits
    ends = [*sizes(devices), devices] if devices >= 12 else [min(3, devices), devices]
    rolled = rng.random((runs, devices)) < share
    of_opened, of_answered, known, size = np.zeros(runs, bool), np.zeros(runs, bool), 0, 0
    for end in ends:
        count = rolled[:, :end].sum(1)
        of_opened |= count >= reverts[end - 1]
        for more in range(1, int((count - known).max()) + 1):  # only failures have answered
            answered = size + more - 1
            of_answered |= (more <= count - known) & (known + more >= reverts[answered])
        known, size = count, end
    return of_opened.mean(), of_answered.mean()


def cliff(rng, runs, devices, share):
    """The share of runs that the rule of shares in rollout/gates.py fails: more than 2 % of the
    stage's devices rolled back."""
    ends = [*sizes(devices), devices] if devices >= 12 else [min(3, devices), devices]
    rolled = rng.random((runs, devices)) < share
    fails = np.zeros(runs, bool)
    for start, end in zip([0, *ends], ends, strict=False):
        fewest = _fewest_that_fail(end - start)
        fails |= rolled[:, start:end].sum(1) >= fewest
    return fails.mean()


def _fewest_that_fail(devices):
    for k in range(devices + 1):
        counts = gates.Counts(devices=devices, succeeded=devices - k, rolled_back=k)
        if (
            gates.judge_stage(
                Stage(percent=10, max_rolled_back_percent=2), counts, overdue=False
            ).verdict
            == FAIL
        ):
            return k
    return devices + 1


# --- targets


def targets_that_fail(rng, targets, each, harm, quantities=4, stages=1):
    """One of the targets is worse by `harm`. Returns (whether it FAILs by itself, whether all
    devices together do, whether any good one does) in the first `stages` stages."""
    plan = Plan(each, quantities=quantities)
    fleets = [Fleet(rng, plan, World(), harm * (n == 0)) for n in range(targets)]
    bad = whole = good = False
    for stage in range(stages):
        for look in range(len(plan.windows)):
            pairs = {str(n): fleet.pair(stage, look) for n, fleet in enumerate(fleets)}
            judged = levels.judge(pairs, fleets[0].quantity, plan.occasion(stage, look))
            failed = {name for name, verdict in judged.targets.items() if verdict.word == FAIL}
            bad, good = bad or "0" in failed, good or bool(failed - {"0"})
            whole = whole or judged.whole.word == FAIL
    return bad, whole, good


# --- silence


def silence_fails(rng, devices, crashed, quantities=4):
    """The new model crashes a share of the devices for good; 5 % of all are silent anyway. Returns
    the stage in which silence FAILs, or None."""
    plan = Plan(devices, quantities=quantities)
    crashes, silent = rng.random(devices) < crashed, rng.random(devices) < 0.05
    for stage, opened in enumerate(plan.stages):
        quiet = silent | (crashes & (np.arange(devices) < opened))
        counts = int(quiet[:opened].sum()), opened, int(quiet[opened:].sum()), devices - opened
        for look in range(len(plan.windows)):
            budget = plan.occasion(stage, look).budget
            found = judge_silence([Heard(*counts)], budget, look)
            if found and found.word == FAIL:
                return stage
    return None


# --- confidences


BINS = 16
EXAMPLES = 5000  # of held-out data in a table


class Confident:
    """A fleet without labels: of each device the histogram of its confidences, which are right as
    often as they say. The new model is right less often by `harm`, and its confidence falls by
    `falls`; `honest` says that its own table knows the difference of the two."""

    def __init__(self, rng, plan, falls, honest):
        self.plan, self.rng = plan, rng
        self.levels = 0.88 + 0.05 * rng.standard_normal(plan.devices)
        self.drift = 0.01 * np.sin(2 * np.pi * np.arange(BEFORE + 100) / 6)
        self.falls = falls
        self.old = self._table(0.0, 0.0)
        self.new = self._table(falls, falls) if honest else self.old
        self.halves = [self._sums(self._counts(0, BEFORE // 2, 0.0), self.old) for _ in "oe"]
        self.quantity = estimated.estimated_accuracy(plan.margin)
        frozen = [Observed(a, b, NOTHING) for a, b in zip(*self.halves, strict=True)]
        self.frozen = freeze(frozen)

    def _counts(self, first, windows, falls):
        mean = np.clip(self.levels + self.drift[first : first + windows].mean() - falls, 0.3, 0.985)
        drawn = self.rng.beta(
            8 * mean[:, None], 8 * (1 - mean[:, None]), (len(mean), LABELS * windows)
        )
        rows = np.arange(len(mean))[:, None] * BINS
        bins = rows + np.minimum((drawn * BINS).astype(int), BINS - 1)
        return np.bincount(bins.ravel(), minlength=len(mean) * BINS).reshape(-1, BINS)

    def _table(self, falls, too_modest):
        """Measured on other devices' inputs, which a confidence of c gets right in c of all cases,
        or `too_modest` more."""
        means = np.clip(0.88 - falls + 0.05 * self.rng.standard_normal(EXAMPLES), 0.3, 0.985)
        drawn = self.rng.beta(8 * means, 8 * (1 - means))
        right = self.rng.random(EXAMPLES) < drawn + too_modest
        bins = np.minimum((drawn * BINS).astype(int), BINS - 1)
        return tuple(
            estimated.Bin(int((bins == b).sum()), int(right[bins == b].sum())) for b in range(BINS)
        )

    def _sums(self, counts, table):
        windows = [estimated.window(0, row, table) for row in counts.tolist()]
        return [Sums(window.weight, window.total) for window in windows]

    def share_at_halt(self):
        """The share of the fleet that is open when it is held; 1 is never."""
        for stage, opened in enumerate(self.plan.stages):
            ours = others = 0
            for look, windows in enumerate(self.plan.windows):
                more = windows - (self.plan.windows[look - 1] if look else 0)
                first = BEFORE + stage * SOAK + windows - more
                ours = ours + self._counts(first, more, self.falls)[:opened]
                others = others + self._counts(first, more, 0.0)[opened:]
                occasion = self.plan.occasion(stage, look)
                if self._word(ours, others, opened, occasion) == HOLD:
                    return opened / self.plan.devices
        return 1.0

    def _word(self, ours, others, opened, occasion):
        now = [*self._sums(ours, self.new), *self._sums(others, self.old)]
        devices = list(map(Observed, *self.halves, now))
        arms = [arm(part, self.quantity, self.frozen) for part in _split(devices, opened)]
        sides = ({self.new: ours.sum(0).tolist()}, {self.old: others.sum(0).tolist()})
        errors = {"": estimated.common_error(*sides)}
        return levels.judge({"": Pair(*arms)}, self.quantity, occasion, errors).word


def _split(devices, opened):
    return devices[:opened], devices[opened:]
