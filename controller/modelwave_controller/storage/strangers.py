"""Limits how many rows there are for device ids that never reported: an attacker can send each
message under a new name."""

from typing import Any

from sqlalchemy import Connection, func, select

from modelwave_controller.storage import gateways
from modelwave_controller.storage.chunks import rows_with
from modelwave_controller.storage.tables import devices

MAX_STRANGERS = 10_000  # rows of a table for device ids that never reported


def may_have_rows(connection: Connection, table: Any, names: list[str]) -> set[str]:
    """Returns the names that are known, also as gateways, or have a row in `table`, and as many
    others as MAX_STRANGERS allows: an attacker can send each message under a new name."""
    kept = {
        row.device
        for known in (table, devices)
        for row in rows_with(connection, select(known.c.device), known.c.device, names)
    }
    kept.update(gateways.of(connection, [name for name in names if name not in kept]))
    strangers = [name for name in names if name not in kept]
    if strangers:
        stranger = table.c.device.not_in(select(devices.c.device))
        held = connection.scalar(select(func.count()).select_from(table).where(stranger)) or 0
        kept.update(strangers[: max(0, MAX_STRANGERS - held)])
    return kept
