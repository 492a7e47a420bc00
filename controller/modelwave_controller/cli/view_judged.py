"""Draws what the looks of a stage found, and what its devices measured by window, in a terminal."""

from collections.abc import Iterable, Sequence

from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from modelwave_controller.drawing import sparkline
from modelwave_controller.judge.verdicts import FAIL, HOLD, INCONCLUSIVE, PASS
from modelwave_controller.operations.worst import worst_targets
from modelwave_controller.phrases import plural
from modelwave_controller.results.rollouts import GateRow, Series, SeriesPoint
from modelwave_controller.terminal import plain

VERDICT_STYLES = {PASS: "green", FAIL: "bold red", HOLD: "bold yellow", INCONCLUSIVE: "yellow"}
LEAST_WINDOWS = 4  # that are drawn, however narrow the terminal is
_WIDE = 1000  # columns: wider than any table
MAX_TARGETS = 5  # of a gate: the worst; the others are counted


class Fitting:
    """The first of the tables that is not too wide for the terminal, or else the same as lines."""

    def __init__(self, tables: Sequence[Table], lines: Sequence[Text]) -> None:
        self.tables = tables
        self.lines = lines

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterable[RenderableType]:
        for table in self.tables:
            if table.__rich_measure__(console, options.update(max_width=_WIDE)).maximum <= (
                options.max_width
            ):
                yield table
                return
        for line in self.lines:
            yield from line.wrap(console, options.max_width)


def looked(rows: Sequence[GateRow]) -> Fitting:
    """Returns what the looks of one stage found, a row for each gate and its worst targets."""
    title = f"judged in stage {rows[0].stage}, look {rows[0].look}"
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in (title, "estimate", "margin"):
        table.add_column(heading)
    for heading in ("canaries", "controls"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    lines = [Text(title, "bold")]
    for whole in (row for row in rows if not row.target):
        shown, more = worst_targets(rows, whole.gate, MAX_TARGETS)
        for row in (whole, *shown):
            _add(table, row)
            lines.append(_line(row))
        if more:
            left = Text(f"  and {plural(more, 'target')} more, no worse; --json has all", "dim")
            table.add_row(left)
            lines.append(left)
    return Fitting([table], lines)


def _name(row: GateRow) -> str:
    return plain(f"  in {row.target}" if row.target else row.gate)


def _word(row: GateRow) -> Text:
    word = Text(row.verdict, VERDICT_STYLES.get(row.verdict, "dim"))
    return word.append(f"; {plain(row.needs)}" if row.needs else "", "dim")


def _line(row: GateRow) -> Text:
    found = f"estimate {_interval(row)}, " if row.harm is not None else ""
    found += f"margin {row.margin:.3g}, " if row.margin is not None else ""
    canaries = "1 canary" if row.canaries == 1 else f"{row.canaries} canaries"
    counts = f"{canaries}, {plural(row.controls, 'control')}"
    return Text(f"{_name(row)}: ").append_text(_word(row)).append(f"; {found}{counts}", "dim")


def _add(table: Table, row: GateRow) -> None:
    table.add_row(
        Text(_name(row)),
        _interval(row),
        "–" if row.margin is None else f"{row.margin:.3g}",
        str(row.canaries),
        str(row.controls),
        _word(row),
    )


def _interval(row: GateRow) -> str:
    """Returns the estimate, with its interval where the devices are enough for one."""
    if row.harm is None:
        return "–"
    if row.low is None or row.high is None:
        return f"{row.harm:.3g}"
    return f"{row.harm:.3g} ({row.low:.3g} to {row.high:.3g})"


class ByWindow:
    """What canaries and controls measured in each window, a line each under the gate, on one
    scale; the newest mean, the least and the greatest are text beside it."""

    def __init__(self, stage: int, series: Series, of_all: bool) -> None:
        self.stage = stage
        self.series = series
        self.of_all = of_all

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[Text]:
        windows = [point.window for points in self.series.values() for point in points]
        title = f"by window: {min(windows)} to {max(windows)} of stage {self.stage}"
        title += "" if self.of_all else ", of some devices"
        yield Text(title, "bold")
        for gate, points in self.series.items():
            yield from Text(plain(gate)).wrap(console, options.max_width)
            yield from _lines(points, console, options)


def _lines(
    points: Sequence[SeriesPoint], console: Console, options: ConsoleOptions
) -> Iterable[Text]:
    sides = (
        ("canaries", [p.canaries for p in points], points[-1].canary_devices),
        ("controls", [p.controls for p in points], points[-1].devices - points[-1].canary_devices),
    )
    known = [value for _, values, _ in sides for value in values if value is not None]
    for name, values, devices in sides:
        mine = [value for value in values if value is not None]
        if not mine:
            continue
        newest = "–" if values[-1] is None else f"{values[-1]:.4g}"
        told = f" {newest}, {plural(devices, 'device')}"
        room = options.max_width - len(f"  {name} {told}")
        draw = sparkline.digits if options.ascii_only else sparkline.blocks
        drawn = draw(values[-max(LEAST_WINDOWS, room) :], min(known), max(known))
        line = Text(f"  {name} ").append(drawn, "blue" if name == "canaries" else "").append(told)
        between = f", {min(mine):.4g} to {max(mine):.4g}"
        if len(line) + len(between) <= options.max_width:
            line.append(between, "dim")
        yield from line.wrap(console, options.max_width)
