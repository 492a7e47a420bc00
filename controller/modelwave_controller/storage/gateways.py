"""The gateways that speak for boards. A board says in `extra.via` of its report which one it is
reached through; the column `via` has it, "" for a device with a network of its own. A gateway
reports nothing: only its presence is stored, as that of any name.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, exists, func, literal_column, select, text

from modelwave_controller.storage.chunks import rows_with
from modelwave_controller.storage.devices import of_model
from modelwave_controller.storage.tables import devices, enrolled, presence
from modelwave_controller.trust.documents import Report
from modelwave_shared import fields
from modelwave_shared.errors import DocumentError

# As the index devices_by_gateway has it.
_BEHIND_ONE = devices.c.via != literal_column("''")

NO_LIMIT = 10**9
MAX_GATEWAYS = 1000  # that are shown or counted: each device could name another one


class Gateway(NamedTuple):
    """`online` None: nothing came from it, or was understood; else `since` when, in Unix seconds.
    `devices` say that they are reached through it."""

    name: str
    online: bool | None
    since: float
    devices: int


class Down(NamedTuple):
    """A gateway that is offline, `since` a moment in Unix seconds, and so many devices behind it
    that were asked for."""

    name: str
    since: float
    devices: int


def column(device: str, report: Report) -> str:
    """Returns the text for the column `via`; "" if `extra.via` names no other device."""
    said = report.extra.get("via")
    try:
        fields.name(said, "extra.via")
    except DocumentError:
        return ""
    return "" if said == device else str(said)


def of(connection: Connection, names: Sequence[str]) -> dict[str, Gateway]:
    """Returns those of these names that a device is reached through, or that are enrolled as
    gateways."""
    counts = _devices(connection, names)
    known = {row.device for row in rows_with(connection, _ENROLLED, enrolled.c.device, names)}
    found = sorted({*counts, *known})
    states = {row.device: row for row in rows_with(connection, _STATES, presence.c.device, found)}
    return {
        name: Gateway(name, row.online if row else None, row.at if row else 0, counts.get(name, 0))
        for name, row in ((name, states.get(name)) for name in found)
    }


def every(connection: Connection, limit: int = MAX_GATEWAYS) -> list[Gateway]:
    """Returns those that a device is reached through, at most `limit`, and those that are enrolled
    and not revoked, at most as many."""
    own = _ENROLLED.where(enrolled.c.revoked_at == 0).order_by(enrolled.c.device).limit(limit)
    found = {*names(connection, limit), *connection.scalars(own)}
    return list(of(connection, sorted(found)).values())


def names(connection: Connection, limit: int = NO_LIMIT) -> list[str]:
    """Returns the names of those that a device is reached through, the first `limit` of them."""
    return list(connection.scalars(_NAMES, {"number": limit}))


def offline(connection: Connection, limit: int = MAX_GATEWAYS) -> int:
    """Returns how many of those that a device is reached through are offline; only the first
    `limit` are looked at."""
    query = _STATES.where(~presence.c.online)
    return len([*rows_with(connection, query, presence.c.device, names(connection, limit))])


def is_heard(connection: Connection, name: str) -> bool:
    """Returns whether its presence is stored."""
    return connection.execute(_STATES.where(presence.c.device == name)).first() is not None


def silencing(connection: Connection, names: Sequence[str]) -> dict[str, Down]:
    """Returns, of these devices, those that are offline and whose gateway is, with that."""
    own = presence.alias()
    is_online = exists().where(own.c.device == devices.c.device, own.c.online)
    query = select(devices.c.device, devices.c.via, presence.c.at)
    query = query.join(presence, presence.c.device == devices.c.via)
    query = query.where(_BEHIND_ONE, ~presence.c.online, ~is_online)
    rows = rows_with(connection, query, devices.c.device, names)
    return {device: Down(via, at, 1) for device, via, at in rows}


def down_with(connection: Connection, model: str, targets: Collection[str]) -> list[Down]:
    """Returns those that are offline and that devices of these targets with the model are behind,
    by name."""
    offline = _STATES.where(~presence.c.online)
    down = rows_with(connection, offline, presence.c.device, names(connection))
    since = {row.device: row.at for row in down}
    # Not by the target, which most devices may have: "+" keeps SQLite from that index.
    query = of_model(select(devices.c.via, func.count()), model).where(
        _BEHIND_ONE, (devices.c.target + "").in_(targets)
    )
    query = query.group_by(devices.c.via)
    found = rows_with(connection, query, devices.c.via, sorted(since))
    return sorted(Down(name, since[name], number) for name, number in found)


def _devices(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    query = select(devices.c.via, func.count()).where(_BEHIND_ONE).group_by(devices.c.via)
    return dict(map(tuple, rows_with(connection, query, devices.c.via, names)))


_ENROLLED = select(enrolled.c.device).where(enrolled.c.target == "", enrolled.c.generation > 0)
_STATES = select(presence.c.device, presence.c.online, presence.c.at)
# From one to the next by the index: both databases would go through all devices for DISTINCT.
_NAMES = text(
    "WITH RECURSIVE found(via) AS (SELECT min(via) FROM devices WHERE via <> '' UNION ALL "
    "SELECT (SELECT min(via) FROM devices WHERE via <> '' AND via > found.via) FROM found "
    "WHERE found.via IS NOT NULL) SELECT via FROM found WHERE via IS NOT NULL LIMIT :number"
)
