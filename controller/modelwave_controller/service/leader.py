"""Decides which service leads. One does; the others of the same database stand by.

The leader renews its lease in its write transactions, at least every RENEW_SECONDS. A service that
stands by looks at the lease every LOOK_SECONDS, and takes it when it has not changed for
EXPIRED_SECONDS by its own steady clock. It takes it at once if nobody holds it, or if the holder
was a process of this machine and has ended.

Each transaction of the leader verifies first that it still leads (`LeaderStore`). So a leader that
hung, and finds another in its place when it goes on, writes nothing any more and raises LeaseLost.
"""

import contextlib
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from sqlalchemy import Connection

from modelwave_controller.storage import lease
from modelwave_controller.storage.lease import Identity, Lease
from modelwave_controller.storage.store import Store

RENEW_SECONDS = 1.5
LOOK_SECONDS = 1
EXPIRED_SECONDS = 6
SURE_SECONDS = 2  # for which a leader relies on its last look at the lease
MAX_HOST = 64


def identity() -> Identity:
    """Returns a new identity for a service of this process."""
    return Identity(secrets.token_hex(8), socket.gethostname()[:MAX_HOST], os.getpid(), _place())


def described(found: Lease) -> str:
    return f"process {found.pid} on {found.host}"


class Candidate:
    """A service that would lead. One thread uses it."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` returns Unix seconds, `steady` seconds of a clock that cannot be set."""
        self.store = store
        self.identity = identity()
        self.clock = clock
        self.steady = steady
        self.other: Lease | None = None  # who leads instead, as it was seen last
        self._looked = 0.0
        self._unchanged = 0.0  # seconds for which it has been so

    def try_to_lead(self) -> "LeaderStore | None":
        """Looks at the lease and takes it, if it may. Returns the store to lead with, or None while
        another service leads. Call it every LOOK_SECONDS. Raises StorageError."""
        with self.store.read() as connection:
            found = lease.stored(connection)
        if not self._may_take(found):
            return None
        with self.store.write() as connection:
            if lease.stored(connection) != found:
                return None
            generation = lease.take(connection, self.identity, self.clock())
        self.other, self._unchanged = None, 0.0
        return LeaderStore(self.store, self.identity, generation, self.steady)

    def _may_take(self, found: Lease) -> bool:
        now = self.steady()
        if found == self.other:
            # At most two looks' time: if this process hung, the leader may have hung with it.
            self._unchanged += min(now - self._looked, 2 * LOOK_SECONDS)
        else:
            self._unchanged = 0.0
        self._looked, self.other = now, found
        return not found.holder or self._unchanged >= EXPIRED_SECONDS or _has_ended(found)


class LeaderStore:
    """The store of the service that leads: each write verifies the lease first, and renews it if
    that is due. Several threads may use it."""

    def __init__(
        self, store: Store, who: Identity, generation: int, steady: Callable[[], float]
    ) -> None:
        self._store = store
        self._who = who
        self._generation = generation
        self._steady = steady
        self._renewed = self._verified = steady()

    def read(self) -> AbstractContextManager[Connection]:
        return self._store.read()

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """Raises LeaseLost, and StorageError as Store.write."""
        with self._store.write() as connection:
            lease.limit_idleness(connection)
            self.verify(connection)
            now = self._steady()
            due = now >= self._renewed + RENEW_SECONDS
            if due:
                lease.renew(connection)
            yield connection
        if due:
            self._renewed = now

    def verify(self, connection: Connection) -> None:
        """Raises LeaseLost if another service leads."""
        now = self._steady()
        lease.verify(connection, self._who, self._generation)
        self._verified = now

    @property
    def sure(self) -> bool:
        """Whether the lease was verified a moment ago: not if the process has hung since."""
        return self._steady() - self._verified <= SURE_SECONDS

    def renew(self) -> float:
        """Renews the lease if that is due; returns the seconds until it is due again."""
        if self._steady() >= self._renewed + RENEW_SECONDS:
            with self.write():
                pass
        return max(0.0, self._renewed + RENEW_SECONDS - self._steady())

    def give_back(self, now: float) -> None:
        """Lets another service lead at once; `now` is in Unix seconds. Raises LeaseLost if one does
        already."""
        with self.write() as connection:
            lease.give_back(connection, now)


def _has_ended(found: Lease) -> bool:
    """Returns whether the holder was a process of this machine (or container) and has ended."""
    if not found.place or found.place != _place():
        return False
    try:
        os.kill(found.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass  # a process of somebody else
    return False


def _place() -> str:
    """Returns the same for processes that see each other's process ids: the boot of the machine and
    the namespace. "" where the system does not say."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""
