"""Decides about each retained message at the broker that differs from what the outbox holds.

    the broker has            the outbox holds    what is done
    the same                  the same            nothing
    nothing                   a message           it is made due again
    another message           a message           it is made due again
    a message                 nothing             an order is cleared; a root document stays

The outbox is right, but in one case: the broker holds an order that this fleet's key has signed,
and its number is above all that the database knows, or the database has another order with that
number. Then the database is older than that order (it was lost, or restored from a backup), or it
is not the only one of the fleet. That is noted in the log, so that no order of the model is signed
until `modelwave recover`. Until an order of this database is newer than all that was found, for
topics of that model:

    nothing                                        it stays so
    an order of ours, not older than all of ours   it stays
    anything else                                  it is cleared

Where the broker has the root that follows this home's, the home is older than the orders there, and
cannot judge them: all orders that differ stay until the home has caught up (roots_in_use.py).

Only what differs is verified, and the same bytes once.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection

from modelwave_controller.errors import TrustError
from modelwave_controller.rollout.numbers import Number
from modelwave_controller.rollout.slot_sets import EVERY_SLOT, named_in
from modelwave_controller.storage import ahead, outbox, retained
from modelwave_controller.storage.outbox import Held
from modelwave_controller.trust import chain, roots
from modelwave_shared import documents, topics
from modelwave_shared.limits import MAX_ENVELOPE_BYTES, SLOTS
from modelwave_shared.slots import contains
from modelwave_shared.words import ORDER


class Seen(NamedTuple):
    """What the broker has on a topic: the sha256 of the message in hex, "" for none, and its first
    line, which is the order's envelope; b"" if it is too long for one."""

    digest: str
    envelope: bytes = b""


NOTHING = Seen("")
_SLOTS = {str(slot): slot for slot in range(SLOTS)}  # {end of a topic: slot}


class Verdict(NamedTuple):
    """What to do about the topics that differ. `newer`: {model: highest number} of orders that the
    database does not know, and that are not in its log yet."""

    due: list[str]
    clear: list[str]
    newer: dict[str, int]
    roots: dict[int, bytes]  # by version: those that the outbox does not hold, not verified


def seen(payload: bytes, digest: str) -> Seen:
    line = payload[: MAX_ENVELOPE_BYTES + 1].split(b"\n", 1)[0]
    return Seen(digest, line if len(line) <= MAX_ENVELOPE_BYTES else b"")


def judge(connection: Connection, root: dict[str, Any], differing: Mapping[str, Seen]) -> Verdict:
    """Returns the verdict on the topics of `differing`. `root` is the fleet's root document."""
    held = outbox.rows_of(connection, list(differing))
    numbers = _numbers(root, differing)
    newer = _newer(connection, root, differing, numbers)
    kept = {*ahead.not_surpassed(connection, root["epoch"]), *newer}
    epoch = root["epoch"]
    signed = {model: ahead.newest_signed(connection, model) for model in kept}
    found = Verdict([], [], newer, _unknown_roots(root["fleet"], differing, held))
    is_behind = _has_next_root(root, found.roots)
    for topic, one in differing.items():
        model = model_of(root["fleet"], topic)
        if model and is_behind:
            continue
        if model in kept:
            if one.digest and (epoch, numbers.get(topic, 0)) < signed[model]:
                found.clear.append(topic)
        elif _differs(held.get(topic), one.digest):
            found.due.append(topic)
        elif one.digest and topic not in held and model:
            found.clear.append(topic)
    return found


def _unknown_roots(
    fleet: str, differing: Mapping[str, Seen], held: Mapping[str, Held]
) -> dict[int, bytes]:
    found = {}
    for topic, one in differing.items():
        match topics.parts(fleet, topic):
            case ["root", version] if _is_version(version) and one.envelope and topic not in held:
                found[int(version)] = one.envelope
    return found


def _has_next_root(root: dict[str, Any], found: Mapping[int, bytes]) -> bool:
    version = documents.root_version(root) + 1
    if version not in found:
        return False
    try:
        chain.opened_next(found[version], root, f"root {version} at the broker")
    except TrustError:
        return False
    return True


def _is_version(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 11


def model_of(fleet: str, topic: str) -> str:
    """Returns the model of a topic for orders; "" for any other topic."""
    match topics.parts(fleet, topic):
        case ["desired", "device", _, model] | ["desired", _, model, _]:
            return model
    return ""


def _numbers(root: dict[str, Any], differing: Mapping[str, Seen]) -> dict[str, int]:
    """Returns {topic: number} of the orders that our key has signed for that topic."""
    orders: dict[bytes, dict[str, Any] | None] = {}
    found = {}
    for topic, one in differing.items():
        if not one.envelope or not model_of(root["fleet"], topic):
            continue
        if one.envelope not in orders:
            orders[one.envelope] = _order_in(root, one.envelope)
        order = orders[one.envelope]
        if order and _is_for(order, topics.parts(root["fleet"], topic)):
            found[topic] = int(order["seq"])
    return found


def _order_in(root: dict[str, Any], envelope: bytes) -> dict[str, Any] | None:
    """Returns the order of this fleet and its epoch in a signed envelope; None if it is none."""
    try:
        order, _ = roots.open_signed(ORDER, envelope, root, "an order at the broker")
    except TrustError:
        return None
    return order if order["epoch"] == root["epoch"] else None


def _is_for(order: Mapping[str, Any], parts: list[str]) -> bool:
    """Returns whether an order belongs on a topic of these parts."""
    _, second, third, last = parts
    if "device" in order:
        return ["device", order["device"], order["model"]] == [second, third, last]
    if last == "all":
        place = named_in(order) == EVERY_SLOT
    else:
        place = last in _SLOTS and contains(order["slots"], _SLOTS[last])
    return bool(place and [second, third] == [order["target"], order["model"]])


def _newer(
    connection: Connection,
    root: Mapping[str, Any],
    differing: Mapping[str, Seen],
    numbers: Mapping[str, int],
) -> dict[str, int]:
    """Returns {model: the highest number} of orders that the database does not know, and of which
    it has not noted one as high."""
    found: dict[str, int] = {}
    fleet, epoch = root["fleet"], root["epoch"]
    noted = {m: n.seq for m, n in ahead.found_newer(connection).items() if n.epoch == epoch}
    given: dict[str, int] = {}
    for topic, number in numbers.items():
        model = model_of(fleet, topic)
        if model not in given:
            given[model] = ahead.newest_given(connection, model, epoch)
        if number <= max(noted.get(model, 0), found.get(model, 0)):
            continue
        envelope = differing[topic].envelope
        if number > given[model] or _is_another(connection, model, Number(epoch, number), envelope):
            found[model] = number
    return found


def _is_another(connection: Connection, model: str, number: Number, envelope: bytes) -> bool:
    """Returns whether this database has signed another order with the number."""
    ours = retained.message(connection, model, number)
    return bool(ours) and ours.split(b"\n", 1)[0] != envelope


def _differs(held: Held | None, digest: str) -> bool:
    """Returns whether the broker has something else than the outbox holds, and nothing is on its
    way."""
    return held is not None and not held.due and held.digest != digest
