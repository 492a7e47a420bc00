"""`modelwave demo`: a whole fleet and its rollouts on this machine, in about a minute."""

import importlib.util
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Annotated, NoReturn

import typer

import modelwave_controller
from modelwave_controller.cli import run
from modelwave_controller.cli.options import path
from modelwave_controller.demo.command import CommandLine
from modelwave_controller.demo.fleet import LEAST_DEVICES
from modelwave_controller.demo.processes import processes
from modelwave_controller.demo.story import Story, elapsed
from modelwave_controller.demo.under_way import DEVICES, begin
from modelwave_controller.errors import OperatorError
from modelwave_controller.terminal import safe, say

MAX_DEVICES = 200
RUNTIMES = ("tflite_runtime", "ai_edge_litert")


def demo(
    devices: Annotated[
        int, typer.Option(min=LEAST_DEVICES, max=MAX_DEVICES, help="Agents in the fleet.")
    ] = LEAST_DEVICES,
    keep: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Keep all files in this new folder, to look at.", parser=path
        ),
    ] = None,
    stay: Annotated[
        bool, typer.Option("--stay", help="Stay up at the end, to look at the page, until Ctrl-C.")
    ] = False,
    under_way: Annotated[
        bool,
        typer.Option(
            "--under-way",
            help=f"{DEVICES} simulated devices and a rollout under way, to look at until Ctrl-C; "
            "nothing else.",
        ),
    ] = False,
) -> int:
    """Run a whole fleet here: a good model goes out in waves, a bad one is taken back.

    Broker, controller and agents are real and run on 127.0.0.1, on free ports. Three
    of the agents run on MicroPython if it is installed, one of them behind a gateway. The exit code
    is 0 only if every expected observation was made.
    """
    if not any(importlib.util.find_spec(name) for name in RUNTIMES):
        raise OperatorError("demo: no TFLite runtime is installed: pip install 'modelwave[tflite]'")
    if keep is not None and keep.exists():
        raise OperatorError(f"--keep: {keep} exists already; name a new folder")
    start = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="modelwave-demo-"))

    def clear_up() -> None:
        shutil.move(folder, keep) if keep else shutil.rmtree(folder, ignore_errors=True)

    with processes(folder, clear_up) as running:
        operator = CommandLine(folder / "home", run)
        if under_way:
            _stay(operator, begin(folder, models(), running, operator))
        story = Story(folder, models(), running, devices, operator)
        seen = story.tell()
        if stay:
            _stay(operator, story.page_url)
    missed = [entry for entry in seen if not entry.ok]
    say(
        f"\n[bold]{len(seen) - len(missed)} of {len(seen)} observations, "
        f"{len(story.fleet)} devices, {elapsed(start)}[/]"
    )
    return 1 if missed else 0


def _stay(operator: CommandLine, page: str) -> NoReturn:
    """Says how to look at the page, and waits for a signal, which ends the demo."""
    token = operator.asks("token", "create", "visitor", "--role", "admin", "--expires", "1d")
    say(f"\n[bold]{safe(page)}[/]  the page; log in with the token {token['token']}")
    say("Ctrl-C ends the demo, and with it the token.")
    while True:
        signal.pause()


def models() -> Path:
    """Returns the folder of the example models: in the wheel, or in an editable checkout."""
    package = Path(modelwave_controller.__file__).parent
    for folder in (package / "digits", package.parents[1] / "examples/digits/models"):
        if (folder / "models.json").exists():
            return folder
    raise OperatorError("demo: the example models are not installed")
