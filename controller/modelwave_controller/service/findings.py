"""Judges what a look has read: each gate by comparison or by its limit, and silent canaries."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from modelwave_controller.judge.compare import Occasion, Pair, Verdict
from modelwave_controller.judge.devices import NUMBER, RATIO, SHARE, Frozen, Observed, Quantity, arm
from modelwave_controller.judge.levels import judge
from modelwave_controller.judge.limit import judge_limit
from modelwave_controller.judge.silence import judge_silence
from modelwave_controller.judge.verdicts import FAIL, INCONCLUSIVE, PASS
from modelwave_controller.rollout import course, planned_gates
from modelwave_controller.rollout.events import Finding, FrozenBaseline
from modelwave_controller.rollout.plan import Plan
from modelwave_controller.rollout.planned_gates import PlannedGate


@dataclass
class Seen:
    """What was read of one target: by gate, {device: its sums}; the devices without any window in
    the stage; and whether there was a window at all, also before."""

    canaries: list[str]
    controls: list[str]
    sums: dict[str, dict[str, Observed]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    observed: bool = False

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
        quantity = _quantity(gate, list(frozen.values()))
        sums = (o for one in self.seen.values() for o in one.sums[gate.text].values())
        measured = any(o.now.weight for o in sums)
        if not measured and not self._is_named(gate):
            return []
        if gate.kind == planned_gates.LIMIT:
            return [self._limited(gate, quantity)]
        return self._compared(gate, quantity, frozen)

    def _limited(self, gate: PlannedGate, quantity: Quantity) -> Finding:
        ours = [o for one in self.seen.values() for o in one.of(gate, one.canaries)]
        found = judge_limit(ours, quantity, gate.value, self.occasion)
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

    def _compared(
        self, gate: PlannedGate, quantity: Quantity, frozen: Mapping[str, FrozenBaseline]
    ) -> list[Finding]:
        pairs = {
            target: Pair(
                arm(one.of(gate, one.canaries), quantity, _of(frozen[target])),
                arm(one.of(gate, one.controls), quantity, _of(frozen[target])),
            )
            for target, one in self.seen.items()
        }
        judged = judge(pairs, quantity, self.occasion)
        whole = judged.whole._replace(word=judged.word, reason=judged.reason)
        parts = [_finding(gate, target, one) for target, one in judged.targets.items()]
        return [_finding(gate, "", whole), *parts]

    def _is_named(self, gate: PlannedGate) -> bool:
        own = self.plan.stages[self.stage].gates
        return gate.text in (own or ()) or gate.text in (self.plan.gates or ())

    def _silence(self) -> list[Finding]:
        if not self.plan.stages[self.stage].has_controls:
            return []
        canaries, controls = _counted(self.seen, True), _counted(self.seen, False)
        if not canaries[1] or controls[0] == controls[1]:
            return []  # there is nothing to compare with
        found = judge_silence(*canaries, *controls, self.occasion.budget, self.occasion.number)
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


def _of(baseline: FrozenBaseline) -> Frozen:
    return Frozen(baseline.theta, baseline.mean_before)


def _counted(seen: Mapping[str, Seen], canaries: bool) -> tuple[int, int]:
    """Returns how many canaries, or controls, are silent, and how many there are."""
    names: Collection[str]
    silent = number = 0
    for one in seen.values():
        names = one.canaries if canaries else one.controls
        silent, number = silent + len(one.silent.intersection(names)), number + len(names)
    return silent, number


def _finding(gate: PlannedGate, target: str, verdict: Verdict) -> Finding:
    return Finding(
        gate=gate.text,
        target=target,
        verdict={PASS: PASS, FAIL: FAIL}.get(verdict.word, INCONCLUSIVE),
        reason=verdict.reason,
        canaries=verdict.canaries,
        controls=verdict.controls,
        margin=verdict.allowed,
        harm=verdict.harm,
        low=verdict.low,
        high=verdict.high,
        p=verdict.t_p,
        needs=verdict.need.words if verdict.need else "",
    )


def _quantity(gate: PlannedGate, frozen: Sequence[FrozenBaseline]) -> Quantity:
    """Returns what is judged. A quantile is the share of inferences above an edge, with the
    smallest margin of all targets, or, without an edge, the mean of the logarithms."""
    by_edge = gate.quantile > 0 and all(one.edge for one in frozen)
    if by_edge:
        return Quantity(gate.name, SHARE, False, min(one.margin for one in frozen))
    if gate.kind == planned_gates.RATIO:
        return Quantity(gate.name, RATIO, gate.higher_is_better, gate.value)
    scale = SHARE if gate.is_share else NUMBER
    return Quantity(gate.name, scale, gate.higher_is_better, gate.value)
