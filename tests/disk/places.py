"""Finds the places where the product syncs, in its source, and leaves one of them out."""

import ast
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from tests.disk.medium import Disk

TOP = Path(__file__).parents[2]
PACKAGES = ("agent/modelwave_agent", "shared/modelwave_shared", "controller/modelwave_controller")
# What syncs a file, a folder's names, or both; a place is where these are called by others.
HELPERS = {
    "fsync": ("",),
    "sync": ("",),
    "sync_name": ("",),
    "sync_file": ("",),
    "sync_folder": ("",),
    "_sync_if_allowed": ("",),
    "_settle": (" file", " name"),
}


@cache
def places() -> dict[tuple[str, int], str]:
    """{(file, line): name of the place}; boards' own modules are not among them."""
    found: dict[tuple[str, int], str] = {}
    for package in PACKAGES:
        for path in sorted((TOP / package).rglob("*.py")):
            if "board" not in path.parts[-2] and "sync" in (text := path.read_text()):
                _find(path, text, found)
    return found


def names() -> set[str]:
    """All places, once for each thing that is synced there."""
    return {place + kind for at, place in places().items() for kind in _kinds(*at)}


@cache
def _kinds(file: str, line: int) -> tuple[str, ...]:
    text = Path(file).read_text().splitlines()[line - 1]
    return next((HELPERS[one] for one in ("_settle",) if f"{one}(" in text), ("",))


def _find(path: Path, text: str, found: dict[tuple[str, int], str]) -> None:
    for function in ast.walk(ast.parse(text)):
        if not isinstance(function, ast.FunctionDef) or function.name in HELPERS:
            continue
        calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
        lines = sorted({node.lineno for node in calls if _called(node) in HELPERS})
        for number, line in enumerate(lines, 1):
            again = f" {number}" if number > 1 else ""
            found[str(path), line] = f"{path.stem}.{function.name}{again}"


def _called(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def without(place: str) -> Callable[[Disk], None]:
    """Returns what makes a disk leave out the syncs of this place."""

    def prepare(disk: Disk) -> None:
        disk.skips = lambda: _here() == place

    return prepare


def _here() -> str:
    """The place that asks for the present sync."""
    frame = sys._getframe(2)
    kind = ""
    while frame:
        code = frame.f_code
        if code.co_name == "sync_name":
            kind = " name"
        place = places().get((code.co_filename, frame.f_lineno))
        if place:
            has_kinds = len(_kinds(code.co_filename, frame.f_lineno)) > 1
            return place + (kind or " file" if has_kinds else "")
        frame = frame.f_back  # type: ignore[assignment]
    return ""
