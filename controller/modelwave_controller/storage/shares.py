"""Stores into how many shares the devices are divided, and which ingest process receives which.

The service that leads divides them, as its settings say, when it begins to lead. Each share has a
row of the table `lease` (lease.py). If the number changes, all these rows are made anew: an ingest
process that goes by another number has lost its seat and stores nothing more, in the same moment
for all. So no device is ever received by two. The first one in a seat that was not there before has
generation 1.
"""

from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from modelwave_controller.phrases import moment, span
from modelwave_controller.storage.lease import LEADER, Seat
from modelwave_controller.storage.tables import handed_over, lease

PATIENCE_SECONDS = 15


class Share(NamedTuple):
    """A share, and who receives it. Times are in Unix seconds."""

    number: int  # from 1 on
    shares: int
    holder: str  # "": nobody
    host: str
    pid: int
    connected: bool
    connected_since: float
    renewed_at: float

    def problem(self, now: float) -> str:
        """Returns what is wrong, and what to do; "" for nothing. `now` is in Unix seconds. A
        process that is started again has PATIENCE_SECONDS."""
        since = self.renewed_at if self.holder else self.connected_since
        if now - since > PATIENCE_SECONDS:
            what, do = f"{self} has not been received", f"start `modelwave ingest {self.number}`"
        elif not self.connected and now - self.connected_since > PATIENCE_SECONDS:
            since = self.connected_since
            what = f"process {self.pid} on {self.host}, for {self}, has not reached the broker"
            do = "its log says why"
        else:
            return ""
        return f"{what} for {span(now - since)}, since {moment(since)}: {do}"

    def __str__(self) -> str:
        return f"share {self.number} of {self.shares}"


def seat(number: int, shares: int) -> Seat:
    """Returns the seat of who receives the share `number`, from 1 on."""
    return Seat(LEADER.id + number, shares)


def divide(connection: Connection, shares: int, now: float) -> None:
    """Divides the devices into so many shares; 0: the service that leads receives all of them.
    `now` is in Unix seconds; `connection` that in which the lease is taken."""
    leader = lease.c.id == LEADER.id
    if connection.scalar(select(lease.c.shares).where(leader)) == shares:
        return
    connection.execute(update(lease).where(leader).values(shares=shares))
    rows_before = select(lease.c.id, lease.c.generation).where(lease.c.id > LEADER.id)
    before = {row.id: row.generation for row in connection.execute(rows_before)}
    connection.execute(delete(lease).where(lease.c.id > LEADER.id))
    connection.execute(delete(handed_over))
    nobody = {"holder": "", "host": "", "pid": 0, "place": "", "beat": 0, "connected": False}
    rows = [
        nobody
        | {"id": its, "shares": shares, "generation": before.get(its, 0), "connected_since": now}
        for its in range(LEADER.id + 1, LEADER.id + 1 + shares)
    ]
    if rows:
        connection.execute(insert(lease), rows)


def stored(connection: Connection) -> list[Share]:
    """Returns the shares in order; [] if the service that leads receives all devices."""
    columns = [lease.c[name] for name in Share._fields if name != "number"]
    query = select((lease.c.id - LEADER.id).label("number"), *columns)
    rows = connection.execute(query.where(lease.c.id > LEADER.id).order_by(lease.c.id))
    return [Share(*row) for row in rows]
