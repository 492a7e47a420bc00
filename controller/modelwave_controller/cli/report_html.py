"""Draws a rollout's report as one HTML page: no scripts, and nothing from outside the file. Its
style is report.css, which is written into it."""

from importlib.resources import files

from modelwave_controller.cli import gate_plot
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
from modelwave_controller.drawing import bars, intervals, sparkline
from modelwave_controller.drawing.markup import Markup, element, html, joined, words
from modelwave_controller.results.report import RolloutReport

# Besides that nothing in the page asks for it, a browser may load and run nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(report: RolloutReport, utc: bool) -> str:
    """Returns the page; `utc`: times are in UTC, otherwise local ones with their offset."""
    style = Markup((files(__package__) / "report.css").read_text())
    title = title_of(report)
    head = joined(
        Markup('<meta charset="utf-8">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", f"{title} {report.status.status}"),
        element("style", style),
    )
    body = element("main", _header(report, title, utc), *map(_section, parts_of(report, utc)))
    document = element("html", element("head", head), element("body", body), lang="en")
    return f"<!doctype html>\n{document}\n"


def _header(report: RolloutReport, title: str, utc: bool) -> Markup:
    facts = [
        joined(element("dt", name), element("dd", words(text), class_=name))
        for name, text in facts_of(report, utc)
    ]
    heading = element("h1", title, Markup(" "), _word(report.status.status))
    return element("header", heading, element("dl", *facts))


def _section(part: Part) -> Markup:
    notes = [element("p", words(note), class_="note") for note in part.notes]
    contents = _table(part) if part.rows else element("p", part.empty)
    plot = gate_plot.svg(part.course) if part.course else Markup("")
    drawn = element("div", plot, class_="wide") if plot else plot
    lead = element("p", words(part.lead)) if part.lead else Markup("")
    return element(
        "section", element("h2", part.title), lead, drawn, contents, *notes, id=part.name
    )


def _table(part: Part) -> Markup:
    kinds = ["number" if heading.is_number else None for heading in part.headings]
    head = [
        element("th", heading.title, class_=kind, scope="col")
        for heading, kind in zip(part.headings, kinds, strict=True)
    ]
    rows = [
        element(
            "tr",
            *(
                element("td", _cell(one), class_="number zero" if one == "0" else kind)
                for one, kind in zip(row, kinds, strict=True)
            ),
        )
        for row in part.rows
    ]
    table = element(
        "table", element("thead", element("tr", *head)), element("tbody", *rows, Markup("\n"))
    )
    return element("div", table, class_="wide")


def _cell(cell: Cell) -> Markup:
    match cell:
        case Word():
            return _word(cell.text)
        case Moment():
            date, _, time = cell.text.partition(" ")
            return joined(element("span", date), " ", element("span", time)) if time else html(date)
        case Shares():
            return joined(element("span", cell.text), bars.svg(cell.parts))
        case Series():
            line = sparkline.svg(cell.values, cell.least, cell.most, cell.told)
            return joined(element("span", cell.text), line)
        case Interval():
            mark = intervals.mark(cell.verdict)
            drawn = intervals.svg(cell.estimate, cell.scale, mark, f"{cell.verdict}: {cell.text}")
            return joined(element("span", cell.text), drawn)
    return words(cell)


def _word(text: str) -> Markup:
    return element("span", text, class_=f"word {bars.class_of(text)}")
