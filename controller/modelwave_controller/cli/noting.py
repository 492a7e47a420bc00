"""Puts what a command has changed in the home's files into the log, with who typed it."""

import time
from typing import TYPE_CHECKING

from modelwave_controller.cli.options import actor
from modelwave_controller.home import Home
from modelwave_controller.releases.catalog import StoredRelease
from modelwave_controller.terminal import safe, say

if TYPE_CHECKING:
    from modelwave_controller.rollout.events import Act


def note(home: Home, *done: "Act") -> None:
    """Notes the acts; says so on stderr if the log cannot be written."""
    from modelwave_controller.operations import noting  # SQLAlchemy is slow to import

    if done and (problem := noting.note(home, time.time(), actor(), *done)):
        say(f"[yellow]done, and not in the log:[/] {safe(problem)}", stderr=True)


def note_added(home: Home, added: StoredRelease) -> None:
    from modelwave_controller.operations.added import act

    note(home, act(added))
