"""Draws a rollout: takes a plain Status and returns something that a Rich console prints.

`rollout watch` draws it repeatedly; `export_svg` of a recording console makes the picture in
the docs.
"""

from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from modelwave_controller.cli import drift_words
from modelwave_controller.cli.view_judged import VERDICT_STYLES, ByWindow, Fitting, looked
from modelwave_controller.phrases import plural
from modelwave_controller.results.rollouts import StageRow, Status
from modelwave_controller.rollout import statuses
from modelwave_controller.terminal import print_json, safe, show

_STATUS_STYLES = {
    statuses.RUNNING: "bold blue",
    statuses.FINISHED: "bold green",
    statuses.HELD: "bold yellow",
    statuses.PAUSED: "bold yellow",
    statuses.UNKNOWN: "bold yellow",
    statuses.REVERTING: "bold red",
    statuses.REVERTED: "bold red",
    statuses.ABORTED: "bold magenta",
}


class Column(NamedTuple):
    title: str
    field: str  # of StageRow
    style: str = ""  # if the number is not 0


_COLUMNS = (
    Column("devices", "devices"),
    Column("in progress", "in_progress", "blue"),
    Column("deferred", "deferred", "yellow"),
    Column("shadowed", "shadowed", "green"),
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
        parts.append(looked(newest))
    if status.series:
        parts.append(ByWindow(status.series_stage, status.series, status.series_of_all))
    newest_drift = [row for row in status.drift if row.stage == status.drift[-1].stage]
    parts += [Text(f"  {safe(line)}", "dim") for line in map(drift_words.line, newest_drift)]
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
        *_saved(status),
        *(f"  [yellow]but   {safe(warning)}[/]" for warning in status.warnings),
    ]
    return Text.from_markup("\n".join(lines))


def _saved(status: Status) -> list[str]:
    saved = status.saved
    if not saved.devices:
        return []
    return [f"  saved {saved.bytes:,} bytes, by deltas to {plural(saved.devices, 'device')}"]


def stages(status: Status) -> Fitting:
    columns = shown_columns(status.rows)
    tables = [_stages(status.rows, columns, between) for between in (" ", "\n")]
    return Fitting(tables, [_line(row, columns) for row in status.rows])


def _stages(rows: Sequence[StageRow], columns: Sequence[Column], between: str) -> Table:
    """Returns the table; `between`: what is between the words of its headings."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("stage")
    for column in columns:
        table.add_column(column.title.replace(" ", between), justify="right")
    table.add_column("gate")
    for row in rows:
        cells = [_cell(getattr(row, field), style) for _, field, style in columns]
        table.add_row(row.name, *cells, _gate(row))
    return table


def _gate(row: StageRow) -> Text:
    gate = Text(row.gate or "–", VERDICT_STYLES.get(row.gate, "dim"))
    return gate.append(", promoted" if row.promoted else "", "yellow")


def _line(row: StageRow, columns: Sequence[Column]) -> Text:
    """Returns the row without the counts that are 0."""
    counts = [(column, getattr(row, column.field)) for column in columns]
    told = [Text(f", {count} {column.title}", column.style) for column, count in counts if count]
    return Text(f"{row.name}: ").append_text(_gate(row)).append_text(Text("").join(told))


def shown_columns(rows: Sequence[StageRow]) -> list[Column]:
    """Returns the columns of the stages; those that are rare are left out if all are 0."""
    return [
        column
        for column in _COLUMNS
        if column.field not in ("canceled", "deferred", "shadowed")
        or any(getattr(row, column.field) for row in rows)
    ]


def _cell(number: int, style: str) -> Text:
    return Text(str(number), style if number else "dim")
