"""Reads the list of faults in lists/*.toml, and says what is wrong with an entry.

[name]
file = "shared/modelwave_shared/slots.py"
old = 'first <= number <= last'     stands once in the file; it may be several lines
new = 'first <= number < last'      one line of it is another one
why = "the last slot of a range gets no order"
test = "tests/core/test_slots.py::test_ranges_hold_both_their_ends"     the one that catches it
"""

import ast
import tomllib
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

TOP = Path(__file__).parents[2]
LISTS = Path(__file__).parent / "lists"


class Fault(NamedTuple):
    name: str
    file: str  # from the top of the tree
    old: str
    new: str
    why: str
    test: str  # a node id of pytest; without brackets, all cases of it

    def changed(self, text: str) -> str:
        """Returns the file's text with the fault. Raises ValueError if the entry is out of date."""
        if (count := text.count(self.old)) != 1:
            raise ValueError(f"{self.file} has the old text {count} times: update the entry")
        return text.replace(self.old, self.new)


def read(folder: Path = LISTS) -> list[Fault]:
    return [
        Fault(name, **fields)
        for path in sorted(folder.glob("*.toml"))
        for name, fields in tomllib.loads(path.read_text()).items()
    ]


def problem(fault: Fault, top: Path = TOP) -> str:
    """Returns what is wrong with an entry, "" if nothing is."""
    before = (top / fault.file).read_text()
    try:
        after = fault.changed(before)
        is_same = _program(before) == _program(after)
    except (ValueError, SyntaxError) as error:
        return str(error)
    if is_same:
        return "the program is the same with it"
    if changed_lines(before, after) != 1:
        return "it changes more than one line"
    return "" if is_there(fault.test, top) else f"there is no {fault.test}"


@lru_cache(maxsize=2)  # the entries of a file follow one another
def _program(text: str) -> str:
    return ast.dump(ast.parse(text))


def changed_lines(before: str, after: str) -> int:
    """Returns how many lines differ; -1 if there are more, or fewer, than before."""
    old, new = before.splitlines(), after.splitlines()
    return sum(a != b for a, b in zip(old, new, strict=True)) if len(old) == len(new) else -1


def is_there(test: str, top: Path) -> bool:
    file, _, name = test.partition("::")
    return (top / file).is_file() and name.partition("[")[0] in _functions(top / file)


@cache
def _functions(path: Path) -> set[str]:
    found = ast.parse(path.read_text()).body
    return {one.name for one in found if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
