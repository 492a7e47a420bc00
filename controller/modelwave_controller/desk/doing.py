"""Finds the function that does a call. It stands in desk/GROUP.py, which is imported then."""

import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from modelwave_controller.api.call import AnswerT, AskedT, Call
from modelwave_controller.home import Home
from modelwave_controller.people.roles import Person

if TYPE_CHECKING:
    from modelwave_controller.storage.store import Store

Does = Callable[..., Any]
DoesT = TypeVar("DoesT", bound=Does)

_DOES: dict[str, Does] = {}  # by the call's name


class OfFiles(Protocol):
    """Does calls that the home's files alone answer: there may be no database yet."""

    @property
    def home(self) -> Home: ...

    @property
    def person(self) -> Person: ...

    @property
    def clock(self) -> Callable[[], float]: ...

    def database(self) -> "AbstractContextManager[Store | None]":
        """Returns the home's database for a `with` block, None if it has none yet. Raises
        ModelwaveError."""
        ...


def does(call: Call[Any, Any]) -> Callable[[DoesT], DoesT]:
    """Marks the function that does a call."""

    def mark(function: DoesT) -> DoesT:
        _DOES[call.name] = function
        return function

    return mark


def do(desk: OfFiles, call: Call[AskedT, AnswerT], asked: AskedT, sent: Path | None) -> AnswerT:
    """Returns the answer; `sent` is the file of a call that sends one. Raises ModelwaveError."""
    importlib.import_module(f"modelwave_controller.desk.{call.group}")
    files = (sent,) if call.sends else ()
    return cast(AnswerT, _DOES[call.name](desk, asked, *files))


def as_it_is(home: Home) -> Home:
    """Returns the home with its newest root: a service has read it when it began."""
    return Home(home.path)
