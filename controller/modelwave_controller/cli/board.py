"""`modelwave board`: the agent for MicroPython boards."""

from pathlib import Path
from typing import Annotated

import typer

from modelwave_controller.boards import installer, package
from modelwave_controller.cli.options import path
from modelwave_controller.errors import OperatorError
from modelwave_controller.terminal import safe, say, show, table
from modelwave_controller.trust.field_types import require
from modelwave_shared import fields

app = typer.Typer(no_args_is_help=True)

PART_NAMES = ", ".join(sorted(index.removesuffix(".json") for index in package.PARTS))


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

    A running `modelwave serve` serves the same files to boards that are online: `board line`.
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


@app.command()
def line(
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL",
            help="Of the service, such as http://10.0.0.5:8180.",
            show_default=False,
        ),
    ],
    part: Annotated[
        list[str] | None,
        typer.Option(help=f"An optional part: {PART_NAMES}; repeat it."),
    ] = None,
) -> None:
    """Print the line by which a board installs the agent from a running `modelwave serve`.

    Type it at the board's prompt, or run it over the cable: mpremote exec "$(modelwave board line
    URL)". It has the sha256 of what is installed, so the network need not be trusted.
    """
    parts = part or []
    for name in parts:
        if f"{name}.json" not in package.PARTS:
            raise OperatorError(f"--part: {name}: no part of the agent; known are {PART_NAMES}")
    base = url.rstrip("/") + installer.PREFIX
    require(fields.url, base, "URL")
    print(installer.line(package.build(), base, parts))
