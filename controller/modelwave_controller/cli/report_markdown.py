"""Draws a rollout's report as Markdown (GitHub's tables), for an issue or a folder of records.

Every text is escaped: nothing from outside is a link, HTML, a mention, or an edge of a table.
"""

import re

from modelwave_controller.cli.report_cells import (
    Cell,
    Interval,
    Moment,
    Part,
    Series,
    Shares,
    Word,
)
from modelwave_controller.cli.report_parts import facts_of, parts_of, title_of
from modelwave_controller.drawing import intervals, sparkline
from modelwave_controller.drawing.markup import COMMAND, bounded
from modelwave_controller.results.report import RolloutReport

# Each is written as a numeric reference: programs that draw Markdown differ in what a backslash
# does. The last two are of addresses, which some programs make links of.
_SPECIAL = re.compile(r"[\\`*_{}\[\]<>#|~&$@]|(?<=\w):(?=//)|(?<=www)\.", re.IGNORECASE)


def page(report: RolloutReport, utc: bool) -> str:
    """Returns the page; `utc`: times are in UTC, otherwise local ones with their offset."""
    lines = [f"# {escaped(title_of(report))} {escaped(report.status.status)}", ""]
    lines += [f"- **{name}** {_words(text)}" for name, text in facts_of(report, utc)]
    for part in parts_of(report, utc):
        lines += ["", f"## {escaped(part.title)}", ""]
        lines += [_words(part.lead), ""] if part.lead else []
        lines += _table(part)
        for note in part.notes:
            lines += ["", _words(note)]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Returns a text of which nothing is Markdown or HTML."""
    return _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", bounded(text))


def _words(text: str) -> str:
    """Returns a text with its commands as code."""
    parts = COMMAND.split(bounded(text))
    return "".join(f"`{one}`" if place % 2 else escaped(one) for place, one in enumerate(parts))


def _table(part: Part) -> list[str]:
    if not part.rows:
        return [escaped(part.empty)]
    return [
        _row([escaped(heading.title) for heading in part.headings]),
        _row(["---:" if heading.is_number else "---" for heading in part.headings]),
        *(_row([_cell(one) for one in row]) for row in part.rows),
    ]


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    match cell:
        case Word() | Moment() | Shares():
            return escaped(cell.text)
        case Series():
            line = sparkline.blocks(cell.values, cell.least, cell.most)
            return f"{escaped(cell.text)} {line}"
        case Interval():
            return f"{escaped(cell.text)} `{intervals.text(cell.estimate, cell.scale)}`"
    return _words(cell)
