"""Looks for devices by their names."""

from sqlalchemy import Connection, func, select

from modelwave_controller.storage.tables import devices


def count_others(connection: Connection, prefix: str) -> int:
    """Returns how many known devices have names that do not begin with `prefix`."""
    start = func.substr(devices.c.device, 1, len(prefix))
    query = select(func.count()).select_from(devices).where(start != prefix)
    return int(connection.execute(query).scalar_one())
