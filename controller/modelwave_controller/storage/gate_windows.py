"""Takes what a gate judges out of stored windows."""

from collections.abc import Sequence

from modelwave_controller.evidence.arms import ArmWindow
from modelwave_controller.evidence.figures import FiguresOf
from modelwave_controller.judge import estimated
from modelwave_controller.judge.devices import MAX_BEFORE_WINDOWS, Window
from modelwave_controller.rollout import planned_gates
from modelwave_controller.rollout.latency_edges import share_above
from modelwave_controller.rollout.planned_gates import PlannedGate
from modelwave_controller.storage.windows import StoredWindow
from modelwave_shared.window_format import BINS

SPAN_SECONDS = 3600  # older windows are put together by the hour


def earliest(first: float, window_seconds: float) -> float:
    """Returns after which moment the windows ended that count as before the moment `first`, in
    seconds of the rollout clock."""
    return first - MAX_BEFORE_WINDOWS * window_seconds - SPAN_SECONDS


def before(rows: Sequence[StoredWindow], first: float, release: int) -> list[StoredWindow]:
    """Returns those of a device's windows that are what it did before the moment `first`: the last
    ones of another release than `release`. `rows` are in the order of time."""
    found = [row for row in rows if row.end <= first and row.release != release]
    return found[-MAX_BEFORE_WINDOWS:]


def latencies(rows: Sequence[StoredWindow]) -> list[int]:
    """Returns the inferences in a device's windows, by bin of latency."""
    bins = [0] * BINS
    for row in rows:
        for place, count in enumerate(row.measures().latency):
            bins[place] += count
    return bins


def measured(row: StoredWindow) -> ArmWindow:
    """Returns what a window adds to an arm beyond the gates' quantities."""
    found = row.measures()
    return ArmWindow(found.classes, found.classes_rest, found.confidence)


def windows_of(
    gate: PlannedGate, edge: int, rows: Sequence[StoredWindow], figures_of: FiguresOf
) -> list[Window]:
    """Returns what the rows add to the gate's quantity; those that add nothing are left out."""
    found = (
        Window(number, *_measured(gate, edge, row, figures_of)) for number, row in enumerate(rows)
    )
    return [window for window in found if window.weight]


def _measured(
    gate: PlannedGate, edge: int, row: StoredWindow, figures_of: FiguresOf
) -> tuple[float, float]:
    """Returns the weight and the total that a window adds to a gate's quantity."""
    if gate.name == planned_gates.ESTIMATED:
        return _estimated(row, figures_of)
    if gate.name == planned_gates.OVER:
        return _over(row, figures_of)
    if gate.name == planned_gates.ACCURACY:
        return row.labelled, row.correct
    if gate.name == planned_gates.FAILURES:
        return row.inferences, row.failures
    if gate.name == planned_gates.AGREEMENT:
        measured = row.measures()
        return measured.compared, measured.agreed
    if gate.quantile and gate.kind == planned_gates.LIMIT:
        latency = row.latency()
        return sum(latency), share_above(latency, gate.value)
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


def _estimated(row: StoredWindow, figures_of: FiguresOf) -> tuple[float, float]:
    """Without confidences, or a table of the release that the device ran, it does not count."""
    table = figures_of(row.release).table
    confidences = row.measures().confidence if table is not None else []
    if not confidences or table is None:
        return 0.0, 0.0
    found = estimated.window(0, confidences, table)
    return found.weight, found.total


def _over(row: StoredWindow, figures_of: FiguresOf) -> tuple[float, float]:
    """A window of a release without the limit does not count."""
    if not figures_of(row.release).limit_us:
        return 0.0, 0.0
    over, compared = row.measures().over
    return compared, over
