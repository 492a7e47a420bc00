"""Previews a rollout: the stage of each device, the devices that the release does not fit, those
that run a newer one, and the held-out metrics of the release and of the one before it.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, func, select

from modelwave_controller.phrases import plural
from modelwave_controller.releases import heldout
from modelwave_controller.releases.bundles import Signed
from modelwave_controller.releases.catalog import Releases
from modelwave_controller.releases.heldout import Share
from modelwave_controller.results.starts import (
    ComparedShares,
    HeldOut,
    HeldOutShare,
    PlannedDevice,
)
from modelwave_controller.rollout import cohorts, formats
from modelwave_controller.rollout.events import Created
from modelwave_controller.rollout.state import Rollout, Wave
from modelwave_controller.storage import devices as stored
from modelwave_controller.storage import last_heard, log, offers
from modelwave_controller.storage.tables import device_models, devices
from modelwave_shared import tensors
from modelwave_shared.fit import shortfalls
from modelwave_shared.words import ROLLED_BACK, SUCCEEDED

_OWN_NUMBERING = (
    " (the version of ai-edge-litert, which its agent compares with TensorFlow Lite's: update the"
    " agent, or create the release with --runtime tflite)"
)


def preview(
    connection: Connection, created: Created, releases: dict[str, Signed]
) -> list[PlannedDevice]:
    """Returns the devices of the rollout's targets that report its model, by stage, target and
    name."""
    runs = select(device_models.c.device).where(device_models.c.model == created.model)
    query = select(*last_heard.COLUMNS).select_from(last_heard.NEWEST)
    query = query.where(devices.c.target.in_(created.releases), devices.c.device.in_(runs))
    by_target: dict[str, list[Any]] = defaultdict(list)
    for row in connection.execute(query.order_by(devices.c.device)):
        by_target[row.target].append(row)
    places = []
    for target, rows in sorted(by_target.items()):
        stages, shadows = (
            _stages(created, {row.device: row.slot for row in rows}, shadow)
            for shadow in (False, True)
        )
        manifest = releases[target].document
        places += [
            PlannedDevice(
                device=row.device,
                target=target,
                slot=row.slot,
                stage=stages[row.device],
                shortfalls=_shortfalls(manifest, row),
                unreadable=formats.shortfalls(created.releases[target], stored.reads(row.reads)),
                shadow_stage=shadows.get(row.device),
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


def held_out(releases: Releases, created: Created, new: dict[str, Signed]) -> dict[str, HeldOut]:
    """Returns the metrics of each target of the rollout, whose releases by target are `new`."""
    found = {}
    for target in sorted(created.releases):
        before = created.previous.get(target)
        old = before and releases.of_digest(created.model, before.manifest)
        found[target] = _held_out(_shares(new[target]), _shares(old) if old else {})
    return found


def _held_out(new: dict[str, Share], old: dict[str, Share]) -> HeldOut:
    compared = [
        ComparedShares(
            name=one.name,
            new=_shown(one.new),
            old=_shown(one.old),
            difference=one.difference,
            least=one.least,
            most=one.most,
            worse=one.worse,
        )
        for one in heldout.compare(new, old)
    ]
    return HeldOut(_all_shown(new), _all_shown(old), compared)


def _all_shown(shares: dict[str, Share]) -> dict[str, HeldOutShare]:
    return {name: _shown(share) for name, share in shares.items()}


def _shown(share: Share) -> HeldOutShare:
    return HeldOutShare(share.value, share.n)


def _shares(release: Signed) -> dict[str, Share]:
    return heldout.shares(release.manifest.lineage.metrics)


def banned(connection: Connection, created: Created) -> list[str]:
    """Returns the known devices that rolled the release of `created` back, by their answers, and
    have not confirmed it since: they reject it, unless its orders lift the ban."""
    manifests = {target: release.manifest for target, release in created.releases.items()}
    names: dict[str, bool] = {}
    for target, answers in _answers(connection, created.model, manifests):
        here = stored.that_run(connection, list(answers), created.model, [target])
        names.update({name: answers[name] == ROLLED_BACK for name in here})
    return sorted(name for name, is_banned in names.items() if is_banned)


def _answers(
    connection: Connection, model: str, manifests: dict[str, str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields the outcomes, by device, ROLLED_BACK or SUCCEEDED, of orders for these manifests (by
    target), the oldest rollout first."""
    control = log.folded(connection, reports_of=[])
    those = [
        r.id
        for r in control.rollouts.values()
        if r.model == model and any(_brings(r, *one) for one in manifests.items())
    ]
    found = log.folded(connection, reports_of=those)
    for rollout in (found.rollouts[number] for number in those):
        waves = [*rollout.stages, rollout.settled, rollout.back]
        for target, manifest in manifests.items():
            for wave in waves:
                if wave is None or not _orders(wave, target, manifest):
                    continue
                yield (
                    target,
                    {
                        device: answer.outcome
                        for device, answer in wave.answers.items()
                        if answer.outcome in (ROLLED_BACK, SUCCEEDED)
                    },
                )


def _brings(rollout: Rollout, target: str, manifest: str) -> bool:
    created = rollout.created
    releases = (created.releases.get(target), created.previous.get(target))
    return any(release is not None and release.manifest == manifest for release in releases)


def _orders(wave: Wave, target: str, manifest: str) -> bool:
    return any(
        order.target == target and order.release.manifest == manifest for order in wave.orders
    )


def _stages(created: Created, slots: Mapping[str, int], shadow: bool) -> dict[str, int]:
    """Returns {device: the shadow stage, or the other one, that opens it}, computed as the ticks
    do; `slots` are those of the devices."""
    counts = Counter(slots.values())
    opened: dict[int, int] = {}
    named: dict[str, int] = {}
    width, least = 0, created.plan.judge.least_devices
    for number, stage in enumerate(created.plan.stages):
        if stage.shadow != shadow:
            continue
        named.update(dict.fromkeys(stage.devices, number))
        if stage.percent is None:
            continue
        new = cohorts.widen(counts, created.drawn, width, stage.percent, least)
        opened.update(dict.fromkeys(created.drawn[width:new], number))
        width = new
    return {
        device: found
        for device, slot in slots.items()
        if (found := named.get(device, opened.get(slot))) is not None
    }


def _shortfalls(manifest: dict[str, Any], row: Any) -> list[str]:
    """Returns why the device, by its last report, would reject the release. Kernels are not
    checked: only the board knows them."""
    runtimes = offers.runtimes(row.runtime, row.runtime_version)
    has = {
        "flash": row.free_flash,
        "ram": row.free_ram,
        "runtime": next(iter(runtimes), ""),
        "runtime_version": row.runtime_version,
        "runtimes": runtimes,
        "accelerator": row.accelerator,
        "kernels": None,
    }
    found = shortfalls(manifest["needs"], has)
    found += tensors.shortfalls(manifest.get("loading", {}), runtimes)
    if offers.own_numbering(runtimes):
        return [text + _OWN_NUMBERING * text.startswith("runtime: ") for text in found]
    return found
