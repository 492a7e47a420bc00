"""Stores which service leads, and whether its connection to the broker stands.

One row. A service that takes the lease increases `generation`, and while it leads it increases
`beat` every second or two. Nobody compares wall clocks: another service takes the lease when it
has seen the same row for long enough by its own steady clock (service/leader.py). Each write of
the leader calls `verify` in its transaction, so a service that has lost the lease, for example
because its process hung, changes nothing any more.
"""

from typing import NamedTuple

from sqlalchemy import Connection, select, update

from modelwave_controller.errors import StorageError
from modelwave_controller.storage.tables import lease

# PostgreSQL ends the transaction of a leader that does nothing in it for so long, because its
# process or its network hangs: the transaction would keep every other service from writing.
IDLE_SECONDS = 15


class LeaseLost(StorageError):
    """Another service leads now; nothing was written."""


class Identity(NamedTuple):
    """A service that may lead: a random id, and where it runs."""

    holder: str
    host: str
    pid: int
    place: str  # the same for processes that see each other's process ids; "": not known


class Lease(NamedTuple):
    """The row. Without a `holder` nobody leads."""

    holder: str
    host: str
    pid: int
    place: str
    generation: int
    beat: int
    connected: bool  # the holder reaches the broker


class LinkState(NamedTuple):
    """Whether the leader reaches the broker, and since when, in Unix seconds; 0: no service
    has led yet."""

    connected: bool
    since: float


def stored(connection: Connection) -> Lease:
    columns = [lease.c[name] for name in Lease._fields]
    return Lease(*connection.execute(select(*columns)).one())


def holder(connection: Connection) -> Lease | None:
    """Returns who holds the lease, if anybody does. A service that was killed holds it until
    another takes it."""
    found = stored(connection)
    return found if found.holder else None


def described(found: Lease) -> str:
    return f"process {found.pid} on {found.host}"


def take(connection: Connection, who: Identity, now: float) -> int:
    """Gives the lease to `who` and returns its generation; `now` is in Unix seconds."""
    generation = stored(connection).generation + 1
    connection.execute(
        update(lease).values(
            **who._asdict(),
            generation=generation,
            beat=lease.c.beat + 1,
            connected=False,
            connected_since=now,
        )
    )
    return generation


def verify(connection: Connection, who: Identity, generation: int) -> None:
    """Raises LeaseLost if `who` no longer holds the lease in this generation."""
    found = stored(connection)
    if (found.holder, found.generation) != (who.holder, generation):
        raise LeaseLost("another service leads now")


def renew(connection: Connection) -> None:
    connection.execute(update(lease).values(beat=lease.c.beat + 1))


def give_back(connection: Connection, now: float) -> None:
    """Lets another service lead at once; `now` is in Unix seconds."""
    connection.execute(
        update(lease).values(
            holder="", host="", pid=0, place="", connected=False, connected_since=now
        )
    )


def limit_idleness(connection: Connection) -> None:
    """Limits how long this transaction can keep others from writing while its process hangs. On
    SQLite nothing can: another process writes when this one goes on or ends."""
    if connection.dialect.name == "postgresql":
        setting = f"SET LOCAL idle_in_transaction_session_timeout = {int(1000 * IDLE_SECONDS)}"
        connection.exec_driver_sql(setting)


def link_state(connection: Connection) -> LinkState:
    columns = (lease.c.connected, lease.c.connected_since)
    return LinkState(*connection.execute(select(*columns)).one())


def note_link(connection: Connection, connected: bool, now: float) -> None:
    """Notes that the leader reaches the broker, or no longer does, since `now`."""
    connection.execute(update(lease).values(connected=connected, connected_since=now))
