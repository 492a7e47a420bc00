"""Says what the stages of a rollout will see, from the windows that its devices sent before.

What devices differ by is estimated from some of each target: to read the windows
of 10,000 would take seconds, and say the same.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import Connection

from modelwave_controller.evidence.figures import ReleaseFigures
from modelwave_controller.evidence.quantities import find_edge
from modelwave_controller.evidence.sight import Arms, Before, compared_gates, sight
from modelwave_controller.judge.devices import fold_before
from modelwave_controller.results.starts import PlannedDevice, Sight
from modelwave_controller.rollout.events import Created
from modelwave_controller.rollout.latency_edges import NO_EDGE, Edge
from modelwave_controller.rollout.planned_gates import PlannedGate
from modelwave_controller.storage import clock, gate_windows, windows
from modelwave_controller.storage.gate_windows import windows_of
from modelwave_controller.storage.windows import StoredWindow

MAX_SAMPLED = 1000  # devices of all targets
LEAST_SAMPLED = 50  # of each target

# Which limit it is does not matter here: a plan whose gate needs one has been refused unless it is
# that of both releases (judgeable.py).
LIMITED = ReleaseFigures(limit_us=1)

Rows = Mapping[str, Sequence[StoredWindow]]  # by device


def sights(
    connection: Connection, created: Created, places: Sequence[PlannedDevice]
) -> list[Sight]:
    """Returns what each stage sees by each of its gates about a baseline. `places` are those of
    preview.preview."""
    gates = compared_gates(created.plan)
    if not gates or not places:
        return []
    rows = dict(_sampled(connection, created, places))
    before = {gate: _before(gate, rows) for gate in {gate for _, gate in gates}}
    return [
        sight(created.plan, number, gate, before[gate], _arms(places, number))
        for number, gate in gates
    ]


def _sampled(
    connection: Connection, created: Created, places: Sequence[PlannedDevice]
) -> Iterator[tuple[str, Rows]]:
    """Yields the windows of each target's devices that would count as before, if it started now."""
    names: dict[str, list[str]] = defaultdict(list)
    for place in places:
        names[place.target].append(place.device)
    most = max(LEAST_SAMPLED, MAX_SAMPLED // len(names))
    now = clock.stored(connection).seconds
    after = gate_windows.earliest(now, created.plan.judge.window_seconds)
    for target, every in sorted(names.items()):
        chosen = every[:: -(-len(every) // most)]
        found = windows.between(connection, created.model, chosen, after, now)
        release = created.releases[target].release
        yield (
            target,
            {name: gate_windows.before(found.get(name, ()), now, release) for name in chosen},
        )


def _before(gate: PlannedGate, rows: Mapping[str, Rows]) -> dict[str, Before]:
    edges = {target: _edge(gate, of) for target, of in rows.items()}
    if not all(edge.bin for edge in edges.values()):  # then by the mean of the logarithms
        edges = dict.fromkeys(rows, NO_EDGE)
    return {target: _measured(gate, edges[target], of) for target, of in rows.items()}


def _edge(gate: PlannedGate, rows: Rows) -> Edge:
    if not gate.quantile:
        return NO_EDGE
    return find_edge(gate, [gate_windows.latencies(one) for one in rows.values()])


def _measured(gate: PlannedGate, edge: Edge, rows: Rows) -> Before:
    halves, rates = [], []
    for one in rows.values():
        if found := windows_of(gate, edge.bin, one, lambda _: LIMITED):
            halves.append(fold_before(found))
            seconds = one[-1].end - min(row.start for row in one)
            rates.append(sum(window.weight for window in found) / max(seconds, 1.0))
    rate = sum(rates) / len(rates) if rates else 0.0
    return Before(halves, len(halves) / len(rows), rate, edge)


def _arms(places: Sequence[PlannedDevice], stage: int) -> dict[str, Arms]:
    """Returns the arms of each target in a stage. A device that would reject the release is in
    neither: it is opened, and goes on with the old one."""
    found = {place.target: Arms(0, 0) for place in places}
    for place in places:
        canaries, controls = found[place.target]
        if place.stage > stage:
            found[place.target] = Arms(canaries, controls + 1)
        elif not place.shortfalls:
            found[place.target] = Arms(canaries + 1, controls)
    return found
