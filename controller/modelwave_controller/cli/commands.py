"""The commands of `modelwave`, each with the module that has it. A module is imported when its
command is used: most need a database or cryptography, which take half a second to import, and
`modelwave --help`, `--version` and the completion of a shell need neither.
"""

import importlib
import inspect
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand
from typer.main import get_command

from modelwave_controller import interruption


class Place(NamedTuple):
    """Where a command is: the module, and the function in it; "" for a group of commands, which is
    the module's `app`. `help` is what the list of commands says, and of a group all that its own
    page says; a function has it in its docstring again."""

    module: str
    function: str
    help: str


COMMANDS: dict[str, Place] = {
    "init": Place(
        "init",
        "init",
        "Make the home folder of a new fleet: its keys, its root of trust, its settings.",
    ),
    "key": Place("key", "", "Make and show keys; show who signed a document."),
    "root": Place("root", "", "Show, sign and publish roots and drafts of them."),
    "target": Place("target", "", "Show and add hardware classes and their limits."),
    "model": Place("model", "", "Show what a model file needs, before its release."),
    "golden": Place("golden", "", "Make golden sets, and find out what they would notice."),
    "release": Place("release", "", "Sign releases, add them to a home, show them."),
    "rollout": Place("rollout", "", "Start, watch, pause and revert rollouts."),
    "simulate": Place("simulate", "", "Play a plan on simulated fleets; connect a simulated one."),
    "fleet": Place("fleet", "", "Show the state of the fleet, and its log."),
    "device": Place("device", "", "Enrol, show, tag and forget devices."),
    "token": Place("token", "", "Make, list and revoke the access tokens of people and programs."),
    "context": Place(
        "context", "", "Add services by name, with your access token, and choose among them."
    ),
    "ca": Place("ca", "", "Make the fleet's authority, and certificates by it."),
    "clock": Place("clock", "", "Show and accept the controller's clock."),
    "log": Place("pruning", "", "Verify the log of all rollouts; make room in it."),
    "recover": Place(
        "recover",
        "recover",
        "Go on above the devices' order numbers: after the database was restored or lost.",
    ),
    "backup": Place(
        "backup",
        "backup",
        "Write database, settings, releases and model files to one file: no keys, no passwords.",
    ),
    "restore": Place(
        "backup",
        "restore",
        "Put a backup into a new home, or one whose database was lost: stop the service first.",
    ),
    "board": Place("board", "", "Make the agent for MicroPython boards."),
    "serve": Place(
        "service",
        "serve",
        "Run the controller: decide rollouts, publish orders, receive reports, serve files.",
    ),
    "ingest": Place(
        "service",
        "ingest",
        "Receive one share of the devices, and store what they report: beside `modelwave serve`.",
    ),
    "broker": Place(
        "broker",
        "",
        "Run the embedded MQTT broker, for first steps and up to 2,000 devices.\n\n"
        "A user's name is the device's id, or `controller`. The file is read again when it "
        "changes. Retained messages are kept in memory only; the controller publishes them again "
        "when it connects.",
    ),
    "demo": Place(
        "demo",
        "demo",
        "Run a whole fleet here: a good model goes out in waves, a bad one is taken back.",
    ),
}


class _Later(TyperCommand):
    """A command whose module is imported when it is used."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        command = _load(str(self.name))
        interruption.loaded()
        return command.make_context(info_name, args, parent, **extra)


def add_later(app: typer.Typer) -> None:
    """Adds all commands, and imports none."""
    for name, place in COMMANDS.items():
        app.command(name, cls=_Later, help=place.help)(_imported_later)


def add_all(app: typer.Typer) -> None:
    """Adds all commands, and imports them, for what looks at all of the command line."""
    for name in COMMANDS:
        _add(app, name)
    _join_lines(app)


def _add(app: typer.Typer, name: str) -> None:
    module_name, function, text = COMMANDS[name]
    module = importlib.import_module(f"modelwave_controller.cli.{module_name}")
    if function:
        app.command(name)(getattr(module, function))
    else:
        app.add_typer(module.app, name=name, help=text)


def _load(name: str) -> Any:
    """Returns the command as Click knows it."""
    app = typer.Typer(
        callback=_imported_later,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
    )
    _add(app, name)
    _join_lines(app)
    return get_command(app).commands[name]  # type: ignore[attr-defined]  # it is a group


def _imported_later() -> None:
    """Stands in the place of a function that is not imported yet; it is never called."""


def _join_lines(app: typer.Typer) -> None:
    """Makes each paragraph of a command's help one line: Typer breaks it at the terminal's width,
    and would else break it again where the docstring does. What is indented, such
    as a command line, stays as it is."""
    for group in app.registered_groups:
        if group.typer_instance:
            _join_lines(group.typer_instance)
    for command in app.registered_commands:
        paragraphs = (inspect.getdoc(command.callback) or "").split("\n\n")
        command.help = "\n\n".join(
            one if "\n " in f"\n{one}" else one.replace("\n", " ") for one in paragraphs
        )
