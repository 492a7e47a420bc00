"""Commands whose modules are imported when they are used. A group's module may have such
commands too, in its `LATER`."""

import functools
import importlib
import inspect
from collections.abc import Mapping
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


class _Later(TyperCommand):
    """A command whose module is imported when it is used."""

    place: Place

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        command = _load(str(self.name), self.place)
        interruption.loaded()
        return command.make_context(info_name, args, parent, **extra)


def add(app: typer.Typer, places: Mapping[str, Place]) -> None:
    """Adds the commands, and imports none."""
    for name, place in places.items():
        kind = type("_Later", (_Later,), {"place": place})
        app.command(name, cls=kind, help=place.help)(_imported_later)


def add_now(app: typer.Typer, places: Mapping[str, Place]) -> None:
    """Adds the commands, and imports them."""
    for name, place in places.items():
        module = _add(app, name, place)
        if not place.function:
            _import_parts(module)
    _join_lines(app)


def _import_parts(module: Any) -> None:
    parts: Mapping[str, Place] = getattr(module, "LATER", {})
    for command in module.app.registered_commands:
        if command.name in parts:
            place = parts[command.name]
            command.cls = TyperCommand
            command.callback = getattr(_module(place), place.function)
            command.help = None


def _add(app: typer.Typer, name: str, place: Place) -> Any:
    module = _module(place)
    if place.function:
        app.command(name)(getattr(module, place.function))
    else:
        app.add_typer(module.app, name=name, help=place.help)
    return module


def _module(place: Place) -> Any:
    return importlib.import_module(f"modelwave_controller.cli.{place.module}")


@functools.cache
def _load(name: str, place: Place) -> Any:
    """Returns the command as Click knows it."""
    app = typer.Typer(
        callback=_imported_later,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
    )
    _add(app, name, place)
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
