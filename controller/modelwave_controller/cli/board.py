"""`modelwave board`: the agent for MicroPython boards."""

from pathlib import Path
from typing import Annotated

import typer

from modelwave_controller import disk
from modelwave_controller.boards import package, traceback
from modelwave_controller.cli.options import path
from modelwave_controller.terminal import safe, say, show, table

app = typer.Typer(no_args_is_help=True, help="Make the agent for MicroPython boards.")

MAX_FILE_BYTES = 1 << 20


@app.command()
def build(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="New folder.", show_default=False, parser=path)
    ],
    readable: Annotated[
        bool, typer.Option("--readable", help="Keep the sources' names: larger, for debugging.")
    ] = False,
) -> None:
    """Compile the agent for boards: .mpy files for mip, and a manifest that freezes them.

    A running `modelwave serve` hands out the same: a board that is online installs it by
    mip.install("http://ADDRESS:PORT/board").
    """
    files = package.build(rename=not readable)
    package.write(files, folder)
    sizes = package.installed(files)
    show(table(("bytes", "file"), sorted(((size, name) for name, size in sizes.items()))))
    say(f"\n{sum(sizes.values()):,} bytes on a board. Install it from here:")
    say(f"  mpremote mip install {safe(folder / package.INDEX)}")


@app.command("traceback")
def explain(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What a board printed.", parser=path)
    ],
    names: Annotated[
        Path | None, typer.Option(help="names.json of its package; else as built now.", parser=path)
    ] = None,
) -> None:
    """Show a board's traceback with the names of the sources."""
    known = read(names, "--names") if names else package.build()["names.json"]
    text = read(file, "FILE").decode(errors="replace")
    for line in traceback.explain(text, known).splitlines():
        say(safe(line))


def read(file: Path, what: str) -> bytes:
    return disk.read_input(file, what, MAX_FILE_BYTES)
