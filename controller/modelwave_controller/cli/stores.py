"""The database of the home that a command works on."""

import time
from contextlib import closing

import typer

from modelwave_controller.cli.options import home_of
from modelwave_controller.operations.status import Status, StatusReader
from modelwave_controller.storage.store import Store


def opened_store(ctx: typer.Context) -> closing[Store]:
    """Closed at the end of the block. Raises OperatorError, which for a folder that is no
    home says how to make one."""
    home = home_of(ctx)
    _ = home.root
    return closing(Store(home.database_url))


def status_of(store: Store, rollout: str | None) -> Status:
    """Of the rollout with this number, of this model, or of the newest for None. Raises
    OperatorError."""
    with store.read() as connection:
        return StatusReader(connection, rollout).read(connection, time.time())
