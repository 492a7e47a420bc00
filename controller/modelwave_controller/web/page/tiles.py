"""What a rollout's page draws: its ladder of stages, and a tile for each gate of the newest one.
Pure."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from modelwave_controller.drawing import bars, intervals, sparkline
from modelwave_controller.drawing.intervals import Estimate
from modelwave_controller.drawing.markup import Markup
from modelwave_controller.operations.worst import worst_targets
from modelwave_controller.phrases import plural
from modelwave_controller.results.rollouts import GateRow, SeriesPoint, StageRow, Status

MAX_TARGETS = 5  # of a gate: the worst; the others are counted
NONE = "–"
NOT_OPENED = "not opened"

# The counts of a stage as they are named; a count of 0 is left out.
_COUNTS = (
    ("succeeded", "succeeded"),
    ("shadowed", "shadowed"),
    ("in progress", "in_progress"),
    ("deferred", "deferred"),
    ("rolled back", "rolled_back"),
    ("failed", "failed"),
    ("rejected", "rejected"),
    ("canceled", "canceled"),
    ("no answer", "silent"),
)


class Rung(NamedTuple):
    """A stage of the ladder, or the way back. `word`: what its gate says; without one how far it
    has come."""

    row: StageRow
    word: str
    newest: bool
    bar: Markup
    counts: list[tuple[str, int]]


class Target(NamedTuple):
    name: str
    row: GateRow
    told: str
    drawn: Markup


class Side(NamedTuple):
    """What canaries or controls measured, by window."""

    name: str
    newest: str
    devices: str
    drawn: Markup


class Tile(NamedTuple):
    """`row` None: no look has judged the gate in this stage yet."""

    gate: str
    row: GateRow | None
    drawn: Markup
    targets: list[Target]
    more_targets: int
    sides: list[Side]


def ladder(status: Status) -> list[Rung]:
    opened = [bool(row.devices or row.gate or row.reason) for row in status.rows]
    newest = max((n for n, is_open in enumerate(opened) if is_open), default=-1)
    word = "over" if status.final else "open"
    return [
        _rung(row, word if opened[number] else NOT_OPENED, number == newest and not status.final)
        for number, row in enumerate(status.rows)
    ]


def _rung(row: StageRow, word: str, newest: bool) -> Rung:
    counts = [(words, int(getattr(row, field))) for words, field in _COUNTS]
    counts = [(words, number) for words, number in counts if number]
    return Rung(row, row.gate or word, newest, bars.svg(counts), counts)


def tiles(status: Status) -> list[Tile]:
    """Returns the gates of the newest stage that was judged, or that is measured now."""
    stage = max([status.series_stage, *(row.stage for row in status.judged)])
    rows = [row for row in status.judged if row.stage == stage]
    gates = dict.fromkeys([*status.series, *(row.gate for row in rows)])
    return [_tile(gate, rows, status.series.get(gate, [])) for gate in gates]


def _tile(gate: str, rows: Sequence[GateRow], points: Sequence[SeriesPoint]) -> Tile:
    whole = next((row for row in rows if row.gate == gate and not row.target), None)
    shown, more = worst_targets(rows, gate, MAX_TARGETS)
    scale = [_estimate(row) for row in (whole, *shown) if row is not None]
    return Tile(
        gate,
        whole,
        _drawn(whole, scale) if whole else Markup(""),
        [Target(row.target, row, _told(row), _drawn(row, scale)) for row in shown],
        more,
        list(_sides(points)),
    )


def _drawn(row: GateRow, all_of_them: Sequence[Estimate]) -> Markup:
    scale = intervals.scale_of(all_of_them, with_zero=True)
    words = f"{row.verdict}: {_told(row)}, margin {number(row.margin)}"
    return intervals.svg(_estimate(row), scale, intervals.mark(row.verdict), words)


def _estimate(row: GateRow) -> Estimate:
    return Estimate(row.harm, row.low, row.high, row.margin)


def _told(row: GateRow) -> str:
    if row.harm is None:
        return NONE
    if row.low is None or row.high is None:
        return number(row.harm)
    return f"{number(row.harm)} ({number(row.low)} to {number(row.high)})"


def number(value: float | None) -> str:
    return NONE if value is None else f"{value:.3g}".replace("-", "−")


def _sides(points: Sequence[SeriesPoint]) -> Iterator[Side]:
    if not points:
        return
    last = points[-1]
    sides = (
        ("canaries", [p.canaries for p in points], last.canary_devices),
        ("controls", [p.controls for p in points], last.devices - last.canary_devices),
    )
    known = [value for _, values, _ in sides for value in values if value is not None]
    for name, values, devices in sides:
        mine = [value for value in values if value is not None]
        if mine:
            told = f"{name} by window: {min(mine):.4g} to {max(mine):.4g}"
            drawn = sparkline.svg(values, min(known), max(known), told)
            newest = NONE if values[-1] is None else f"{values[-1]:.4g}"
            yield Side(name, newest, plural(devices, "device"), drawn)
