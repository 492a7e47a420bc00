"""The fleet and its devices, as commands print them."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from modelwave_controller.errors import OperatorError
from modelwave_controller.rollout.state import FINAL
from modelwave_controller.storage import devices as stored
from modelwave_controller.storage import log, metrics
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


def fleet(connection: Connection, name: str, now: float) -> Fleet:
    targets: Counter[str] = Counter(connection.scalars(select(devices.c.target)))
    query = select(devices.c.seen_at).join(presence, devices.c.device == presence.c.device)
    online = connection.scalars(query.where(presence.c.online)).all()
    silent_before = _silent_before(connection, now)
    live = Counter(
        (row.model, row.release)
        for row in connection.execute(select(device_models.c.model, device_models.c.release))
    )
    return Fleet(
        fleet=name,
        devices=targets.total(),
        online=len(online),
        silent=sum(seen_at < silent_before for seen_at in online),
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
    )


def device_list(connection: Connection, target: str | None, now: float) -> list[dict[str, Any]]:
    """Every known device (of a target), by name: its last report, presence and models.
    `silent_since` is set for one that is online, as far as the broker knows, and has not
    reported for so long that it is not at work."""
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
    silent_before = _silent_before(connection, now)
    for seen in connection.execute(select(presence)):
        if entry := found.get(seen.device):
            entry["online"] = seen.online
            if seen.online and entry["seen_at"] < silent_before:
                entry["silent_since"] = entry["seen_at"]
    for bad in connection.execute(select(bad_messages)):
        if bad.device in found or target is None:
            entry = found.setdefault(bad.device, _device({"device": bad.device}))
            entry["bad"] = {"count": bad.count, "reason": bad.reason, "at": bad.at}
    return [found[name] for name in sorted(found)]


def device(connection: Connection, name: str, now: float) -> dict[str, Any]:
    """Raises OperatorError if nothing was ever heard of it."""
    found = [entry for entry in device_list(connection, None, now) if entry["device"] == name]
    if not found:
        raise OperatorError(
            f"DEVICE: nothing was heard of {name[:64]!r} yet; see `modelwave device list`"
        )
    return found[0]


def _device(row: dict[str, Any]) -> dict[str, Any]:
    """`target` is absent where only messages that cannot be read have come."""
    return row | {"online": False, "silent_since": None, "models": [], "bad": None}


def _silent_before(connection: Connection, now: float) -> float:
    """Who is online and was not heard of since then is silent. Time when no service listened
    does not count."""
    return min(now, log.service_seen_at(connection) + log.TICK_NOTED_SECONDS) - SILENT_SECONDS
