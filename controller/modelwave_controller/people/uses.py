"""Notes when access tokens are used, at most once an hour each.

Verifying a token only reads, so it can be done wherever the database can be read. The use is
written by whichever process let the person in, leader or not: nothing that the leader decides
depends on it, and of two that write the later moment stays. An hour is exact enough to find tokens
that nobody uses, and a page that asks each second costs one write in it.
"""

import logging

from modelwave_controller.errors import StorageError
from modelwave_controller.people import token_text
from modelwave_controller.storage import access_tokens
from modelwave_controller.storage.store import Transactions

NOTED_SECONDS = 3600
MAX_REMEMBERED = 2000

logger = logging.getLogger(__name__)


class Uses:
    """The uses that one process notes. Safe in several threads: at worst a use is noted twice."""

    def __init__(self, store: Transactions) -> None:
        self._store = store
        self._noted: dict[str, float] = {}  # by id: when this process looked last

    def note(self, text: str, now: float) -> None:
        """Notes that a token was used at `now`, Unix seconds, after `verify` has let it in. It may
        wait for another writer, so do it beside the answer. A use that cannot be stored is noted an
        hour later: that is no reason to let nobody in."""
        id = token_text.parse(text).id
        if 0 <= now - self._noted.get(id, float("-inf")) < NOTED_SECONDS:
            return
        if len(self._noted) >= MAX_REMEMBERED:
            self._noted.clear()
        self._noted[id] = now
        try:
            self._store_use(id, now)
        except StorageError as error:
            logger.warning("the use of access token %s was not noted: %s", id, error)

    def _store_use(self, id: str, now: float) -> None:
        with self._store.read() as connection:
            stored = access_tokens.get(connection, id)
        if stored is None or 0 <= now - stored.last_used < NOTED_SECONDS:
            return
        with self._store.write() as connection:
            access_tokens.note_used(connection, id, now)
