"""Reads the state of the fleet and of its devices for the commands that show it."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from modelwave_controller.errors import OperatorError
from modelwave_controller.rollout.state import FINAL
from modelwave_controller.storage import clock, lease, log, metrics
from modelwave_controller.storage import devices as stored
from modelwave_controller.storage.metrics import ReleaseSums
from modelwave_controller.storage.tables import bad_messages, device_models, devices, presence

# Agents report every 15 minutes, give or take a fifth; one report may be lost.
SILENT_SECONDS = 2 * 15 * 60 * 1.2


@dataclass(frozen=True)
class Fleet:
    fleet: str
    devices: int
    online: int
    silent: int  # of those that are online
    targets: dict[str, int]
    live: list[dict[str, Any]]  # model, release (0: none), devices
    rollouts: list[dict[str, Any]]  # those that are not over
    metrics: list[ReleaseSums]
    service_seen_at: int
    clock_doubt: str  # "": none
    leader: dict[str, Any] | None  # the service that leads: host, pid
    link: dict[str, Any]  # its connection to the broker: connected, since (Unix seconds)


def fleet(connection: Connection, name: str) -> Fleet:
    targets: Counter[str] = Counter(connection.scalars(select(devices.c.target)))
    query = select(devices.c.seen_clock).join(presence, devices.c.device == presence.c.device)
    online = connection.scalars(query.where(presence.c.online)).all()
    clocks = clock.stored(connection)
    live = Counter(
        (row.model, row.release)
        for row in connection.execute(select(device_models.c.model, device_models.c.release))
    )
    return Fleet(
        fleet=name,
        devices=targets.total(),
        online=len(online),
        silent=sum(_is_silent(seen, clocks.seconds) for seen in online),
        targets=dict(sorted(targets.items())),
        live=[
            {"model": model, "release": release, "devices": number}
            for (model, release), number in sorted(live.items())
        ],
        rollouts=[
            {"rollout": r.id, "model": r.model, "status": r.status}
            for r in log.under_way(connection).rollouts.values()
            if r.status not in FINAL
        ],
        metrics=metrics.by_release(connection),
        service_seen_at=log.service_seen_at(connection),
        clock_doubt=clocks.doubt,
        leader=_leader(connection),
        link=lease.link_state(connection)._asdict(),
    )


def _leader(connection: Connection) -> dict[str, Any] | None:
    found = lease.holder(connection)
    return None if found is None else {"host": found.host, "pid": found.pid}


def device_list(connection: Connection, target: str | None) -> list[dict[str, Any]]:
    """Returns all known devices, or those of `target`, by name: last report, presence and models.
    `silent_since`, in Unix seconds, is set for a device that is online according to the broker,
    but has not reported for SILENT_SECONDS."""
    query = select(devices).order_by(devices.c.device)
    rows = connection.execute(query if target is None else query.where(devices.c.target == target))
    found = {
        row.device: _device(row._asdict() | {"reads": stored.reads(row.reads)}) for row in rows
    }
    for state in connection.execute(select(device_models).order_by(device_models.c.model)):
        if state.device in found:
            model = state._asdict()
            del model["device"]
            found[state.device]["models"].append(model)
    clock_now = clock.stored(connection).seconds
    for seen in connection.execute(select(presence)):
        if entry := found.get(seen.device):
            entry["online"] = seen.online
            if seen.online and _is_silent(entry["seen_clock"], clock_now):
                entry["silent_since"] = entry["seen_at"]
    for bad in connection.execute(select(bad_messages)):
        if bad.device in found or target is None:
            entry = found.setdefault(bad.device, _device({"device": bad.device}))
            entry["bad"] = {"count": bad.count, "reason": bad.reason, "at": bad.at}
    return [found[name] for name in sorted(found)]


def device(connection: Connection, name: str) -> dict[str, Any]:
    """Returns the entry of device_list for one device. Raises OperatorError if it is unknown."""
    found = [entry for entry in device_list(connection, None) if entry["device"] == name]
    if not found:
        raise OperatorError(
            f"DEVICE: no message from {name[:64]!r} was received; see `modelwave device list`"
        )
    return found[0]


def _device(row: dict[str, Any]) -> dict[str, Any]:
    """Returns a new entry; `target` is absent for a device that sent no readable report."""
    return row | {"online": False, "silent_since": None, "models": [], "bad": None}


def _is_silent(seen_clock: float, clock_now: float) -> bool:
    """Returns whether the last report of a device is too old; both times are of the rollout clock,
    so that time in which no service was running does not count."""
    return clock_now - seen_clock > SILENT_SECONDS
