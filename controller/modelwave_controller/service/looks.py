"""Computes the looks of rollouts: reads the windows of canaries and controls, and judges them.

A look is due when its watermark has passed (rollout/course.py). It is read outside of any write
transaction, some devices at a time, so that no tick takes long: 10,000 devices take several
seconds. Then the tick stores it as one event, if nothing about the stage has changed meanwhile.
Nothing is stored before, so a service that is killed computes it anew, and once stored it stands.

Canaries are the devices that the rollout has opened, with their windows of its release; controls
are all others of the same targets, with their windows of any other release. A window counts if it
lies between the beginning of the stage and the end of the look. Before are the last 16 windows of
another release until the first order.
"""

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Connection

from modelwave_controller.judge.compare import Occasion, Pair, Verdict
from modelwave_controller.judge.devices import (
    MAX_BEFORE_WINDOWS,
    NUMBER,
    RATIO,
    SHARE,
    Frozen,
    Observed,
    Quantity,
    Window,
    arm,
    fold,
    fold_before,
    freeze,
)
from modelwave_controller.judge.levels import judge
from modelwave_controller.judge.limit import judge_limit
from modelwave_controller.judge.silence import judge_silence
from modelwave_controller.judge.verdicts import FAIL, INCONCLUSIVE, PASS
from modelwave_controller.rollout import course, planned_gates
from modelwave_controller.rollout.events import Finding, FrozenBaseline, Looked
from modelwave_controller.rollout.facts import population_of
from modelwave_controller.rollout.latency_edges import Edge, find_edge
from modelwave_controller.rollout.planned_gates import PlannedGate
from modelwave_controller.rollout.state import ACTIVE, HELD, NEW, Rollout, State, failed
from modelwave_controller.storage import devices, windows
from modelwave_controller.storage.chunks import chunks
from modelwave_controller.storage.windows import StoredWindow
from modelwave_shared.limits import SLOTS
from modelwave_shared.window_format import BINS

SPAN_SECONDS = 3600  # older windows are put together by the hour


class DueLook(NamedTuple):
    """Look `look` of a stage (both from 0), which was opened at `opened` and lasts until `end`, by
    the rollout clock; `first` is when the first stage was."""

    rollout: Rollout
    stage: int
    look: int
    windows: int
    first: float
    opened: float
    end: float


def due_look(state: State, seconds: float) -> DueLook | None:
    """Returns a look whose watermark has passed at `seconds` of the rollout clock, if there is
    one."""
    for rollout in state.rollouts.values():
        found = _due(rollout, seconds)
        if found is not None and not state.obstacle(rollout.model, rollout.id):
            return found
    return None


def is_still_due(look: DueLook, state: State) -> bool:
    """Returns whether nothing about the stage has changed, in a state that is newer."""
    rollout = state.rollouts.get(look.rollout.id)
    if rollout is None or not _may_look(rollout) or len(rollout.stages) != look.stage + 1:
        return False
    return len(rollout.stages[-1].looks) == look.look


def _may_look(rollout: Rollout) -> bool:
    return rollout.status in ACTIVE and rollout.status != NEW and rollout.revert_asked is None


def _due(rollout: Rollout, seconds: float) -> DueLook | None:
    if not _may_look(rollout) or not rollout.stages or failed(rollout.stages[-1]):
        return None
    plan, number, stage = rollout.created.plan, len(rollout.stages) - 1, rollout.stages[-1]
    done = len(stage.looks)
    after = course.next_look(plan, number, done, held=rollout.status == HELD)
    times, first = course.course_of(plan, stage), rollout.stages[0].soaking_since
    if after is None or times is None or first is None or seconds < times.watermark(after):
        return None
    return DueLook(rollout, number, done, after, first, times.opened, times.end(after))


@dataclass
class _Seen:
    """What was read of one target: by gate, {device: its sums}; the devices without any window in
    the stage; and whether there was a window at all, also before."""

    canaries: list[str]
    controls: list[str]
    sums: dict[str, dict[str, Observed]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    observed: bool = False

    def of(self, gate: PlannedGate, names: Sequence[str]) -> list[Observed]:
        return [self.sums[gate.text][name] for name in names]


class Looking:
    """A look that is under way. It only reads."""

    def __init__(self, look: DueLook) -> None:
        self.look = look
        self.plan = look.rollout.created.plan
        self.gates = self.plan.gates_of(look.stage)
        self.frozen = dict(look.rollout.frozen)
        self._connection: Connection
        self._names: dict[str, list[str]] = {}  # by target
        self._edges: dict[str, dict[str, Edge]] = {}  # by gate and target
        self._seen: dict[str, _Seen] = {}  # by target
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
        known = devices.known(self._connection, self.look.rollout.model)
        opened = set[str]().union(*(population_of(s, known) for s in self.look.rollout.stages))
        for target in sorted(self.look.rollout.created.releases):
            ids = (name for names in known.devices.get(target, {}).values() for name in names)
            self._names[target] = sorted(ids)
        yield from self._find_edges()
        for target, names in self._names.items():
            seen = self._seen[target] = _Seen(
                [name for name in names if name in opened],
                [name for name in names if name not in opened],
                {gate.text: {} for gate in self.gates},
            )
            bins = {text: by[target].bin for text, by in self._edges.items()}
            for part in self._rows(names):
                for name, rows in part.items():
                    self._take(seen, name, rows, name in opened, bins)
                yield

    def _found(self) -> Looked:
        observed = any(one.observed for one in self._seen.values())
        occasion = Occasion(
            course.budget(self.plan, self.look.stage),
            self.look.look,
            self.look.windows,
            course.margins(self.plan, self.look.stage),
            self.look.rollout.id * SLOTS + self.look.rollout.created.start_slot,
        )
        findings: list[Finding] = []
        if observed:
            self._freeze()
            for gate in self.gates:
                findings += self._judged(gate, occasion)
            findings += self._silence(occasion)
        old = self.look.rollout.frozen
        return Looked(
            stage=self.look.stage,
            look=self.look.look,
            windows=self.look.windows,
            observed=observed,
            findings=findings,
            frozen=[one for key, one in sorted(self.frozen.items()) if key not in old],
        )

    def _rows(self, names: Sequence[str]) -> Iterator[dict[str, list[StoredWindow]]]:
        """Yields the windows of the devices, some devices at a time, from those before the first
        order on."""
        length = self.plan.judge.window_seconds
        after = self.look.first - MAX_BEFORE_WINDOWS * length - SPAN_SECONDS
        model = self.look.rollout.model
        for chunk in chunks(names):
            found = windows.between(self._connection, model, chunk, after, self.look.end)
            yield {name: found.get(name, []) for name in chunk}

    def _before(self, rows: Sequence[StoredWindow]) -> list[StoredWindow]:
        return [row for row in rows if row.end <= self.look.first and row.release != self._release][
            -MAX_BEFORE_WINDOWS:
        ]

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
            bins = [0] * BINS
            if any((gate.text, target) not in self.frozen for gate in wanted):
                for part in self._rows(names):
                    self._add_latencies(bins, part)
                    yield
            for gate in wanted:
                old = self.frozen.get((gate.text, target))
                new = find_edge(bins, 1 - gate.quantile, 1 + gate.value)
                found[gate.text][target] = Edge(old.edge, old.margin) if old else new
        self._edges = {text: by for text, by in found.items() if all(e.bin for e in by.values())}

    def _add_latencies(self, bins: list[int], part: dict[str, list[StoredWindow]]) -> None:
        """Adds the latencies before the first order."""
        for rows in part.values():
            for row in self._before(rows):
                for place, count in enumerate(row.measures().latency):
                    bins[place] += count

    def _take(
        self,
        seen: _Seen,
        name: str,
        rows: list[StoredWindow],
        is_canary: bool,
        bins: dict[str, int],
    ) -> None:
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
        for gate in self.gates:
            edge = bins.get(gate.text, 0)
            seen.sums[gate.text][name] = Observed(
                *fold_before(_windows(gate, edge, before)), fold(_windows(gate, edge, now))
            )

    def _freeze(self) -> None:
        for gate in self.gates:
            for target, one in self._seen.items():
                if (gate.text, target) in self.frozen:
                    continue
                found = freeze(list(one.sums[gate.text].values()))
                edge = self._edges.get(gate.text, {}).get(target, Edge(0, 0.0))
                self.frozen[gate.text, target] = FrozenBaseline(
                    gate=gate.text,
                    target=target,
                    theta=found.theta,
                    mean_before=found.mean_before,
                    edge=edge.bin,
                    margin=edge.margin,
                )

    def _judged(self, gate: PlannedGate, occasion: Occasion) -> list[Finding]:
        seen = self._seen
        frozen = {target: self.frozen[gate.text, target] for target in seen}
        quantity = _quantity(gate, list(frozen.values()))
        measured = any(o.now.weight for one in seen.values() for o in one.sums[gate.text].values())
        if not measured and not self._is_named(gate):
            return []
        if gate.kind == planned_gates.LIMIT:
            ours = [o for one in seen.values() for o in one.of(gate, one.canaries)]
            limited = judge_limit(ours, quantity, gate.value, occasion)
            return [
                Finding(
                    gate=gate.text,
                    verdict=limited.word,
                    reason=limited.reason,
                    canaries=limited.devices,
                    controls=0,
                    margin=limited.limit,
                    harm=limited.mean,
                    low=limited.low,
                    high=limited.high,
                    p=limited.t_p,
                )
            ]
        pairs = {
            target: Pair(
                arm(one.of(gate, one.canaries), quantity, _of(frozen[target])),
                arm(one.of(gate, one.controls), quantity, _of(frozen[target])),
            )
            for target, one in seen.items()
        }
        judged = judge(pairs, quantity, occasion)
        whole = judged.whole._replace(word=judged.word, reason=judged.reason)
        parts = [_finding(gate, target, one) for target, one in judged.targets.items()]
        return [_finding(gate, "", whole), *parts]

    def _is_named(self, gate: PlannedGate) -> bool:
        own = self.plan.stages[self.look.stage].gates
        return gate.text in (own or ()) or gate.text in (self.plan.gates or ())

    def _silence(self, occasion: Occasion) -> list[Finding]:
        if not self.plan.stages[self.look.stage].has_controls:
            return []
        canaries, controls = _counted(self._seen, True), _counted(self._seen, False)
        if not canaries[1] or controls[0] == controls[1]:
            return []  # there is nothing to compare with
        found = judge_silence(*canaries, *controls, occasion.budget, self.look.look)
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


def _counted(seen: dict[str, _Seen], canaries: bool) -> tuple[int, int]:
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


def _windows(gate: PlannedGate, edge: int, rows: Sequence[StoredWindow]) -> list[Window]:
    found = (Window(number, *_measured(gate, edge, row)) for number, row in enumerate(rows))
    return [window for window in found if window.weight]


def _measured(gate: PlannedGate, edge: int, row: StoredWindow) -> tuple[float, float]:
    """Returns the weight and the total that a window adds to a gate's quantity."""
    if gate.name == planned_gates.ACCURACY:
        return row.labelled, row.correct
    if gate.name == planned_gates.FAILURES:
        return row.inferences, row.failures
    if gate.name == planned_gates.LATENCY and not edge:
        return row.latency_count, row.latency_log
    if edge:
        latency = row.measures().latency
        return sum(latency), sum(latency[edge:])
    number = row.measures().numbers.get(gate.name)
    if number is None or (gate.kind == planned_gates.RATIO and number.log is None):
        return 0.0, 0.0
    if gate.kind == planned_gates.RATIO:
        return number.count, number.count * (number.log or 0.0)
    return number.count, number.total
