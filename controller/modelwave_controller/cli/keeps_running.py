"""What the commands that keep running share: they tell supervisors when they are ready, and end in
order at a signal."""

import asyncio
import json
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from modelwave_controller import disk
from modelwave_controller.cli.options import path
from modelwave_controller.interruption import ENDING

ReadyFileOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="JSON file to write once it is ready; for supervisors.", parser=path
    ),
]


async def until_signal(
    work: Coroutine[Any, Any, None], stop: Callable[[], None] | None = None
) -> None:
    """Runs `work` to its end; a signal of ENDING calls `stop`, or cancels it if there is none."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in ENDING:
        loop.add_signal_handler(number, stop or task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        if not task.cancelled():
            raise


def write_ready(path: Path | None, found: dict[str, Any]) -> None:
    if path is not None:
        disk.replace(path, json.dumps(found | {"pid": os.getpid()}).encode() + b"\n")
