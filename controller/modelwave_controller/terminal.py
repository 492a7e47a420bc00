"""What is printed: JSON for programs, tables for people, one line for an error.

Whatever a device, a manifest or a file said goes through `safe` before it reaches a
terminal: no control characters, no escape sequences, no text running backwards.
"""

import json
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

# Control, format (bidirectional overrides, zero width), surrogate, private, unassigned,
# and the line and paragraph separators (Unicode general categories).
_HARMFUL = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")

_FILE_WIDTH = 240  # columns
_MAX_ERROR = 600  # characters; what was typed may be huge


def safe(text: object) -> str:
    """`text` on one line, with nothing in it that a terminal or Rich would act on."""
    shown = "".join("�" if unicodedata.category(c) in _HARMFUL else c for c in str(text))
    return escape(shown)


def console(stderr: bool = False) -> Console:
    """A console on the stream as it is now, which tests and pipes exchange. What is read by
    a program or lands in a file is not broken at the width of a terminal."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _FILE_WIDTH
    return Console(file=stream, width=width, highlight=False, soft_wrap=True)


def say(markup: str, stderr: bool = False) -> None:
    """One or more lines of Rich markup; strangers' text in it has gone through `safe`."""
    console(stderr).print(markup)


def print_json(value: Any, stderr: bool = False) -> None:
    """For programs. ASCII only, so that a stranger's text cannot act on a terminal either."""
    print(json.dumps(value, indent=2), file=sys.stderr if stderr else sys.stdout)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table of strangers' words: every cell goes through `safe`."""
    made = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        made.add_row(*(safe(cell) for cell in row))
    return made


def facts(rows: Iterable[tuple[str, object]]) -> Table:
    """Names and values, one below the other; every value goes through `safe`."""
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows:
        made.add_row(name, safe(value))
    return made


def show(renderable: object) -> None:
    console().print(renderable)


def fail(message: str) -> None:
    """An error on one line of stderr."""
    line = " ".join(message.split())
    shown = line if len(line) <= _MAX_ERROR else line[:_MAX_ERROR] + " …"
    say(f"[bold red]modelwave:[/] {safe(shown)}", stderr=True)
