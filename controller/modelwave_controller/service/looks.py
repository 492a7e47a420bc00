"""Computes the looks of rollouts: reads the windows of canaries and controls, and judges them.

A look is due when its watermark has passed (rollout/course.py). It is read outside of any write
transaction, some devices at a time, so that no tick takes long: 10,000 devices take several
seconds. Then the tick stores it as one event, if nothing about the stage has changed meanwhile.
Nothing is stored before, so a service that is killed computes it anew, and once stored it stands.

Canaries are the devices that the rollout has opened, with their windows of its release; controls
are all others of the same targets, with their windows of any other release. A window counts if it
lies between the beginning of the stage and the end of the look. Before are the last 16 windows of
another release until the first order.

Accuracy is estimated with the table that the release of the window has in its manifest, and slow
inferences are counted above a limit there. A window of a release that no rollout has ordered,
without a table, or with another limit than the new release, does not count for that gate.
"""

from collections.abc import Iterator, Sequence
from functools import partial

from modelwave_controller.evidence.figures import NO_FIGURES, ReleaseFigures
from modelwave_controller.evidence.findings import Findings, Seen, drifts, occasion_of
from modelwave_controller.evidence.quantities import find_edge
from modelwave_controller.judge.devices import Observed, fold, fold_before, freeze
from modelwave_controller.releases import signed_figures
from modelwave_controller.rollout.events import Finding, FrozenBaseline, Looked
from modelwave_controller.rollout.facts import opened_by
from modelwave_controller.rollout.latency_edges import NO_EDGE, Edge
from modelwave_controller.service.due_looks import DueLook
from modelwave_controller.service.look_steps import LookInSteps
from modelwave_controller.storage import devices, gate_windows, outbox, windows
from modelwave_controller.storage.chunks import chunks
from modelwave_controller.storage.gate_windows import windows_of
from modelwave_controller.storage.windows import StoredWindow


class Looking(LookInSteps):
    """A look of a stage in which the release answers."""

    def __init__(self, look: DueLook) -> None:
        super().__init__(look)
        self.plan = look.rollout.created.plan
        self.gates = self.plan.gates_of(look.stage)
        self.frozen = dict(look.rollout.frozen)
        self._names: dict[str, list[str]] = {}  # by target
        self._edges: dict[str, dict[str, Edge]] = {}  # by gate and target
        self._seen: dict[str, Seen] = {}  # by target
        self._figures: dict[tuple[str, int], ReleaseFigures] = {}  # by target and release

    def _all_steps(self) -> Iterator[None]:
        known = devices.known(self._connection, self.look.rollout.model)
        opened = opened_by(self.look.rollout.answering, known)
        for target in sorted(self.look.rollout.created.releases):
            self._names[target] = sorted(known.of([target]))
        yield from self._find_edges()
        for target, names in self._names.items():
            self._seen[target] = Seen(
                [name for name in names if name in opened],
                [name for name in names if name not in opened],
                {gate.text: {} for gate in self.gates},
            )
            for part in self._rows(names):
                for name, rows in part.items():
                    self._take(target, name, rows, name in opened)
                yield

    def _found(self) -> Looked:
        observed = any(one.observed for one in self._seen.values())
        look, old = self.look, self.look.rollout.frozen
        seed = look.rollout.permutation_seed
        occasion = occasion_of(self.plan, look.stage, look.look, look.windows, seed)
        findings: list[Finding] = []
        if observed:
            self._freeze()
            findings = Findings(self.plan, look.stage, occasion, self._seen, self.frozen).all()
        return Looked(
            stage=look.stage,
            look=look.look,
            windows=look.windows,
            observed=observed,
            findings=findings,
            frozen=[one for key, one in sorted(self.frozen.items()) if key not in old],
            drift=drifts(self._seen),
        )

    def _rows(self, names: Sequence[str]) -> Iterator[dict[str, list[StoredWindow]]]:
        """Yields the windows of the devices, some devices at a time, from those before the first
        order on."""
        after = gate_windows.earliest(self.look.first, self.plan.judge.window_seconds)
        model = self.look.rollout.model
        for chunk in chunks(names):
            found = windows.between(self._connection, model, chunk, after, self.look.end)
            yield {name: found.get(name, []) for name in chunk}

    def _before(self, rows: Sequence[StoredWindow]) -> list[StoredWindow]:
        return gate_windows.before(rows, self.look.first, self._release)

    @property
    def _release(self) -> int:
        release = self.look.rollout.release
        return release.release if release else 0

    def _find_edges(self) -> Iterator[None]:
        """Finds the edges of the gates about quantiles. A gate without an edge in some target is
        judged by the mean of the logarithms."""
        wanted = [gate for gate in self.gates if gate.quantile]
        found: dict[str, dict[str, Edge]] = {gate.text: {} for gate in wanted}
        for target, names in self._names.items() if wanted else ():
            devices_bins = []
            if any((gate.text, target) not in self.frozen for gate in wanted):
                for part in self._rows(names):
                    devices_bins += [
                        gate_windows.latencies(self._before(rows)) for rows in part.values()
                    ]
                    yield
            for gate in wanted:
                old = self.frozen.get((gate.text, target))
                new = find_edge(gate, devices_bins)
                found[gate.text][target] = Edge(old.edge, old.margin) if old else new
        self._edges = {text: by for text, by in found.items() if all(e.bin for e in by.values())}

    def _take(self, target: str, name: str, rows: list[StoredWindow], is_canary: bool) -> None:
        seen, figures_of = self._seen[target], partial(self._figures_of, target)
        seen.observed = seen.observed or bool(rows)
        inside = [row for row in rows if row.end > self.look.opened]
        if not inside:
            seen.silent.add(name)
        now = [
            row
            for row in inside
            if row.start >= self.look.opened and (row.release == self._release) == is_canary
        ]
        before = self._before(rows)
        for row in now:
            seen.arms[is_canary].take(gate_windows.measured(row), figures_of(row.release).table)
        for gate in self.gates:
            by_target = self._edges.get(gate.text, {})
            edge = by_target[target].bin if by_target else 0
            seen.sums[gate.text][name] = Observed(
                *fold_before(windows_of(gate, edge, before, figures_of)),
                fold(windows_of(gate, edge, now, figures_of)),
            )

    def _figures_of(self, target: str, release: int) -> ReleaseFigures:
        """Returns what the manifest of a release has for windows to be judged by, beside those of
        the new release."""
        new = self._signed(target, self._release)
        return self._signed(target, release).beside(new)

    def _signed(self, target: str, release: int) -> ReleaseFigures:
        key = (target, release)
        if key not in self._figures:
            known = self.look.releases.get(key)
            envelope = outbox.blob(self._connection, known.envelope) if known else b""
            self._figures[key] = signed_figures.of_envelope(envelope) if known else NO_FIGURES
        return self._figures[key]

    def _freeze(self) -> None:
        for gate in self.gates:
            for target, one in self._seen.items():
                if (gate.text, target) in self.frozen:
                    continue
                found = freeze(list(one.sums[gate.text].values()))
                edge = self._edges.get(gate.text, {}).get(target, NO_EDGE)
                self.frozen[gate.text, target] = FrozenBaseline(
                    gate=gate.text,
                    target=target,
                    theta=found.theta,
                    mean_before=found.mean_before,
                    edge=edge.bin,
                    margin=edge.margin,
                )
