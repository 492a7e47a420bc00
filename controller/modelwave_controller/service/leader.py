"""Decides which service leads. One does; the others of the same database stand by.

The leader renews its lease in its write transactions, at least every RENEW_SECONDS. A service that
stands by looks at the lease every LOOK_SECONDS, and takes it when it has not changed for
EXPIRED_SECONDS by its own steady clock. It takes it at once if nobody holds it, or if the holder
was a process of this machine and has ended.

A leader also says in the lease whether it reaches the broker. If it has not for UNREACHED_SECONDS,
the others try to connect (reach.py), and one that reaches the broker takes the lease. While nobody
does, it stays where it is. A new leader has FIRST_SECONDS to connect, and one that has lost the
lease leaves it RETURN_SECONDS to others, so it cannot go back and forth quickly.

An ingest process (ingest.py) holds a lease of its own in the same way, that of its share.

Each transaction of the leader verifies first that it still leads (`LeaderStore`). So a leader that
hung, and finds another in its place when it goes on, writes nothing any more and raises LeaseLost.
"""

import contextlib
import math
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from sqlalchemy import Connection

from modelwave_controller.service.trouble import Trouble
from modelwave_controller.storage import holder, lease
from modelwave_controller.storage.lease import LEADER, Identity, Lease, Seat
from modelwave_controller.storage.store import Store

RENEW_SECONDS = 1.5
LOOK_SECONDS = 1
EXPIRED_SECONDS = 6
UNREACHED_SECONDS = 2
FIRST_SECONDS = 10
RETURN_SECONDS = 30
SURE_SECONDS = 2  # for which a leader relies on its last look at the lease
MAX_HOST = 64


def identity() -> Identity:
    """Returns a new identity for a service of this process."""
    return Identity(
        secrets.token_hex(8), socket.gethostname()[:MAX_HOST], os.getpid(), holder.place()
    )


class Candidate:
    """A service that would lead. One thread uses it."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        steady: Callable[[], float] = time.monotonic,
        reaches: Callable[[bool], bool] = lambda _wanted: False,
        seat: Seat = LEADER,
        taken: Callable[[Connection], None] = lambda _connection: None,
    ) -> None:
        """`clock` returns Unix seconds, `steady` seconds of a clock that cannot be set. `reaches`
        is called at each look with whether it matters if this service reaches the broker, and
        returns whether it does. `seat`: which lease it would have. `taken`
        is called in the transaction in which it takes the lease."""
        self.store = store
        self.seat = seat
        self.taken = taken
        self.reaches = reaches
        self.identity = identity()
        self.clock = clock
        self.steady = steady
        self.other: Lease | None = None  # who leads instead, as it was seen last
        self._expired = Trouble()
        self.why: str | None = None  # it took the lease, or tried to
        self._looked = 0.0
        self._unchanged = 0.0  # seconds for which it has been so
        self._unreached = 0.0  # seconds for which the leader has not reached the broker
        self._has_reached = False  # it did, earlier, as far as this service has seen
        self._not_before = -math.inf  # steady seconds before which only a dead leader is replaced

    def try_to_lead(self) -> "LeaderStore | None":
        """Looks at the lease and takes it, if it may. Returns the store to lead with, or None while
        another service leads. Call it every LOOK_SECONDS. Raises StorageError, NoSeat, and
        DatabaseGone."""
        self.store.verify_file()
        with self.store.read() as connection:
            found = lease.stored(connection, self.seat)
        self.why = self._why(found)
        if self.why is None:
            self._expired.over()
            return None
        if self.expired and found.holder:
            self._explain(found)
        with self.store.write() as connection:
            if lease.stored(connection, self.seat) != found:
                return None
            generation = lease.take(connection, self.identity, self.clock(), self.seat)
            self.taken(connection)
        self.reaches(False)
        self._expired.over()
        self.other, self._unchanged, self._unreached = None, 0.0, 0.0
        return LeaderStore(
            self.store, self.identity, generation, self.steady, self.clock, self.seat
        )

    def lost(self) -> None:
        """Notes that another service has taken the lease from this one."""
        self._not_before = self.steady() + RETURN_SECONDS

    @property
    def expired(self) -> bool:
        """Whether the leader was seen not to renew its lease for too long."""
        return self._unchanged >= EXPIRED_SECONDS

    def _why(self, found: Lease) -> str | None:
        """Returns why this service may take the lease; None: it may not."""
        self._look_at(found)
        instead = self._reaches_instead(found)
        who, does = lease.described(found), self.seat.does
        if not found.holder:
            return f"nobody {does}"
        if _has_ended(found):
            return f"{who}, which {does}, has ended"
        if self.expired:
            return f"{who}, which {does}, has not renewed its lease"
        if instead:
            return f"{who}, which {does}, does not reach the broker, and this one does"
        return None

    def _explain(self, found: Lease) -> None:
        """Says what to do if the lease has expired and cannot be taken."""
        self._expired.say(
            f"{lease.described(found)}, which {self.seat.does}, has not renewed its lease for "
            f"{EXPIRED_SECONDS} seconds: this service takes over. If it does not, that process "
            "hangs in a write, which keeps all others from writing: "
            f"`kill -9 {found.pid}` on {found.host}"
        )

    def _reaches_instead(self, found: Lease) -> bool:
        """Returns whether the leader has not reached the broker for too long, and this service
        does."""
        patience = UNREACHED_SECONDS if self._has_reached else FIRST_SECONDS
        waits = self._unreached < patience or self.steady() < self._not_before
        return self.reaches(_is_unreached(found)) and not waits

    def _look_at(self, found: Lease) -> None:
        now, before = self.steady(), self.other
        # At most two looks' time: if this process hung, the leader may have hung with it.
        passed = min(now - self._looked, 2 * LOOK_SECONDS)
        self._looked, self.other = now, found
        self._unchanged = self._unchanged + passed if found == before else 0.0
        same = before is not None and found.generation == before.generation
        still = same and before is not None and _is_unreached(before) and _is_unreached(found)
        self._unreached = self._unreached + passed if still else 0.0
        self._has_reached = found.connected or (same and self._has_reached)


class LeaderStore:
    """The store of the service that leads: each write verifies the lease first, and renews it if
    that is due. Several threads may use it."""

    def __init__(
        self,
        store: Store,
        who: Identity,
        generation: int,
        steady: Callable[[], float],
        clock: Callable[[], float],
        seat: Seat = LEADER,
    ) -> None:
        self.seat = seat
        self._clock = clock
        self._store = store
        self._who = who
        self._generation = generation
        self._steady = steady
        self._renewed = self._verified = self._looked = steady()
        self._connected = False  # as it is stored

    def read(self) -> AbstractContextManager[Connection]:
        return self._store.read()

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """Raises LeaseLost, and StorageError as Store.write."""
        with self._store.write() as connection:
            lease.limit_idleness(connection)
            self.verify(connection)
            now = self._steady()
            due = self.is_due
            if due:
                lease.renew(connection, self._clock(), self.seat)
            yield connection
        if due:
            self._renewed = now

    def verify(self, connection: Connection) -> None:
        """Raises LeaseLost if another service leads."""
        now = self._steady()
        lease.verify(connection, self._who, self._generation, self.seat)
        self._verified = now

    def verify_file(self) -> None:
        """Raises DatabaseGone, as Store.verify_file; looks every RENEW_SECONDS."""
        now = self._steady()
        if now >= self._looked + RENEW_SECONDS:
            self._looked = now
            self._store.verify_file()

    @property
    def sure(self) -> bool:
        """Whether the lease was verified a moment ago: not if the process has hung since."""
        return self._steady() - self._verified <= SURE_SECONDS

    @property
    def is_due(self) -> bool:
        """Whether the next write renews the lease."""
        return self._steady() >= self._renewed + RENEW_SECONDS

    @property
    def is_first(self) -> bool:
        """Whether nobody had the seat before."""
        return self._generation == 1

    @property
    def may_be_lost(self) -> bool:
        """Whether it was not renewed for so long that another service may have taken it."""
        return self._steady() >= self._renewed + EXPIRED_SECONDS

    def renew(self) -> float:
        """Renews the lease if that is due; returns the seconds until it is due again."""
        if self.is_due:
            with self.write():
                pass
        return max(0.0, self._renewed + RENEW_SECONDS - self._steady())

    def note_link(self, connected: bool) -> None:
        """Stores whether the broker is reached, if that has changed. Raises LeaseLost."""
        if connected != self._connected:
            with self.write() as connection:
                lease.note_link(connection, connected, self._clock(), self.seat)
            self._connected = connected

    def give_back(self, now: float) -> None:
        """Lets another service lead at once; `now` is in Unix seconds. Raises LeaseLost if one does
        already."""
        with self.write() as connection:
            lease.give_back(connection, now, self.seat)


def _is_unreached(found: Lease) -> bool:
    """Returns whether somebody leads and does not reach the broker."""
    return bool(found.holder) and not found.connected


def _has_ended(found: Lease) -> bool:
    """Returns whether the holder was a process of this machine (or container) and has ended."""
    return holder.is_there(found) is False
