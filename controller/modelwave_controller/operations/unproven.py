"""Says of which devices the newest report is not proven, and who sends what is not proven."""

from typing import Any

from sqlalchemy import Connection, select

from modelwave_controller.phrases import plural
from modelwave_controller.storage import proven
from modelwave_controller.storage.chunks import rows_with
from modelwave_controller.storage.proven import OFF
from modelwave_controller.storage.tables import devices, unproven

Entry = dict[str, Any]
LATELY_SECONDS = 86400.0


def add_to(connection: Connection, found: dict[str, Entry], proof: str) -> None:
    """Adds to each entry whether its report is `proven` (None: nobody asks, or there is none), and
    what came in its name `unproven`. `proof`: of [devices] in controller.toml."""
    if proof == OFF:
        return
    names = list(found)
    newest = proven.newest(connection, names)
    for name, entry in found.items():
        if "target" in entry:
            numbers = (entry["install"], entry["boot"], entry["n"])
            entry["proven"] = newest.get(name) == numbers
    for row in rows_with(connection, select(unproven), unproven.c.device, names):
        said = {"count": row.count, "reason": row.reason, "at": row.at}
        found[row.device]["unproven"] = said


def trouble(entry: Entry, now: float) -> str:
    """Returns what is in doubt about a device, "" for nothing."""
    said = entry["unproven"]
    if entry["proven"] is False:
        return f"not proven: {said['reason']}" if said else "not proven"
    if said and now - said["at"] <= LATELY_SECONDS:
        return f"{plural(said['count'], 'message')} not proven: {said['reason']}"
    return ""


def in_doubt(connection: Connection, proof: str) -> list[str]:
    """Returns the devices whose newest report is not proven, by name."""
    if proof == OFF:
        return []
    query = select(devices.c.device, devices.c.install, devices.c.boot, devices.c.n)
    reports = {row[0]: tuple(row[1:]) for row in connection.execute(query)}
    newest = proven.newest(connection, list(reports))
    return sorted(device for device, its in reports.items() if newest.get(device) != its)


def lately(connection: Connection, proof: str, now: float) -> list[str]:
    """Returns the names in which something came within a day that was not proven."""
    if proof == OFF:
        return []
    since = now - LATELY_SECONDS
    query = select(unproven.c.device).where(unproven.c.at >= since).order_by(unproven.c.device)
    return list(connection.scalars(query))
