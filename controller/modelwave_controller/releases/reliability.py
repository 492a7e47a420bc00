"""Reliability tables: how often a model is right at each confidence, on held-out data.

A table has a bin for each bin of the histogram of confidences that devices send (window_format.py
has the edges): its examples, and how many of them were right. judge/estimated.py makes of both what
the accuracy on devices is likely to be, without labels.

An operator gives it as a file: JSON, [{"bin": 0, "n": 3, "correct": 1}, …], or CSV with the head
bin,n,correct. Each of the 16 bins is there once, so that a table with other bins is noticed. In a
manifest it is two lists in `extra`, which devices ignore: reliability_n and reliability_correct.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError
from modelwave_controller.judge.estimated import Bin, Table
from modelwave_controller.releases.heldout import MAX_EXAMPLES
from modelwave_shared.window_format import BINS

MAX_TABLE_BYTES = 65536
COLUMNS = ("bin", "n", "correct")
EXAMPLES, RIGHT = "reliability_n", "reliability_correct"  # in a manifest's `extra`
_OPTION = "--reliability"


def read_table(path: Path) -> Table:
    """Reads the operator's file. Raises OperatorError, which names the row."""
    data = disk.read_input(path, _OPTION, MAX_TABLE_BYTES)
    text = data.decode("utf-8-sig", errors="replace").strip()
    rows = _json_rows(path, text) if text.startswith("[") else _csv_rows(path, text)
    found: dict[int, Bin] = {}
    for place, row in enumerate(rows, 1):
        where = f"{_OPTION}: {path}: row {place}"
        number = _integer(f"{where}: bin", row[0], BINS - 1)
        if number in found:
            raise OperatorError(f"{where}: bin {number} is given twice; give it once")
        examples = _integer(f"{where}: n", row[1], MAX_EXAMPLES)
        found[number] = Bin(examples, _integer(f"{where}: correct", row[2], examples))
    if len(found) != BINS:
        raise OperatorError(
            f"{_OPTION}: {path}: it has {len(found)} bins; give all {BINS}, 0 to {BINS - 1}, which "
            f"are each 1/{BINS} of the confidences from 0 to 1"
        )
    if not any(one.examples for one in found.values()):
        raise OperatorError(f"{_OPTION}: {path}: no examples in any bin")
    return tuple(found[number] for number in range(BINS))


def _json_rows(path: Path, text: str) -> list[tuple[Any, ...]]:
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise OperatorError(f"{_OPTION}: {path} is no JSON: {str(error)[:100]}") from error
    for place, row in enumerate(given, 1):
        if type(row) is not dict or set(row) != set(COLUMNS):
            raise OperatorError(
                f"{_OPTION}: {path}: row {place}: give an object with bin, n and correct"
            )
    return [tuple(row[column] for column in COLUMNS) for row in given]


def _csv_rows(path: Path, text: str) -> list[tuple[Any, ...]]:
    head, *lines = [[cell.strip() for cell in line.split(",")] for line in text.splitlines()] or [
        []
    ]
    if tuple(head) != COLUMNS:
        raise OperatorError(
            f"{_OPTION}: {path}: give a JSON list, or CSV whose first line is {','.join(COLUMNS)}"
        )
    for place, line in enumerate(lines, 1):
        if len(line) != len(COLUMNS):
            raise OperatorError(f"{_OPTION}: {path}: row {place}: give three numbers")
    return [tuple(_number(cell) for cell in line) for line in lines]


def _number(cell: str) -> int | str:
    """Returns a cell's integer; the cell itself if it is none, for the error to show."""
    return int(cell) if cell.isascii() and cell.isdigit() and len(cell) < 16 else cell


def _integer(where: str, value: object, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise OperatorError(f"{where}: {value!r:.40}; give an integer from 0 to {most}")
    return value


def recorded(table: Sequence[Bin]) -> dict[str, list[int]]:
    """Returns the fields of a manifest's `extra` with the table."""
    return {EXAMPLES: [one.examples for one in table], RIGHT: [one.right for one in table]}


def of_manifest(document: Mapping[str, Any]) -> Table | None:
    """Returns the table of a checked manifest; None if it has none that can be read."""
    extra = document.get("extra", {})
    columns = extra.get(EXAMPLES), extra.get(RIGHT)
    if not all(type(column) is list and len(column) == BINS for column in columns):
        return None
    table = tuple(Bin(examples, right) for examples, right in zip(*columns, strict=True))
    return table if all(map(_is_valid, table)) and any(one.examples for one in table) else None


def _is_valid(one: Bin) -> bool:
    counts = type(one.examples) is int and type(one.right) is int
    return counts and 0 <= one.right <= one.examples <= MAX_EXAMPLES
