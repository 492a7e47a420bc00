"""Draws a rollout: takes a plain Status and returns something that a Rich console prints.

`rollout watch` draws it repeatedly; `export_svg` of a recording console makes the picture in
the docs.
"""

from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from modelwave_controller.judge.verdicts import FAIL, INCONCLUSIVE, PASS
from modelwave_controller.operations.judged import GateRow
from modelwave_controller.operations.status import StageRow, Status
from modelwave_controller.rollout import state
from modelwave_controller.terminal import print_json, safe, show

_STATUS_STYLES = {
    state.RUNNING: "bold blue",
    state.FINISHED: "bold green",
    state.HELD: "bold yellow",
    state.PAUSED: "bold yellow",
    state.UNKNOWN: "bold yellow",
    state.REVERTING: "bold red",
    state.REVERTED: "bold red",
    state.ABORTED: "bold magenta",
}
_GATE_STYLES = {PASS: "green", FAIL: "bold red", INCONCLUSIVE: "yellow"}


class Column(NamedTuple):
    title: str
    field: str  # of StageRow
    style: str = ""  # if the number is not 0


_COLUMNS = (
    Column("devices", "devices"),
    Column("in progress", "in_progress", "blue"),
    Column("deferred", "deferred", "yellow"),
    Column("succeeded", "succeeded", "green"),
    Column("rolled back", "rolled_back", "bold red"),
    Column("failed", "failed", "yellow"),
    Column("rejected", "rejected", "yellow"),
    Column("canceled", "canceled", "yellow"),
    Column("no answer", "silent"),
)


def rollout(status: Status) -> RenderableType:
    parts: list[RenderableType] = [heading(status), stages(status)]
    newest = [row for row in status.judged if row.stage == max(r.stage for r in status.judged)]
    if newest:
        parts.append(judged(newest))
    if status.next_look:
        parts.append(Text(f"  next look {status.next_look}", "dim"))
    for problem in status.problems:
        reason = safe(problem.reason) or "no reason given"
        reason += f"; {problem.then}" if problem.then else ""
        parts.append(Text.from_markup(f"  {safe(problem.device)} {problem.outcome}: {reason}"))
    if status.more_problems:
        parts.append(Text(f"  and {status.more_problems} more; {safe(status.find_others)}"))
    return Group(*parts)


def show_heading(status: Status, as_json: bool) -> None:
    """Prints the heading, or JSON, after a command that changed a rollout."""
    if as_json:
        print_json(status.json())
    else:
        show(heading(status))


def heading(status: Status) -> RenderableType:
    """Returns the status word, its reason, what happens next, and the warnings."""
    style = _STATUS_STYLES.get(status.status, "bold")
    what = f"rollout {status.rollout}: {safe(status.model) or 'of an unknown model'}"
    if status.targets:
        what += (
            f" release {status.release} ({safe(status.version)}) "
            f"for {safe(', '.join(status.targets))}"
        )
    lines = [
        f"[{style}]{status.status}[/]  {what}",
        f"  why   {safe(status.why)}",
        f"  next  {safe(status.next)}",
        *(f"  [yellow]but   {safe(warning)}[/]" for warning in status.warnings),
    ]
    return Text.from_markup("\n".join(lines))


def stages(status: Status) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("stage")
    columns = shown_columns(status.rows)
    for column in columns:
        table.add_column(column.title, justify="right")
    table.add_column("gate")
    for row in status.rows:
        cells = [_cell(getattr(row, field), style) for _, field, style in columns]
        gate = Text(row.gate or "–", _GATE_STYLES.get(row.gate, "dim"))
        gate.append(", promoted" if row.promoted else "", "yellow")
        table.add_row(row.name, *cells, gate)
    return table


def shown_columns(rows: Sequence[StageRow]) -> list[Column]:
    """Returns the columns of the stages; those that are rare are left out if all are 0."""
    return [
        column
        for column in _COLUMNS
        if column.field not in ("canceled", "deferred")
        or any(getattr(row, column.field) for row in rows)
    ]


def judged(rows: list[GateRow]) -> Table:
    """Returns what the looks of a stage found, a row for each gate and target."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in (f"judged in stage {rows[0].stage}, look {rows[0].look}", "harm", "margin"):
        table.add_column(title)
    for title in ("canaries", "controls"):
        table.add_column(title, justify="right")
    table.add_column("verdict")
    for row in rows:
        name = f"  in {safe(row.target)}" if row.target else safe(row.gate)
        word = Text(row.verdict, _GATE_STYLES.get(row.verdict, "dim"))
        word.append(f"; {row.needs}" if row.needs else "", "dim")
        table.add_row(
            Text.from_markup(name),
            _interval(row),
            "–" if row.margin is None else f"{row.margin:.3g}",
            str(row.canaries),
            str(row.controls),
            word,
        )
    return table


def _interval(row: GateRow) -> str:
    if row.harm is None or row.low is None or row.high is None:
        return "–"
    return f"{row.harm:.3g} ({row.low:.3g} to {row.high:.3g})"


def _cell(number: int, style: str) -> Text:
    return Text(str(number), style if number else "dim")
