"""Previews a rollout: the stage of each device, the devices that the release does not fit, and
those that run a newer one.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from modelwave_controller.phrases import plural
from modelwave_controller.releases.bundles import Signed
from modelwave_controller.rollout import cohorts, formats
from modelwave_controller.rollout.events import Created
from modelwave_controller.storage import devices as stored
from modelwave_controller.storage.tables import device_models, devices
from modelwave_shared.fit import shortfalls


@dataclass(frozen=True)
class PlannedDevice:
    """A device in a stage (from 0). `shortfalls` says why it would reject the release, `unreadable`
    why it cannot read the order or the manifest, so that its stage would not open."""

    device: str
    target: str
    slot: int
    stage: int
    shortfalls: list[str]
    unreadable: list[str]


def preview(
    connection: Connection, created: Created, releases: dict[str, Signed]
) -> list[PlannedDevice]:
    """Returns the devices of the rollout's targets that report its model, by stage, target and
    name."""
    runs = select(device_models.c.device).where(device_models.c.model == created.model)
    query = select(devices).where(
        devices.c.target.in_(created.releases), devices.c.device.in_(runs)
    )
    by_target: dict[str, list[Any]] = defaultdict(list)
    named = {
        device: number
        for number, stage in enumerate(created.plan.stages)
        for device in stage.devices
    }
    for row in connection.execute(query.order_by(devices.c.device)):
        by_target[row.target].append(row)
    places = []
    for target, rows in sorted(by_target.items()):
        stages = _stages(created, [row.slot for row in rows])
        needs = releases[target].document["needs"]
        places += [
            PlannedDevice(
                device=row.device,
                target=target,
                slot=row.slot,
                stage=named.get(row.device, stages[row.slot]),
                shortfalls=_shortfalls(needs, row),
                unreadable=formats.shortfalls(created.releases[target], stored.reads(row.reads)),
            )
            for row in rows
        ]
    return sorted(places, key=lambda place: (place.stage, place.target, place.device))


def downgrade(connection: Connection, model: str, targets: Collection[str], release: int) -> str:
    """Returns a sentence about the devices that run a newer release than `release`; "" for none."""
    query = (
        select(device_models.c.release, func.count())
        .join(devices, devices.c.device == device_models.c.device)
        .where(device_models.c.model == model, devices.c.target.in_(targets))
        .where(device_models.c.release > release)
        .group_by(device_models.c.release)
        .order_by(device_models.c.release.desc())
    )
    parts = [
        f"{plural(number, 'device')} from release {newer} back to {release}"
        for newer, number in connection.execute(query)
    ]
    return f"this takes {', '.join(parts)}" if parts else ""


def _stages(created: Created, slots: list[int]) -> dict[int, int]:
    """Returns {slot: stage that opens it}, computed as the ticks do."""
    counts: dict[int, int] = defaultdict(int)
    for slot in slots:
        counts[slot] += 1
    found: dict[int, int] = {}
    width, least = 0, created.plan.judge.least_devices
    for number, stage in enumerate(created.plan.stages):
        if stage.percent is None:
            continue
        new = cohorts.widen(counts, created.start_slot, width, stage.percent, least)
        found.update(dict.fromkeys(cohorts.opened(created.start_slot, width, new), number))
        width = new
    return found


def _shortfalls(needs: dict[str, Any], row: Any) -> list[str]:
    """Returns why the device, by its last report, would reject the release. Kernels are not
    checked: only the board knows them."""
    has = {
        "flash": row.free_flash,
        "ram": row.free_ram,
        "runtime": row.runtime,
        "runtime_version": row.runtime_version,
        "accelerator": row.accelerator,
        "kernels": None,
    }
    return list(shortfalls(needs, has))
