"""Judges what a look at a shadow stage has read: each gate by its limit, or by what the release
expects; agreement, failures and latency that no limit judges are shown. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from math import exp, fsum, log
from typing import NamedTuple

from modelwave_controller.judge.agreement import Group, judge_expected
from modelwave_controller.judge.compare import Occasion
from modelwave_controller.judge.devices import (
    NOTHING,
    NUMBER,
    RATIO,
    SHARE,
    Observed,
    Quantity,
    Sums,
)
from modelwave_controller.judge.levels import Judged, at_levels
from modelwave_controller.judge.limit import (
    MIN_DEVICES,
    Limited,
    judge_limit,
    mean_and_error,
    within_share,
)
from modelwave_controller.judge.statistics import t_quantile
from modelwave_controller.judge.verdicts import SHOWN
from modelwave_controller.phrases import plural
from modelwave_controller.rollout import planned_gates
from modelwave_controller.rollout.events import Expected, Finding
from modelwave_controller.rollout.planned_gates import PlannedGate, parse_gate

# What is shown of each shadow, as gates that judge nothing.
_SHOWN = {
    "agreement": parse_gate("agreement >= 0"),
    "failures": parse_gate("failures <= 1"),
    "mean(latency_ms)": parse_gate("mean(latency_ms) <= 1"),
}
TAIL = 0.025  # of what is shown: an interval of 95 %


def shown_beside(gates: Iterable[PlannedGate]) -> dict[str, PlannedGate]:
    """Returns what is shown beside these gates, by name."""
    limited = {gate.quantity for gate in gates if gate.kind == planned_gates.LIMIT}
    return {name: gate for name, gate in _SHOWN.items() if gate.quantity not in limited}


class ShadowFindings(NamedTuple):
    """What was read: `sums` by the text of a gate and target, one of each device that measured
    something; `expected` by target."""

    gates: Sequence[PlannedGate]
    expected: Mapping[str, Expected]
    occasion: Occasion
    sums: Mapping[tuple[str, str], Sequence[Sums]]

    @property
    def compared(self) -> bool:
        """Whether any output was compared with the live model's."""
        gates = (*self.gates, *shown_beside(self.gates).values())
        return any(self._of(gate) for gate in gates if gate.name == planned_gates.AGREEMENT)

    def all(self) -> list[Finding]:
        found = [one for gate in self.gates for one in self._judged(gate)]
        for name, gate in shown_beside(self.gates).items():
            if seen := self._of(gate):
                found.append(_shown(name, gate, seen))
        return found

    @property
    def _targets(self) -> list[str]:
        return sorted({target for _, target in self.sums})

    def _of(self, gate: PlannedGate, targets: Sequence[str] | None = None) -> list[Sums]:
        """Returns what the devices of these targets, None for all, have measured."""
        names = self._targets if targets is None else targets
        return [sums for name in names for sums in self.sums.get((gate.text, name), ())]

    def _judged(self, gate: PlannedGate) -> list[Finding]:
        """Returns what is found of a gate; nothing of one whose expectation no release signs."""
        if gate.kind != planned_gates.EXPECTED:
            limited = at_levels(
                self._targets, lambda names, o: self._limited(gate, names, o), self.occasion
            )
            return _findings(gate, limited)
        names = [name for name in self._targets if name in self.expected]
        if not names:
            return []
        return _findings(
            gate, at_levels(names, lambda some, o: self._expected(gate, some, o), self.occasion)
        )

    def _limited(self, gate: PlannedGate, targets: Sequence[str], occasion: Occasion) -> Limited:
        seen = [Observed(NOTHING, NOTHING, sums) for sums in self._of(gate, targets)]
        return judge_limit(seen, *_quantity_and_limit(gate), occasion)

    def _expected(self, gate: PlannedGate, targets: Sequence[str], occasion: Occasion) -> Limited:
        groups = [
            Group(self._of(gate, [name]), self.expected[name].share, self.expected[name].n)
            for name in targets
        ]
        return judge_expected(groups, Quantity(gate.name, SHARE, True, gate.value), occasion)


def _findings(gate: PlannedGate, found: Judged[Limited]) -> list[Finding]:
    whole = found.whole._replace(word=found.word, reason=found.reason)
    parts = [_finding(gate, target, one) for target, one in found.targets.items()]
    return [_finding(gate, "", whole), *parts]


def _finding(gate: PlannedGate, target: str, found: Limited) -> Finding:
    """Returns a finding as it is stored. Against what is expected, harm is positive where a release
    agrees less."""
    harm, low, high, margin = found.mean, found.low, found.high, found.limit
    if gate.kind == planned_gates.EXPECTED:
        harm, low, high = (None if x is None else -x for x in (found.mean, found.high, found.low))
        margin = gate.value
    return Finding(
        gate=gate.text,
        target=target,
        verdict=found.word,
        reason=found.reason,
        canaries=found.devices,
        controls=0,
        margin=margin,
        harm=harm,
        low=low,
        high=high,
        p=found.t_p,
    )


def _shown(name: str, gate: PlannedGate, seen: Sequence[Sums]) -> Finding:
    """Returns the mean of the devices, and its interval where they are enough for one."""
    quantity, _ = _quantity_and_limit(gate)
    people = exp if quantity.scale is RATIO else float
    mean, low, high, words = fsum(one.mean for one in seen) / len(seen), None, None, ""
    if len(seen) >= MIN_DEVICES:
        mean, error = mean_and_error(seen, quantity, seen)
        reach = t_quantile(TAIL, len(seen) - 1) * error
        low, high = map(people, within_share(quantity, mean - reach, mean + reach))
        words = f" ({low:.3g} to {high:.3g})"
    return Finding(
        gate=name,
        verdict=SHOWN,
        reason=f"{name} is {people(mean):.3g}{words} on {plural(len(seen), 'device')}",
        canaries=len(seen),
        controls=0,
        harm=people(mean),
        low=low,
        high=high,
    )


def _quantity_and_limit(gate: PlannedGate) -> tuple[Quantity, float]:
    """Returns what is judged against a limit. A quantile is the share of inferences above it, a
    mean of latencies that of their logarithms."""
    if gate.quantile:
        return Quantity(gate.name, SHARE, False, 0.0), 1 - gate.quantile
    if gate.name == planned_gates.LATENCY:
        return Quantity(gate.name, RATIO, False, 0.0), log(gate.value)
    scale = SHARE if gate.is_share else NUMBER
    return Quantity(gate.name, scale, gate.higher_is_better, 0.0), gate.value
