"""Finds the orders that devices would refuse under the newest root: of another epoch, signed by a
key that is no order key any more, or with a manifest that too few release keys have signed.

What is retained must be valid under the newest root. A device that was off for months takes the
roots first, and then finds nothing else that it may take.
"""

import hashlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from sqlalchemy import Connection

from modelwave_controller.errors import TrustError
from modelwave_controller.rollout.events import Release
from modelwave_controller.rollout.numbers import Number
from modelwave_controller.rollout.state import State, Wanted
from modelwave_controller.storage import outbox, retained
from modelwave_controller.trust import roots
from modelwave_shared import documents, dsse
from modelwave_shared.words import MANIFEST, ORDER

# Returns the envelope of a manifest in the home: of this model, release number and target.
InHome = Callable[[str, int, str], bytes | None]
Document = dict[str, Any]


class Unsound(NamedTuple):
    """Orders of one model that devices would refuse. `due`: the numbers of those that can be signed
    anew; `stuck`: the releases of the others, whose manifests must be signed first."""

    due: set[Number]
    stuck: set[int]


def of(connection: Connection, root: Document, in_home: InHome, state: State) -> dict[str, Unsound]:
    """Returns, by model, the newest orders of slots and devices that `root` does not allow."""
    found: dict[str, Unsound] = {}
    # Many orders share a release, and a signature takes longer to verify than a look here.
    manifests: dict[tuple[str, str, Release], tuple[bytes, bool]] = {}
    for model, target, wanted in _standing(state):
        message = retained.message(connection, model, wanted.number)
        if not message:
            continue  # of before they were kept
        order, _, signed = message.partition(b"\n")
        key = (model, target, wanted.release)
        if key not in manifests:
            best = manifest(connection, root, in_home, target, model, wanted.release)
            manifests[key] = best, is_signed(MANIFEST, best, root)
        best, is_sound = manifests[key]
        entry = found.setdefault(model, Unsound(set(), set()))
        if not is_sound:
            entry.stuck.add(wanted.release.release)
        if not _is_order(order, root) or (signed != best and not is_signed(MANIFEST, signed, root)):
            entry.due.add(wanted.number)
    return {model: entry for model, entry in found.items() if entry.due or entry.stuck}


def left_over(connection: Connection, root: Document) -> list[str]:
    """Returns the topics that are to hold an order that `root` does not allow. When those that
    stand were signed anew, the others are older ones, which nobody needs."""
    held = outbox.rows_under(connection, root["fleet"], ("desired",))
    by_message: dict[str, list[str]] = {}
    for topic, row in held.items():
        if row.digest:
            by_message.setdefault(row.digest, []).append(topic)
    return [
        topic
        for digest, topics in by_message.items()
        if not _is_order(outbox.blob(connection, digest).partition(b"\n")[0], root)
        for topic in topics
    ]


def _standing(state: State) -> Iterable[tuple[str, str, Wanted]]:
    """Yields (model, target, order) of each order that is the newest of a slot or a device."""
    for (model, target), slots in state.desired.items():
        for wanted in set(slots.values()):
            yield model, target, wanted
    for model, devices in state.alone.items():
        for alone in devices.values():
            yield model, alone.target, alone.wanted


def manifest(
    connection: Connection,
    root: Document,
    in_home: InHome,
    target: str,
    model: str,
    release: Release,
) -> bytes:
    """Returns the manifest's envelope that devices take under `root`: the one of the database, else
    that of the home, which may have been signed anew since; the first if neither is signed."""
    kept = outbox.blob(connection, release.envelope)
    if is_signed(MANIFEST, kept, root):
        return kept
    other = in_home(model, release.release, target)
    if other and is_signed(MANIFEST, other, root) and _digest(other) == release.manifest:
        return other
    return kept


def _is_order(envelope: bytes, root: Document) -> bool:
    try:
        order, _ = roots.open_signed(ORDER, envelope, root, "order")
    except TrustError:
        return False
    return bool(order["epoch"] == root["epoch"])


def is_signed(kind: str, envelope: bytes, root: Document) -> bool:
    """Returns whether enough keys have signed the envelope; its document is not looked at."""
    try:
        read = dsse.read(envelope)
        documents.require_kind(read, kind)
        documents.verify(read, root)
    except ValueError:
        return False
    return True


def _digest(envelope: bytes) -> str:
    return hashlib.sha256(dsse.read(envelope).payload).hexdigest()
