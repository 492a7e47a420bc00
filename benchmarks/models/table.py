"""Writes what became of the models: docs/models.json for programs, docs/models.md for people."""

import dataclasses
import json
import statistics
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.models.columns import YES, Row
from benchmarks.models.corpus import ROOT

FACTS = ROOT / "docs/models.json"
PAGE = ROOT / "docs/models.md"
HEAD = """\
# Public models

What becomes of {count} models that packages on PyPI carry: {packages}.
`make models` fetches them with pip, each wheel and each model pinned by its sha256
([models.toml](../benchmarks/models/models.toml)), tries them, and writes this page. No code of a
package runs, and none of the files is part of this repository: they are kept in `.models/`, or the
folder `$MODELWAVE_MODELS`. `make models PYTHONS=/path/to/python3.12` adds an interpreter with
other runtimes.

The columns say yes if

- loads: the runtime alone loads and runs the model ([bare.py](../benchmarks/models/bare.py));
- fits: `modelwave model inspect --target linux-cpu` says so; of an ONNX model it says which runtime
  it needs, and `release create`, which runs it, finds out its RAM;
- golden: `modelwave golden make` makes a golden set of random inputs, and proposes a tolerance;
- released: `modelwave release create` proves the model with that set, and signs the release;
- served: a device with that Python gets the release in a rollout, proves and confirms it, and its
  program runs the inputs through the agent; the outputs are those of the runtime alone.
"""
RAM = """
## RAM

What each released model asks for, beside what the runtime alone takes more at its peak with it, in
a process that has run the smallest model of the format before. The process loads the model and runs
5 of the inputs that are served, once with the threads that the runtime takes by itself, once with 1
and once with 8; the greatest figure counts, in millions of bytes. The program that measures it
([bare.py](../benchmarks/models/bare.py)) shares no code with the one that `release create` runs.
The margin that `release create` adds was chosen by public TFLite models, some of them in this
table, and for ONNX by those of this table ([fit.md](fit.md#hosts)).
"""
REFUSED = """
## What is refused, and why
"""


@dataclass
class Table:
    """`runtimes` of each interpreter by its name, and the rows."""

    runtimes: dict[str, list[str]]
    rows: list[Row]

    @property
    def wrong(self) -> list[str]:
        """The models that are said to fit, and load nowhere."""
        return [row.name for row in self.rows if row.is_wrong]


def write(table: Table, facts: Path = FACTS, page: Path = PAGE) -> None:
    facts.write_text(json.dumps(dataclasses.asdict(table), indent=1) + "\n")
    page.write_text(text(table))


def read(facts: Path = FACTS) -> Table:
    found = json.loads(facts.read_text())
    return Table(found["runtimes"], [Row(**row) for row in found["rows"]])


def merged(old: Table, new: Table) -> Table:
    """Returns the old table with the rows of the new one in their places. Raises ValueError if they
    are of other interpreters or runtimes."""
    if old.runtimes != new.runtimes:
        raise ValueError(f"the page has {old.runtimes}: try all models on {new.runtimes}")
    rows = {row.name: row for row in new.rows}
    return Table(old.runtimes, [rows.get(row.name, row) for row in old.rows])


def text(table: Table) -> str:
    """Returns the page."""
    packages = ", ".join(sorted({row.package.partition("==")[0] for row in table.rows}))
    lines = [HEAD.format(count=len(table.rows), packages=packages), *_totals(table), ""]
    all_answers = [answers(row) for row in table.rows]
    columns = [one for one in all_answers[0] if any(found[one] for found in all_answers)]
    heads = ["model", "what it does", *columns]
    lines += [_line(heads), _line(["---"] * len(heads))]
    for row, found in zip(table.rows, all_answers, strict=True):
        shown = [_short(found[column]) for column in columns]
        lines.append(_line([f"`{row.name}`", row.what, *shown]))
    lines += [REFUSED, *_refusals(table.rows)]
    if any(row.needs for row in table.rows):
        lines += [RAM, *_ram(table)]
    return "\n".join(lines) + "\n"


def answers(row: Row) -> dict[str, str]:
    """Returns the answer of each column."""
    loads = {f"loads, {python}": answer for python, answer in row.loads.items()}
    served = {f"served, {python}": row.served.get(python, "") for python in row.loads}
    return {**loads, "fits": row.fits, "golden": row.golden, "released": row.released, **served}


def _totals(table: Table) -> list[str]:
    """Returns how many models have a yes in each column, and what ran them."""
    counts = Counter(
        column for row in table.rows for column, answer in answers(row).items() if answer == YES
    )
    lines = [f"{name} has {', '.join(found)}." for name, found in table.runtimes.items()]
    said = "; ".join(f"{column}: {count}" for column, count in counts.items())
    refused = [
        row.name for row in table.rows if row.fits not in ("", YES) and YES in row.loads.values()
    ]
    lines += [
        f"Yes of {len(table.rows)}: {said}.",
        f"Fits, and loads nowhere: {_listed(table.wrong)}.",
        f"Loads, and does not fit: {_listed(refused)}.",
    ]
    return [f"- {line}" for line in lines]


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


def _short(answer: str) -> str:
    return answer if answer in ("", YES) else "no"


def _refusals(rows: list[Row]) -> list[str]:
    heads = ["model", "column", "why"]
    lines = [_line(heads), _line(["---"] * len(heads))]
    for row in rows:
        reasons: dict[str, list[str]] = {}  # an answer that several columns give stands once
        for column, answer in answers(row).items():
            if _short(answer) == "no":
                reasons.setdefault(answer, []).append(column)
        for answer, columns in reasons.items():
            lines.append(_line([f"`{row.name}`", "; ".join(columns), answer]))
    return lines


def _ram(table: Table) -> list[str]:
    rows = [row for row in table.rows if row.needs and row.takes]
    under = [row.name for row in rows if _over(row) < 0]
    lines = [
        f"Asks for less than it takes: {_listed(under)}. Asks for more, in the median: "
        f"{_median(rows)} of {len(rows)} models"
    ]
    kinds = {row.format: [one for one in rows if one.format == row.format] for row in rows}
    parts = [f"{_median(some)} of {len(some)} in {kind}" for kind, some in sorted(kinds.items())]
    lines[0] += f" ({'; '.join(parts)}); at least {min(map(_over, rows)):+.1%}."
    heads = ["model", "asks for", *(f"takes, {python}" for python in table.runtimes), "more"]
    lines += ["", _line(heads), _line(["---"] * len(heads))]
    for row in rows:
        figures = [row.needs, *(row.takes.get(python, 0) for python in table.runtimes)]
        cells = [f"{bytes_ / 1e6:.2f}" for bytes_ in figures]
        lines.append(_line([f"`{row.name}`", *cells, f"{_over(row):+.0%}"]))
    return lines


def _over(row: Row) -> float:
    """Returns what part it asks for more than it takes where it takes most."""
    return row.needs / max(row.takes.values()) - 1


def _median(rows: list[Row]) -> str:
    return f"{statistics.median(map(_over, rows)):+.1%}"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
