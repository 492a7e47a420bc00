"""What a gate of a plan judges, and on which scale."""

from collections.abc import Sequence

from modelwave_controller.judge.devices import NUMBER, RATIO, SHARE, Quantity
from modelwave_controller.judge.estimated import estimated_accuracy
from modelwave_controller.rollout import latency_edges, planned_gates
from modelwave_controller.rollout.latency_edges import Edge
from modelwave_controller.rollout.planned_gates import PlannedGate


def find_edge(gate: PlannedGate, devices: Sequence[Sequence[int]]) -> Edge:
    """Returns the edge that stands for the quantile of a gate, from each device's inferences by
    bin."""
    return latency_edges.find_edge(devices, 1 - gate.quantile, 1 + gate.value)


def quantity_of(gate: PlannedGate, edges: Sequence[Edge]) -> Quantity:
    """Returns what is judged. A quantile is the share of inferences above an edge, with the
    smallest margin of all targets, or, without an edge in each, the mean of the logarithms."""
    if gate.name == planned_gates.ESTIMATED:
        return estimated_accuracy(gate.value)
    if gate.quantile > 0 and all(edge.bin for edge in edges):
        return Quantity(gate.name, SHARE, False, min(edge.margin for edge in edges))
    if gate.kind == planned_gates.RATIO:
        return Quantity(gate.name, RATIO, gate.higher_is_better, gate.value)
    scale = SHARE if gate.is_share else NUMBER
    return Quantity(gate.name, scale, gate.higher_is_better, gate.value)
