"""Prints JSON for programs, tables for people, and errors on one line.

Text from devices, manifests and files goes through `safe` before it is printed: no control
characters, no escape sequences, no right-to-left overrides.
"""

import codecs
import io
import itertools
import json
import os
import sys
import threading
import traceback
import unicodedata
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

# Control, format (bidirectional overrides, zero width), surrogate, private, unassigned,
# and the line and paragraph separators (Unicode general categories).
_HARMFUL = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")

# For terminals whose encoding lacks these characters of our own.
_PLAIN = {"–": "-", "…": "...", "×": "x", "·": "."}
_PLAINER = "modelwave.plainer"

_FILE_WIDTH = 240  # columns
_MEASURED_ROWS = 200  # of a table that is printed while it is read
_MAX_ERROR = 600  # characters; a message may contain a long argument


def prepare_streams() -> None:
    """Makes printing safe where stdout or stderr is closed, and where the encoding of stdout lacks
    a character: it prints a plain one then, or "?". (Python makes stderr safe.)"""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        codecs.register_error(_PLAINER, _plainer)
        sys.stdout.reconfigure(errors=_PLAINER)
    sys.excepthook = _show_traceback
    threading.excepthook = lambda ended: _show_traceback(
        ended.exc_type, ended.exc_value, ended.exc_traceback
    )


def _plainer(error: UnicodeError) -> tuple[str, int]:
    """Returns what is printed in place of characters that the encoding lacks."""
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    return "".join(_PLAIN.get(character, "?") for character in lacking), error.end


def _show_traceback(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> None:
    """Prints an error that nobody expected; its message may have any text in it."""
    lines = "".join(traceback.format_exception(kind, error, trace))
    print(f"modelwave: an error that was not expected:\n{plain_lines(lines)}", file=sys.stderr)


def discard_output() -> None:
    """Sends further output to nowhere, so that Python says nothing about it at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def plain(text: object) -> str:
    """Returns `text` on one line, without characters that a terminal would interpret."""
    shown = str(text)
    if shown.isascii() and shown.isprintable():
        return shown
    return "".join("�" if unicodedata.category(c) in _HARMFUL else c for c in shown)


def plain_lines(text: str) -> str:
    """Returns a text of several lines, such as a traceback, each line plain and indented: none
    looks like a line of a log."""
    return "\n".join(f"  {plain(line)}" for line in text.splitlines())


def safe(text: object) -> str:
    """Returns `text` on one line, without characters that a terminal or Rich would interpret."""
    return escape(plain(text))


def console(stderr: bool = False) -> Console:
    """Returns a console for the current stdout or stderr, which tests replace. Output to a pipe or
    a file is not wrapped at the width of a terminal."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _FILE_WIDTH
    return Console(file=stream, width=width, highlight=False, soft_wrap=True)


def say(markup: str, stderr: bool = False) -> None:
    """Prints Rich markup; the caller passes untrusted text in it through `safe`."""
    console(stderr).print(markup)


def print_json(value: Any, stderr: bool = False) -> None:
    """Prints JSON, in ASCII only, so that untrusted text cannot control a terminal."""
    print(json.dumps(value, indent=2), file=sys.stderr if stderr else sys.stdout)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Returns a table; every cell goes through `safe`."""
    made = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        made.add_row(*(safe(cell) for cell in row))
    return made


def stream_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints a long table while its rows are read; every cell is made `plain`. The first rows say
    how wide the columns are. A line is not wrapped: the last column ends where its text does."""
    iterator = iter(rows)
    first = [_plain_row(row) for row in itertools.islice(iterator, _MEASURED_ROWS)]
    widths = [max(map(cell_len, cells)) for cells in zip(columns, *first, strict=True)]
    say(f"[bold]{escape(_line(columns, widths))}[/]")
    for row in itertools.chain(first, map(_plain_row, iterator)):
        print(_line(row, widths))


def _plain_row(row: Sequence[object]) -> list[str]:
    return [plain(cell) for cell in row]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell + " " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=True)
    ]
    return "  ".join(padded).rstrip()


def stream_json(values: Iterable[Any]) -> None:
    """Prints a JSON list while its entries are read, one on a line, in ASCII as `print_json`."""
    before = "[\n"
    for value in values:
        print(before + json.dumps(value), end="")
        before = ",\n"
    print("[]" if before == "[\n" else "\n]")


def facts(rows: Iterable[tuple[str, object]]) -> Table:
    """Returns a table of names and values; every value goes through `safe`."""
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows:
        made.add_row(name, safe(value))
    return made


def show(renderable: object) -> None:
    console().print(renderable)


def fail(message: str) -> None:
    """Prints an error on one line of stderr."""
    line = " ".join(message.split())
    shown = line if len(line) <= _MAX_ERROR else line[:_MAX_ERROR] + " …"
    say(f"[bold red]modelwave:[/] {safe(shown)}", stderr=True)
