"""Does calls on a home: for the command line on its machine, and for the HTTP listener."""

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from modelwave_controller.api.call import AnswerT, AskedT, Call
from modelwave_controller.home import Home
from modelwave_controller.operations.status import StatusReader
from modelwave_controller.people.roles import Person
from modelwave_controller.storage.store import Store

Does = Callable[["Desk", Any], Any]
DoesT = TypeVar("DoesT", bound=Does)

_DOES: dict[str, Does] = {}  # by the call's name


@dataclass(frozen=True)
class Desk:
    """`clock` returns Unix seconds. The caller has found out who `person` is, and what they may
    do. `kept`: what reads a rollout's status again and again, and only what is new, by what was
    asked. `tell` is told how far a long call is: what it does, how many steps of how many."""

    home: Home
    store: Store
    person: Person
    clock: Callable[[], float] = time.time
    kept: dict[str, StatusReader] = field(default_factory=dict)
    tell: Callable[[str, int, int], None] = lambda _what, _done, _of: None

    def ask(self, call: Call[AskedT, AnswerT], asked: AskedT) -> AnswerT:
        """Does the call, and returns its answer. Raises ModelwaveError."""
        importlib.import_module(f"modelwave_controller.desk.{call.group}")
        return cast(AnswerT, _DOES[call.name](self, asked))


def does(call: Call[Any, Any]) -> Callable[[DoesT], DoesT]:
    """Marks the function that does a call; it stands in desk/GROUP.py."""

    def mark(function: DoesT) -> DoesT:
        _DOES[call.name] = function
        return function

    return mark
