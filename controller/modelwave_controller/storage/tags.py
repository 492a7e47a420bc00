"""Stores the tags of devices: words by which an operator selects them.

They belong to the device's id, and stay when the device is forgotten: it may have been
reinstalled, and is still the canary that the operator made of it.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence

from sqlalchemy import Connection, delete, insert, select

from modelwave_controller.storage.chunks import rows_with
from modelwave_controller.storage.tables import tags


def of_all(connection: Connection) -> dict[str, list[str]]:
    """Returns {device: its tags}, also of devices that are not known now."""
    found: dict[str, list[str]] = defaultdict(list)
    for row in connection.execute(select(tags).order_by(tags.c.device, tags.c.tag)):
        found[row.device].append(row.tag)
    return found


def of_each(connection: Connection, names: Sequence[str]) -> dict[str, list[str]]:
    """Returns {device: its tags} of those of these devices that have some."""
    found: dict[str, list[str]] = defaultdict(list)
    for row in rows_with(connection, select(tags).order_by(tags.c.tag), tags.c.device, names):
        found[row.device].append(row.tag)
    return found


def devices_with(connection: Connection, wanted: Collection[str]) -> list[str]:
    """Returns the devices that have one of these tags."""
    query = select(tags.c.device).where(tags.c.tag.in_(wanted)).distinct()
    return list(connection.scalars(query))


def of(connection: Connection, device: str) -> list[str]:
    query = select(tags.c.tag).where(tags.c.device == device).order_by(tags.c.tag)
    return list(connection.scalars(query))


def change(
    connection: Connection, device: str, added: Collection[str], removed: Collection[str]
) -> None:
    """Adds tags that the device does not have, and removes others."""
    if removed:
        its = tags.c.device == device
        connection.execute(delete(tags).where(its, tags.c.tag.in_(removed)))
    add(connection, [(device, tag) for tag in added])


def add(connection: Connection, pairs: Collection[tuple[str, str]]) -> None:
    """Adds tags to devices that do not have them: (device, tag) each."""
    if pairs:
        connection.execute(insert(tags), [{"device": d, "tag": tag} for d, tag in pairs])
