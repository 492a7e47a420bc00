"""Computes the looks of shadow stages: what devices measured of a release beside the live one.

All gates are limits. Each device of a shadow stage so far counts with all its shadow windows of the
release that ended after the first order and until the end of the look. What no gate judges of
agreement, failures and latency is shown. looks.py says how a look is read and stored.
"""

import time
from collections.abc import Iterator, Sequence
from math import exp, fsum, log

from sqlalchemy import Connection

from modelwave_controller.judge.agreement import AtLevels, Group, at_levels, judge_expected
from modelwave_controller.judge.compare import Occasion
from modelwave_controller.judge.devices import (
    NOTHING,
    NUMBER,
    RATIO,
    SHARE,
    Observed,
    Quantity,
    Sums,
    fold,
)
from modelwave_controller.judge.limit import MIN_DEVICES, Limited, judge_limit, mean_and_error
from modelwave_controller.judge.statistics import t_quantile
from modelwave_controller.judge.verdicts import SHOWN
from modelwave_controller.phrases import plural
from modelwave_controller.rollout import course, planned_gates
from modelwave_controller.rollout.events import Finding, Looked
from modelwave_controller.rollout.facts import population_of
from modelwave_controller.rollout.planned_gates import PlannedGate, parse_gate
from modelwave_controller.service.due_looks import DueLook
from modelwave_controller.service.gate_windows import windows_of
from modelwave_controller.storage import devices, windows
from modelwave_controller.storage.chunks import chunks
from modelwave_controller.storage.tables import SHADOW

# What is shown of each shadow, as gates that judge nothing.
_SHOWN = {
    "agreement": parse_gate("agreement >= 0"),
    "failures": parse_gate("failures <= 1"),
    "mean(latency_ms)": parse_gate("mean(latency_ms) <= 1"),
}


class ShadowLooking:
    """A look that is under way. It only reads."""

    def __init__(self, look: DueLook) -> None:
        self.look = look
        self.created = look.rollout.created
        self.gates = self.created.plan.gates_of(look.stage)
        limited = {gate.quantity for gate in self.gates if gate.kind == planned_gates.LIMIT}
        self.shown = {n: gate for n, gate in _SHOWN.items() if gate.quantity not in limited}
        self._connection: Connection
        # By gate and target: what each device has measured.
        self._sums: dict[tuple[str, str], list[Sums]] = {}
        self._work = self._all_steps()

    def step(self, connection: Connection, seconds: float) -> Looked | None:
        """Reads for about so many seconds; returns what the look finds when everything is read."""
        self._connection = connection
        until = time.monotonic() + seconds
        for _ in self._work:
            if time.monotonic() >= until:
                return None
        return self._found()

    def _all_steps(self) -> Iterator[None]:
        rollout = self.look.rollout
        known = devices.known(self._connection, rollout.model)
        opened = set[str]().union(*(population_of(stage, known) for stage in rollout.stages))
        for target, release in sorted(self.created.releases.items()):
            ids = {name for names in known.devices.get(target, {}).values() for name in names}
            for gate in self._measured:
                self._sums[gate.text, target] = []
            for chunk in chunks(sorted(ids & opened)):
                self._read(target, release.release, chunk)
                yield

    def _read(self, target: str, release: int, names: Sequence[str]) -> None:
        look = self.look
        found = windows.between(
            self._connection, look.rollout.model, names, look.first, look.end, SHADOW
        )
        for rows in found.values():
            ours = [row for row in rows if row.release == release]
            for gate in self._measured:
                self._sums[gate.text, target].append(fold(windows_of(gate, 0, ours)))

    def _found(self) -> Looked:
        plan, look = self.created.plan, self.look
        occasion = Occasion(course.budget(plan, look.stage), look.look, look.windows, 1, 0)
        agreement = [g for g in self._measured if g.name == planned_gates.AGREEMENT]
        compared = any(self._of(gate) for gate in agreement)
        findings = [one for gate in self.gates for one in self._judged(gate, occasion)]
        shown = {name: self._of(gate) for name, gate in self.shown.items()}
        findings += [_shown(name, self.shown[name], seen) for name, seen in shown.items() if seen]
        return Looked(
            stage=look.stage,
            look=look.look,
            windows=look.windows,
            observed=compared,
            findings=findings,
        )

    @property
    def _measured(self) -> list[PlannedGate]:
        return [*self.gates, *self.shown.values()]

    def _of(self, gate: PlannedGate, targets: Sequence[str] | None = None) -> list[Sums]:
        """Returns what the devices of these targets, None for all, have measured."""
        names = self.created.releases if targets is None else targets
        return [sums for name in names for sums in self._sums[gate.text, name] if sums.weight]

    def _judged(self, gate: PlannedGate, occasion: Occasion) -> list[Finding]:
        """Returns what is found of a gate; nothing of one whose expectation no release signs."""
        names = sorted(self.created.releases)
        if gate.kind != planned_gates.EXPECTED:
            found = at_levels(names, lambda n, o: self._limited(gate, n, o), occasion)
            return _findings(gate, found)
        names = [name for name in names if name in self.created.expected]
        if not names:
            return []
        return _findings(gate, at_levels(names, lambda n, o: self._expected(gate, n, o), occasion))

    def _limited(self, gate: PlannedGate, targets: Sequence[str], occasion: Occasion) -> Limited:
        seen = [Observed(NOTHING, NOTHING, sums) for sums in self._of(gate, targets)]
        return judge_limit(seen, *_quantity_and_limit(gate), occasion)

    def _expected(self, gate: PlannedGate, targets: Sequence[str], occasion: Occasion) -> Limited:
        groups = [
            Group(self._of(gate, [name]), expected.share, expected.n)
            for name in targets
            for expected in (self.created.expected[name],)
        ]
        return judge_expected(groups, Quantity(gate.name, SHARE, True, gate.value), occasion)


def _findings(gate: PlannedGate, found: AtLevels) -> list[Finding]:
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
    """Returns the mean of the devices, and its interval of 95 % where they are enough."""
    quantity, _ = _quantity_and_limit(gate)
    people = exp if quantity.scale is RATIO else float
    mean, low, high, words = fsum(one.mean for one in seen) / len(seen), None, None, ""
    if len(seen) >= MIN_DEVICES:
        mean, error = mean_and_error(seen, quantity, seen)
        reach = t_quantile(0.025, len(seen) - 1) * error
        low, high = people(mean - reach), people(mean + reach)
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
