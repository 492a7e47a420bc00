"""Forgets a device: deletes all that is stored of it, but for what the log says."""

from sqlalchemy import Connection, delete, select

from modelwave_controller.storage import counting, members, tables
from modelwave_controller.storage.counting import Move, Place
from modelwave_controller.storage.tables import (
    WINDOW_TABLES,
    bad_messages,
    device_models,
    devices,
    presence,
    proven,
    repairs,
    unproven,
)


def forget(connection: Connection, device: str) -> bool:
    """Deletes all rows of a device; returns whether there were any."""
    found = 0
    query = select(device_models.c.model, devices.c.target, devices.c.slot, devices.c.reads)
    query = query.join(devices, devices.c.device == device_models.c.device)
    moves = [
        Move(device, model, Place(*place), None)
        for model, *place in connection.execute(query.where(devices.c.device == device))
    ]
    about = (
        devices,
        device_models,
        tables.last_heard,
        presence,
        bad_messages,
        unproven,
        proven,
        *(table for kind in WINDOW_TABLES for table in (kind.windows, kind.spans, kind.sums)),
        repairs,
    )
    for table in about:
        found += connection.execute(delete(table).where(table.c.device == device)).rowcount
    members.changed(connection)
    counting.move(connection, moves)
    return found > 0
