"""Keeps what reads the status of a rollout, for whoever asks for it again: then only what is new is
read of the log, and of what devices measured."""

import threading
from collections import OrderedDict
from collections.abc import Callable

from sqlalchemy import Connection

from modelwave_controller.operations.status import StatusReader
from modelwave_controller.results.rollouts import Status
from modelwave_controller.storage.store import Store

MAX_KEPT = 8  # rollouts, those that were asked for last

MakeReader = Callable[[Connection], StatusReader]


class Statuses:
    """Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, _Kept] = OrderedDict()

    def read(self, store: Store, number: int, now: Callable[[], float], make: MakeReader) -> Status:
        """Returns the status of a rollout; `make` makes a reader of it. `now` is in Unix
        seconds."""
        with self._lock:
            kept = self._kept.setdefault(number, _Kept())
            self._kept.move_to_end(number)
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        # Before the transaction: none reads an older state than what its reader has seen.
        with kept.lock, store.read() as connection:
            reader, kept.reader = kept.reader or make(connection), None
            found = reader.read(connection, now())
            kept.reader = reader  # and not one that has failed in the middle
            return found


class _Kept:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.reader: StatusReader | None = None
