"""Takes what a gate judges out of stored windows."""

from collections.abc import Sequence

from modelwave_controller.judge.devices import Window
from modelwave_controller.rollout import planned_gates
from modelwave_controller.rollout.planned_gates import PlannedGate
from modelwave_controller.storage.windows import StoredWindow


def windows_of(gate: PlannedGate, edge: int, rows: Sequence[StoredWindow]) -> list[Window]:
    """Returns what the rows add to the gate's quantity; those that add nothing are left out."""
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
