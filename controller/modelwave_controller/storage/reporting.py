"""The devices that have reported."""

from sqlalchemy import Connection, select

from modelwave_controller.storage.tables import devices


def devices_heard(connection: Connection) -> list[str]:
    """Returns the ids of all devices that have reported and were not forgotten since."""
    return list(connection.scalars(select(devices.c.device).order_by(devices.c.device)))
