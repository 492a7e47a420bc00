"""Opens the database of the home that a command works on."""

import time
from collections.abc import Callable
from contextlib import closing

import typer

from modelwave_controller.cli.options import home_of
from modelwave_controller.operations.status import StatusReader
from modelwave_controller.results.rollouts import Status
from modelwave_controller.storage.store import Store


def opened_store(ctx: typer.Context) -> closing[Store]:
    """Returns the home's database, which the `with` block closes. Raises OperatorError; for a
    folder that is not a home it says how to make one."""
    home = home_of(ctx)
    _ = home.root
    return closing(Store(home.database_url))


def status_of(
    store: Store,
    rollout: str | None,
    with_series: bool = False,
    trust: Callable[[], list[str]] = list,
) -> Status:
    """Returns the status of the rollout with this number or of this model; of the newest for
    None. `with_series`: also what devices measured by window; `trust` says what is wrong with the
    home's roots. Raises OperatorError."""
    with store.read() as connection:
        reader = StatusReader(connection, rollout, with_series=with_series, trust=trust)
        return reader.read(connection, time.time())
