"""Keeps in memory the reports that say what is stored already, and stores them by the minute.

Nearly all reports of an idle fleet are such: of them only the number, the time and what is free
are new. A crash loses a minute of them, that is when devices were last heard; the broker retains
each device's newest report, and the service that starts next receives it. All other reports are
stored at once (writer.py).

    a device's report                                  what is done with it
    -------------------------------------------------  -----------------------------------------
    says something new, asks for a heartbeat, or is     stored at once; what it says is
    the first one since the service leads               remembered by its digest
    says what the last one said, with a higher number   kept, and stored within FLUSH_SECONDS
    says so with the same number: it came twice         forgotten

What is remembered is in doubt when the operator enrols, approves, revokes or forgets devices, which
other processes do: then all is forgotten, and the next report of each device is stored at once.
"""

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from modelwave_controller.errors import StorageError
from modelwave_controller.service.trouble import Trouble
from modelwave_controller.storage import clock, devices, last_heard, members
from modelwave_controller.storage.intake import Stored
from modelwave_controller.storage.last_heard import LastHeard
from modelwave_controller.storage.lease import LeaseLost
from modelwave_controller.storage.messages import Present, Repeat
from modelwave_controller.storage.store import Transactions

FLUSH_SECONDS = 60

logger = logging.getLogger(__name__)


class Said(NamedTuple):
    """What a device's last report said, as a digest, and its number."""

    digest: bytes
    number: tuple[int, int]


class Repeats:
    """One thread uses it, but for `heard_again` and `hear_again`, which any may call."""

    def __init__(self, store: Transactions, steady: Callable[[], float]) -> None:
        """`steady` returns seconds of a clock that cannot be set."""
        self.store = store
        self.steady = steady
        self._said: dict[str, Said] = {}
        self._online: dict[str, bool] = {}
        self._members: int | None = None
        self._clock = 0
        self._kept: dict[str, LastHeard] = {}
        self._due = 0.0  # by `steady`, while something is kept
        self._again: dict[str, float] = {}
        self._lock = threading.Lock()  # of _again
        self._trouble = Trouble()

    def begin(self) -> None:
        """Looks at the database, before each batch of messages."""
        try:
            with self.store.read() as connection:
                found = members.number(connection)
                self._clock = int(clock.stored(connection).seconds)
        except StorageError:
            self._members = None
        else:
            if found == self._members:
                return
            self._members = found
        self._said.clear()
        self._online.clear()

    def last_said(self, device: str) -> bytes | None:
        found = self._said.get(device)
        return found.digest if found else None

    def keeps(self, message: Repeat | Present, now: float) -> bool:
        """Returns whether nothing is to be stored of the message now; `now` is in Unix seconds."""
        if isinstance(message, Present):
            return self._online.get(message.device) == message.online
        said, number = self._said[message.device], (message.boot, message.n)
        if number <= said.number:
            return number == said.number
        device = message.device
        self._said[device] = said._replace(number=number)
        if not self._kept:
            self._due = self.steady() + FLUSH_SECONDS
        free = (message.free_flash, message.free_ram)
        self._kept[device] = LastHeard(device, *number, int(now), self._clock, *free)
        with self._lock:
            self._again[device] = self._clock
        return True

    def kept(self, names: Collection[str]) -> Mapping[str, LastHeard]:
        """Returns what is kept of these devices."""
        return {name: self._kept[name] for name in names if name in self._kept}

    def learn(self, stored: Stored) -> None:
        """Remembers what came of a batch that is stored; what was kept of its devices is older."""
        for device, message in stored.standing.items():
            number = (message.report.boot, message.report.n)
            self._said[device] = Said(message.said, number)
            kept = self._kept.get(device)
            if kept and (kept.boot, kept.n) != number:
                del self._kept[device]
        self._online.update(stored.online)

    def heard_again(self, limit: int) -> dict[str, float]:
        """Removes and returns up to `limit` devices that have repeated their report, with the
        rollout clock at the last time."""
        with self._lock:
            names = list(self._again)[:limit]
            return {name: self._again.pop(name) for name in names}

    def hear_again(self, devices: Mapping[str, float]) -> None:
        """Takes what another process has heard: devices, as `heard_again` returns them."""
        with self._lock:
            self._again.update(devices)

    def flush(self, is_over: bool = False) -> None:
        """Stores what is kept, if that is due or it `is_over`."""
        if not self._kept or not (is_over or self.steady() >= self._due):
            return
        try:
            with self.store.write() as connection:
                known = devices.places(connection, list(self._kept))
                last_heard.put(connection, (self._kept[name] for name in known))
        except LeaseLost:
            pass  # the service that leads now receives what the broker retains
        except StorageError as error:
            self._trouble.say(f"{error}; when devices were last heard is not stored")
            self._due = self.steady() + FLUSH_SECONDS
            return
        self._kept.clear()
        self._trouble.over()
