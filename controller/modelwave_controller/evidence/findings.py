"""Judges what a look has read: each gate by comparison or by its limit, and silent canaries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from modelwave_controller.evidence.arms import ArmMeasures
from modelwave_controller.evidence.quantities import quantity_of
from modelwave_controller.judge.compare import Occasion, Pair, Verdict
from modelwave_controller.judge.devices import Frozen, Observed, Quantity, arm
from modelwave_controller.judge.drift import class_drift
from modelwave_controller.judge.estimated import common_error
from modelwave_controller.judge.levels import judge
from modelwave_controller.judge.limit import judge_limit
from modelwave_controller.judge.silence import Heard, judge_silence
from modelwave_controller.rollout import course, planned_gates
from modelwave_controller.rollout.events import ClassDrift, ClassMove, Finding, FrozenBaseline
from modelwave_controller.rollout.latency_edges import Edge
from modelwave_controller.rollout.plan import Plan
from modelwave_controller.rollout.planned_gates import PlannedGate

# What gates that compare need of devices and of releases.
NEEDS = {
    planned_gates.ESTIMATED: (
        "an estimate needs confidences (`observe(confidence=…)`) and a table of reliability in the "
        "releases of both sides (`modelwave release create --reliability`)"
    ),
    planned_gates.OVER: (
        "it needs agents that count against a limit, and the same limit in the releases of both "
        "sides (`modelwave release create --latency-limit`)"
    ),
}


@dataclass
class Seen:
    """What was read of one target: by gate, {device: its sums}; the devices without any window in
    the stage; whether there was a window at all, also before; and what canaries (True) and controls
    have sent besides."""

    canaries: list[str]
    controls: list[str]
    sums: dict[str, dict[str, Observed]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    observed: bool = False
    arms: dict[bool, ArmMeasures] = field(
        default_factory=lambda: {True: ArmMeasures(), False: ArmMeasures()}
    )

    def of(self, gate: PlannedGate, names: Sequence[str]) -> list[Observed]:
        return [self.sums[gate.text][name] for name in names]


class Findings(NamedTuple):
    """What a look of stage `stage`, from 0, has read: `seen` by target, `frozen` by gate and
    target."""

    plan: Plan
    stage: int
    occasion: Occasion
    seen: Mapping[str, Seen]
    frozen: Mapping[tuple[str, str], FrozenBaseline]

    def all(self) -> list[Finding]:
        found = [one for gate in self.plan.gates_of(self.stage) for one in self._judged(gate)]
        return found + self._silence()

    def _judged(self, gate: PlannedGate) -> list[Finding]:
        """Returns what is found of a gate; nothing if nobody measures it and no plan names it."""
        frozen = {target: self.frozen[gate.text, target] for target in self.seen}
        quantity = quantity_of(gate, [Edge(one.edge, one.margin) for one in frozen.values()])
        sums = (o for one in self.seen.values() for o in one.sums[gate.text].values())
        measured = any(o.now.weight for o in sums)
        if not measured and not is_named(self.plan, self.stage, gate):
            return []
        if gate.kind == planned_gates.LIMIT:
            ours = [o for one in self.seen.values() for o in one.of(gate, one.canaries)]
            return [limited(gate, quantity, ours, self.occasion)]
        pairs, errors = self._pairs(gate, quantity, frozen), self._table_errors(gate)
        found = compared(gate, quantity, pairs, self.occasion, errors)
        if gate.name not in NEEDS or found[0].harm is not None:
            return found
        if not is_named(self.plan, self.stage, gate):
            return []
        reason = f"{found[0].reason}: {NEEDS[gate.name]}"
        return [found[0].model_copy(update={"reason": reason}), *found[1:]]

    def _table_errors(self, gate: PlannedGate) -> dict[str, float] | None:
        """Returns the errors of the tables, by target, that an estimate shares."""
        if gate.name != planned_gates.ESTIMATED:
            return None
        return {
            target: common_error(one.arms[True].confidences, one.arms[False].confidences)
            for target, one in self.seen.items()
        }

    def _pairs(
        self, gate: PlannedGate, quantity: Quantity, frozen: Mapping[str, FrozenBaseline]
    ) -> dict[str, Pair]:
        return {
            target: Pair(
                arm(one.of(gate, one.canaries), quantity, _of(frozen[target])),
                arm(one.of(gate, one.controls), quantity, _of(frozen[target])),
            )
            for target, one in self.seen.items()
        }

    def _silence(self) -> list[Finding]:
        if not self.plan.stages[self.stage].has_controls:
            return []
        targets = (_heard(one) for one in self.seen.values())
        found = judge_silence(targets, self.occasion.budget, self.occasion.number)
        if found is None:
            return []  # there is nothing to compare with
        return [
            Finding(
                gate=course.SILENCE,
                verdict=found.word,
                reason=found.reason,
                canaries=found.canaries,
                controls=found.controls,
                p=found.p,
            )
        ]


def occasion_of(plan: Plan, stage: int, look: int, windows: int, seed: int) -> Occasion:
    """Returns the occasion of look `look` of stage `stage`, both from 0, after so many windows."""
    budget, margins = course.budget(plan, stage), course.margins(plan, stage)
    return Occasion(budget, look, windows, margins, seed)


def limited(
    gate: PlannedGate, quantity: Quantity, canaries: list[Observed], occasion: Occasion
) -> Finding:
    """Returns what is found of a gate that is a fixed limit."""
    found = judge_limit(canaries, quantity, gate.value, occasion)
    return Finding(
        gate=gate.text,
        verdict=found.word,
        reason=found.reason,
        canaries=found.devices,
        controls=0,
        margin=found.limit,
        harm=found.mean,
        low=found.low,
        high=found.high,
        p=found.t_p,
    )


def compared(
    gate: PlannedGate,
    quantity: Quantity,
    pairs: Mapping[str, Pair],
    occasion: Occasion,
    common_errors: Mapping[str, float] | None = None,
) -> list[Finding]:
    """Returns what is found of a gate about a baseline: in all targets together, and in each.
    `common_errors`: as of levels.judge."""
    judged = judge(pairs, quantity, occasion, common_errors)
    whole = judged.whole._replace(word=judged.word, reason=judged.reason)
    parts = [_finding(gate, target, one) for target, one in judged.targets.items()]
    return [_finding(gate, "", whole), *parts]


def is_named(plan: Plan, stage: int, gate: PlannedGate) -> bool:
    """Returns whether the plan itself names a gate of stage `stage`, from 0: it is no default."""
    return gate.text in (plan.stages[stage].gates or ()) or gate.text in (plan.gates or ())


def _of(baseline: FrozenBaseline) -> Frozen:
    return Frozen(baseline.theta, baseline.mean_before)


def _heard(seen: Seen) -> Heard:
    canaries, controls, silent = seen.canaries, seen.controls, seen.silent
    return Heard(
        len(silent.intersection(canaries)),
        len(canaries),
        len(silent.intersection(controls)),
        len(controls),
    )


def _finding(gate: PlannedGate, target: str, verdict: Verdict) -> Finding:
    return Finding(
        gate=gate.text,
        target=target,
        verdict=verdict.word,
        reason=verdict.reason,
        canaries=verdict.canaries,
        controls=verdict.controls,
        margin=verdict.allowed if gate.may_fail else verdict.margin,
        harm=verdict.harm,
        low=verdict.low,
        high=verdict.high,
        p=verdict.t_p,
        needs=verdict.need.words if verdict.need else "",
    )


def drifts(seen: Mapping[str, Seen]) -> list[ClassDrift]:
    """Returns how far the predicted classes of both arms differ, by target."""
    found = {
        target: class_drift(one.arms[True].classes, one.arms[False].classes)
        for target, one in sorted(seen.items())
    }
    return [
        ClassDrift(
            target=target,
            distance=one.distance,
            canaries=one.canaries,
            controls=one.controls,
            moved=[ClassMove(**move._asdict()) for move in one.moved],
        )
        for target, one in found.items()
        if one is not None
    ]
