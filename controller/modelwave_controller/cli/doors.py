"""The door that a command goes through to the controller: the home on this machine, or the service
at --server."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import typer

from modelwave_controller.api.call import AnswerT, AskedT, Call
from modelwave_controller.cli.options import actor, home_of
from modelwave_controller.cli.places import Service, service_of
from modelwave_controller.errors import ModelwaveError, OperatorError

if TYPE_CHECKING:
    from modelwave_controller.cli.progress import Tell


class Door(Protocol):
    """Answers calls: a Desk, or a Remote."""

    def ask(
        self, call: Call[AskedT, AnswerT], asked: AskedT, sent: Path | None = None
    ) -> AnswerT: ...


def door(ctx: typer.Context, tell: "Tell | None" = None) -> AbstractContextManager[Door]:
    """Returns the door, which the `with` block closes. `tell` is told how far a long call at the
    home is. Raises OperatorError."""
    service = service_of(ctx)
    return _at_home(ctx, tell) if service is None else _remote(service)


def files_door(ctx: typer.Context) -> AbstractContextManager[Door]:
    """Returns the same for calls that a home's files answer: no database is opened, or made."""
    service = service_of(ctx)
    return _at_files(ctx) if service is None else _remote(service)


def ask(there: Door, call: Call[AskedT, AnswerT], **said: Any) -> AnswerT:
    """Asks a call with these fields. Raises OperatorError, which names a wrong one."""
    return there.ask(call, call.say(**said))


def send(there: Door, call: Call[AskedT, AnswerT], sent: Path, **said: Any) -> AnswerT:
    """Asks a call that sends this file. Raises as `ask`."""
    return there.ask(call, call.say(**said), sent)


@contextmanager
def _at_home(ctx: typer.Context, tell: "Tell | None") -> Iterator[Door]:
    # What a command at another machine's service does not need takes long to import.
    from modelwave_controller.cli.stores import opened_store
    from modelwave_controller.desk.desk import Desk
    from modelwave_controller.people.roles import at_home

    with opened_store(ctx) as store:
        desk = Desk(home_of(ctx), store, at_home(actor()), time.time)
        yield desk if tell is None else replace(desk, tell=tell)


@contextmanager
def _at_files(ctx: typer.Context) -> Iterator[Door]:
    from modelwave_controller.desk.files_desk import FilesDesk
    from modelwave_controller.people.roles import at_home

    yield FilesDesk(home_of(ctx), at_home(actor()), time.time)


@contextmanager
def _remote(service: Service) -> Iterator[Door]:
    from modelwave_controller.client import Remote

    try:
        with Remote(service.url, _token(service), service.ca) as remote:
            yield remote
    except ModelwaveError as error:
        if service.context:
            error.args = (f"{error} ({service.said})",)
        raise


def _token(service: Service) -> str:
    from modelwave_controller import disk
    from modelwave_controller.environment import TOKEN, secret

    if service.token:
        return service.token
    if service.token_file is not None:
        return disk.read_secret_text(service.token_file, "--token-file")
    if given := (secret(TOKEN) or b"").decode(errors="replace"):
        return given
    raise OperatorError(
        f"--server: give --token-file, or set {TOKEN} to a token; `modelwave token create` makes "
        "one"
    )
