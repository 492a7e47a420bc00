"""Forks lives of the real `modelwave serve` (lives.py)."""

import importlib
import pkgutil

import modelwave_controller
from modelwave_controller import cli
from tests.inject.lives import fork_lives


def main() -> None:
    for package in (
        "api",
        "cli",
        "service",
        "storage",
        "web",
    ):  # what a service imports when it begins
        path = f"{modelwave_controller.__path__[0]}/{package}"
        for module in pkgutil.iter_modules([path]):
            importlib.import_module(f"modelwave_controller.{package}.{module.name}")
    cli.application()
    fork_lives(lambda arguments: cli.run(arguments))


if __name__ == "__main__":
    main()
