"""Opens the database of the home that a command works on."""

from contextlib import closing

import typer

from modelwave_controller.cli.options import home_of
from modelwave_controller.storage.store import Store


def opened_store(ctx: typer.Context) -> closing[Store]:
    """Returns the home's database, which the `with` block closes. Raises OperatorError; for a
    folder that is not a home it says how to make one."""
    home = home_of(ctx)
    _ = home.root
    return closing(Store(home.database_url))
