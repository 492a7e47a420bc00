"""Says which devices belong to the fleet though nothing of them is stored: enrolled ones that were
never heard, and those whose reports do not count."""

from typing import Any

from sqlalchemy import Connection

from modelwave_controller.results.fleet import Membership
from modelwave_controller.storage import enrolled

Entry = dict[str, Any]


def membership(connection: Connection) -> Membership:
    names = [row.device for row in enrolled.those_waiting(connection)]
    its = enrolled.of(connection, names)
    revoked = [name for name in names if name in its and not its[name].active]
    expected = [row.device for row in enrolled.missing(connection)]
    return Membership(expected, [name for name in names if name not in revoked], revoked)


def add_to(connection: Connection, found: dict[str, Entry]) -> None:
    """Adds to each entry its `enrolment`, and what is known of a device that is `waiting`."""
    names = list(found)
    for device, waits in enrolled.waiting_of(connection, names).items():
        found[device]["waiting"] = waits._asdict()
    for device, row in enrolled.of(connection, names).items():
        shown = ("target", "generation", "enrolled_at", "revoked_at", "approved_at")
        found[device]["enrolment"] = {name: getattr(row, name) for name in shown}


def trouble(entry: Entry) -> str:
    """Returns why nothing of a device is stored; "" for a device that counts."""
    if entry["waiting"]:
        revoked = entry["enrolment"] is not None
        return "revoked, and still reports" if revoked else "waits for `device approve`"
    is_new = not (entry["gateway"] or {}).get("since")
    if entry["enrolment"] and "target" not in entry and not entry["bad"] and is_new:
        if entry["enrolment"]["revoked_at"]:
            return "revoked"
        known = "enrolled" if entry["enrolment"]["generation"] else "approved"
        return f"{known}, and never heard"
    return ""
