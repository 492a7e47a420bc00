"""Puts into the log what an operator changes in the files of a home, where no database takes part.

A home whose database was not made yet has no log. The change itself is not undone where the
database does not answer: the caller tells it.
"""

from contextlib import closing

from modelwave_controller.errors import ModelwaveError
from modelwave_controller.home import Home
from modelwave_controller.operations import acts
from modelwave_controller.rollout.events import Act
from modelwave_controller.storage.store import Store, file_of


def note(home: Home, now: float, actor: str, *done: Act) -> str:
    """Notes the acts. `now` is in Unix seconds. Returns why the log does not have them, or ""."""
    try:
        file = file_of(home.database_url)
        if file is not None and not file.exists():
            return ""
        with closing(Store(home.database_url)) as store, store.write() as connection:
            for one in done:
                acts.note(connection, now, actor, one)
    except ModelwaveError as error:
        return str(error)
    return ""
