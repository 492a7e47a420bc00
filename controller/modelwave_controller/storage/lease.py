"""Stores which service leads, and whether its connection to the broker stands.

A service that takes the lease increases `generation`, and while it leads it increases `beat` every
second or two. Nobody compares wall clocks: another service takes the lease when it has seen the
same row for long enough by its own steady clock (service/leader.py). Each write of the leader calls
`verify` in its transaction, so a service that has lost the lease, for example because its process
hung, changes nothing any more.

The ingest processes have such a row each (shares.py). A Seat says which row is meant.
"""

from typing import NamedTuple

from sqlalchemy import Connection, Update, select, update

from modelwave_controller.errors import StorageError
from modelwave_controller.storage.tables import lease

# PostgreSQL ends the transaction of a leader that does nothing in it for so long, because its
# process or its network hangs: the transaction would keep every other service from writing.
IDLE_SECONDS = 15


class LeaseLost(StorageError):
    """Another service leads now, or receives this share; nothing was written."""


class NoSeat(LeaseLost):
    """The devices are not divided so, or by no service yet."""


class Seat(NamedTuple):
    """A row of the table: the leader's, or that of one of `shares`."""

    id: int
    shares: int = 0

    @property
    def does(self) -> str:
        """What who has it does, in words."""
        return f"receives share {self.id - 1} of {self.shares}" if self.shares else "leads"


LEADER = Seat(1)


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


def stored(connection: Connection, seat: Seat = LEADER) -> Lease:
    """Raises NoSeat if the service that leads has not divided the devices into so many shares."""
    columns = [lease.c[name] for name in Lease._fields]
    query = select(*columns).where(lease.c.id == seat.id)
    if seat.shares:
        query = query.where(lease.c.shares == seat.shares)
    row = connection.execute(query).first()
    if row is None:
        raise NoSeat(
            f"the service that leads has not divided the devices into {seat.shares} shares"
        )
    return Lease(*row)


def holder(connection: Connection) -> Lease | None:
    """Returns who holds the lease, if anybody does. A service that was killed holds it until
    another takes it."""
    found = stored(connection)
    return found if found.holder else None


def described(found: Lease) -> str:
    return f"process {found.pid} on {found.host}"


def take(connection: Connection, who: Identity, now: float, seat: Seat = LEADER) -> int:
    """Gives the lease to `who` and returns its generation; `now` is in Unix seconds."""
    generation = stored(connection, seat).generation + 1
    connection.execute(
        _row(seat).values(
            **who._asdict(),
            generation=generation,
            beat=lease.c.beat + 1,
            connected=False,
            connected_since=now,
            renewed_at=now,
        )
    )
    return generation


def verify(connection: Connection, who: Identity, generation: int, seat: Seat = LEADER) -> None:
    """Raises LeaseLost if `who` no longer holds the lease in this generation."""
    found = stored(connection, seat)
    if (found.holder, found.generation) != (who.holder, generation):
        raise LeaseLost(f"another service {seat.does} now")


def renew(connection: Connection, now: float, seat: Seat = LEADER) -> None:
    """`now` is in Unix seconds, for people only."""
    connection.execute(_row(seat).values(beat=lease.c.beat + 1, renewed_at=now))


def give_back(connection: Connection, now: float, seat: Seat = LEADER) -> None:
    """Lets another service lead at once; `now` is in Unix seconds."""
    connection.execute(
        _row(seat).values(holder="", host="", pid=0, place="", connected=False, connected_since=now)
    )


def limit_idleness(connection: Connection) -> None:
    """Limits how long this transaction can keep others from writing while its process hangs. On
    SQLite nothing can: another process writes when this one goes on or ends."""
    if connection.dialect.name == "postgresql":
        setting = f"SET LOCAL idle_in_transaction_session_timeout = {int(1000 * IDLE_SECONDS)}"
        connection.exec_driver_sql(setting)


def link_state(connection: Connection) -> LinkState:
    columns = (lease.c.connected, lease.c.connected_since)
    return LinkState(*connection.execute(select(*columns).where(lease.c.id == LEADER.id)).one())


def note_link(connection: Connection, connected: bool, now: float, seat: Seat = LEADER) -> None:
    """Notes that who has the seat reaches the broker, or no longer does, since `now`."""
    connection.execute(_row(seat).values(connected=connected, connected_since=now))


def _row(seat: Seat) -> Update:
    return update(lease).where(lease.c.id == seat.id)
