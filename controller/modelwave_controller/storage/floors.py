"""The sequence number of each model that the controller's orders must be above, in one epoch.

Devices take no order with a lower number than that of their last one. After a database was lost or
restored from a backup, they may be ahead of the controller; a raised floor brings it past them. A
floor of an earlier epoch counts for nothing: numbers begin anew in each.
"""

from sqlalchemy import Connection, func, insert, select, update

from modelwave_controller.storage.tables import floors, orders

_NEWEST = select(func.max(orders.c.seq)).where(
    orders.c.model == floors.c.model, orders.c.epoch == floors.c.epoch
)
# Made once, as each tick asks this.
_REACHED = select(floors.c.model, floors.c.epoch).where(
    func.coalesce(_NEWEST.scalar_subquery(), 0) <= floors.c.seq
)


def reached(connection: Connection, epoch: int) -> list[str]:
    """Returns the models whose newest order in the epoch is not above their floor."""
    return [row.model for row in connection.execute(_REACHED) if row.epoch == epoch]


def of(connection: Connection, model: str, epoch: int) -> int:
    """Returns the model's floor in the epoch; 0 if none was set."""
    query = select(floors.c.seq).where(floors.c.model == model, floors.c.epoch == epoch)
    return connection.scalar(query) or 0


def raise_to(connection: Connection, model: str, seq: int, epoch: int) -> None:
    """Raises the model's floor in the epoch to `seq`; within an epoch a floor is never lowered.
    `connection` is from Store.write()."""
    if connection.scalar(select(floors.c.seq).where(floors.c.model == model)) is None:
        connection.execute(insert(floors).values(model=model, seq=seq, epoch=epoch))
    its = floors.c.model == model
    below = its & (floors.c.epoch == epoch) & (floors.c.seq < seq)
    connection.execute(update(floors).where(below).values(seq=seq))
    connection.execute(
        update(floors).where(its & (floors.c.epoch < epoch)).values(seq=seq, epoch=epoch)
    )
