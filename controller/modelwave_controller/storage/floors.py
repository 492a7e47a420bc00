"""The sequence number of each model that the controller's orders must be above.

Devices take no order with a lower number than that of their last one. After a database was lost or
restored from a backup, they may be ahead of the controller; a raised floor brings it past them.
"""

from sqlalchemy import Connection, func, insert, select, update

from modelwave_controller.storage.tables import floors, orders

_NEWEST = select(func.max(orders.c.seq)).where(orders.c.model == floors.c.model)
# Made once, as each tick asks this.
_REACHED = select(floors.c.model).where(func.coalesce(_NEWEST.scalar_subquery(), 0) <= floors.c.seq)


def reached(connection: Connection) -> list[str]:
    """Returns the models whose newest order is not above their floor."""
    return list(connection.scalars(_REACHED))


def of(connection: Connection, model: str) -> int:
    """Returns the model's floor; 0 if none was set."""
    return connection.scalar(select(floors.c.seq).where(floors.c.model == model)) or 0


def raise_to(connection: Connection, model: str, seq: int) -> None:
    """Raises the model's floor to `seq`; a floor is never lowered. `connection` is from
    Store.write()."""
    if connection.scalar(select(floors.c.seq).where(floors.c.model == model)) is None:
        connection.execute(insert(floors).values(model=model, seq=seq))
    below = (floors.c.model == model) & (floors.c.seq < seq)
    connection.execute(update(floors).where(below).values(seq=seq))


def first_of_epoch(connection: Connection, epoch: int) -> dict[str, int]:
    """Returns by model the first of its orders in `epoch`. Numbers go on through all epochs."""
    first = func.min(orders.c.seq).label("first")
    query = select(orders.c.model, first).where(orders.c.epoch == epoch)
    rows = connection.execute(query.group_by(orders.c.model))
    return {row.model: row.first for row in rows}
