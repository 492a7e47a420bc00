"""What devices could make a new model from, and what deltas have spared them."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, func, select, text

from modelwave_controller.results.rollouts import Saved
from modelwave_controller.storage.devices import reads
from modelwave_controller.storage.tables import device_models, devices
from modelwave_shared.deltas import BSDIFF
from modelwave_shared.words import READS_DELTAS


class Alive(NamedTuple):
    """A release that devices run: its manifest's sha256, how many apply deltas, and the highest
    kind, of those known here, that one of them applies."""

    manifest: str
    devices: int
    reads: int


def alive(connection: Connection, model: str, target: str) -> list[Alive]:
    """Returns the releases of the model from which devices of the target may go on by a delta, the
    one of most devices first."""
    query = (
        select(device_models.c.sha256, devices.c.reads, func.count())
        .join(devices, devices.c.device == device_models.c.device)
        .where(devices.c.target == target, device_models.c.model == model)
        .where(device_models.c.sha256 != "")
        .group_by(device_models.c.sha256, devices.c.reads)
    )
    found: dict[str, Alive] = {}
    for manifest, said, number in connection.execute(query):
        # Agents of later versions may apply more kinds, and a device may say anything.
        if kind := min(reads(said).get(READS_DELTAS, 0), BSDIFF):
            _, more, highest = found.get(manifest, (manifest, 0, 0))
            found[manifest] = Alive(manifest, more + number, max(highest, kind))
    return sorted(found.values(), key=lambda one: (-one.devices, one.manifest))


def saved(connection: Connection, manifests: Sequence[str]) -> Saved:
    """Returns how many devices run one of these releases and have got it by a delta, and how many
    bytes that has spared them together."""
    query = select(func.count(), func.coalesce(func.sum(device_models.c.saved), 0))
    # As the index says it: a parameter in place of the 0 would not find it.
    query = query.where(device_models.c.sha256.in_(manifests), text("saved > 0"))
    number, spared = connection.execute(query).one()
    return Saved(number, int(spared))
