"""`modelwave board`: the agent for MicroPython boards."""

from pathlib import Path
from typing import Annotated

import typer

from modelwave_controller.boards import package
from modelwave_controller.cli.options import path
from modelwave_controller.terminal import safe, say, show, table

app = typer.Typer(no_args_is_help=True, help="Make the agent for MicroPython boards.")


@app.command()
def build(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="New folder.", show_default=False, parser=path)
    ],
    romfs: Annotated[
        bool, typer.Option("--romfs", help="Make an image for a board's ROMFS partition, too.")
    ] = False,
) -> None:
    """Compile the agent for boards: .mpy files for mip, and a manifest that freezes them.

    A running `modelwave serve` serves the same files: a board that is online installs them with
    mip.install("http://ADDRESS:PORT/board").
    """
    files = package.build()
    image = {package.ROMFS: package.image(files)} if romfs else {}
    package.write(files | image, folder)
    sizes = package.installed(files)
    show(table(("bytes", "file"), sorted(((size, name) for name, size in sizes.items()))))
    say(f"\n{sum(sizes.values()):,} bytes on a board. Install it from here:")
    say(f"  mpremote mip install {safe(folder / package.INDEX)}")
    if romfs:
        say(f"or, with the parts that not every board needs, {len(image[package.ROMFS]):,} bytes:")
        say(f"  mpremote romfs deploy {safe(folder / package.ROMFS)}")
