"""Forks lives of the real `modelwave serve` (lives.py)."""

import importlib
import pkgutil

import modelwave_controller
from modelwave_controller import cli
from tests.inject.lives import fork_lives

# What a service imports when it begins, or later.
PACKAGES = ("api", "cli", "service", "storage", "web")
MODULES = (
    "importlib.readers",
    "importlib.resources.readers",
    "modelwave_shared.dsse_text",
    "rich._emoji_codes",
    "typer._adapters",
    "typer._click.decorators",
)


def main() -> None:
    for package in PACKAGES:
        for module in pkgutil.iter_modules([f"{modelwave_controller.__path__[0]}/{package}"]):
            importlib.import_module(f"modelwave_controller.{package}.{module.name}")
    for name in MODULES:
        importlib.import_module(name)
    cli.application()
    fork_lives(lambda arguments: cli.run(arguments))


if __name__ == "__main__":
    main()
