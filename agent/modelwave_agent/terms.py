"""The checks of what an authentic order says (checks.py lists all checks).

Each check raises ValueError with the problem. The message must fit into a report's text
(MAX_TEXT) even with two names of MAX_NAME characters in it.
"""

from modelwave_agent.record import is_of_epoch
from modelwave_shared import slots
from modelwave_shared.limits import (
    CLOCK_SKEW_SECONDS,
    EARLIEST_TIME,
    MAX_AHEAD_SECONDS,
    MAX_SEQ_STEP,
    MAX_TIME_STEP_SECONDS,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_agent.case import Case
    from modelwave_agent.types import Document, Record


def addressed(case: "Case") -> None:
    order, device = case.order, case.device
    for field, own in (("fleet", device.fleet), ("target", device.target), ("model", case.model)):
        if order[field] != own:
            raise ValueError("the order is for %s %s, not %s" % (field, order[field], own))
    if "device" in order:
        if order["device"] != device.name:
            raise ValueError("the order is for device %s, not %s" % (order["device"], device.name))
    elif not slots.contains(order["slots"], device.slot):
        raise ValueError("the order is not for slot %d, which this device is in" % device.slot)


def sequence(case: "Case") -> None:
    order, taken, root = case.order, case.record["order"], case.device.root
    if order["epoch"] != root["epoch"]:
        raise ValueError(
            "the order is of epoch %d, this device's root is of epoch %d"
            % (order["epoch"], root["epoch"])
        )
    floor = taken["seq"] if is_of_epoch(case.record, root["epoch"]) else 0
    if taken["epoch"] > root["epoch"] or order["seq"] < floor:
        raise ValueError(
            "order %d of epoch %d is older than order %d of epoch %d, which was taken already"
            % (order["seq"], order["epoch"], taken["seq"], taken["epoch"])
        )
    if order["seq"] == floor and case.digest != taken["sha256"]:
        raise ValueError(
            "another order %d was taken already; give this one a new number" % taken["seq"]
        )
    if order["seq"] > floor + MAX_SEQ_STEP:
        raise ValueError(
            "order %d is more than %d above order %d, the last one: no controller counts so fast"
            % (order["seq"], MAX_SEQ_STEP, floor)
        )


def root(case: "Case") -> None:
    expires = case.device.root.get("expires")
    now = present(_base(case), case.wall, case.is_synchronised)
    if expires is not None and expires <= now:
        raise ValueError(
            "the root of trust expired %d seconds ago; publish the next one" % (now - expires)
        )


def time(case: "Case") -> None:
    order, base = case.order, _base(case)
    now = present(base, case.wall, case.is_synchronised)
    if order["expires"] <= now:
        raise ValueError(
            "the order expired %d seconds ago by %s"
            % (now - order["expires"], _witness(now, case.wall))
        )
    if is_ahead(order["issued"], now, case.is_synchronised):
        raise ValueError(
            "the order becomes valid in %d seconds by %s; is the clock right?"
            % (order["issued"] - now, _witness(now, case.wall))
        )
    case.floor = moved_floor(base, order["issued"], case.wall, case.is_synchronised)


def _base(case: "Case") -> int:
    root = case.device.root
    return base_time(known_time(case.record, root), root)


def _witness(now: int, wall: "int | None") -> str:
    return "this device's clock" if now == wall else "the latest signed time"


def minimum(case: "Case") -> None:
    release = case.manifest["release"]
    least = case.device.root["minimum"].get(case.model, 0)
    if release < least:
        raise ValueError(
            "release %d is below %d, the least that the root of trust allows" % (release, least)
        )


def blacklist(case: "Case") -> None:
    if not is_of_epoch(case.record, case.device.root["epoch"]):
        return
    if case.order.get("extra", {}).get("lift_ban"):
        return
    if case.order["manifest"] in case.record["blacklist"]:
        raise ValueError(
            "this release failed a health check on this device; order another one, or this one "
            "with `modelwave rollout start --lift-ban REASON`"
        )


def fit(case: "Case") -> None:
    from modelwave_shared.fit import shortfalls  # in memory only if an order reaches this check

    if case.order["shadow"]:
        from modelwave_agent.shadow import refusal

        told = refusal(case.order, case.record, case.shadow)
        if told:
            raise ValueError("shadow: " + told)
    has = case.resources()
    found = shortfalls(case.manifest["needs"], has)
    if "loading" in case.manifest:
        from modelwave_shared import tensors

        found += tensors.shortfalls(case.manifest["loading"], has.get("runtimes", {}))
    if found:
        raise ValueError("; ".join(found))


# The time that a device can trust. `base` is the time that has passed for sure: base_time gives it.
# `wall` is the clock's time, None without a clock; `is_synchronised`: whether the clock is set by
# others (NTP, GPS), so that it is believed whatever was signed.


def known_time(record: "Record", root: "Document") -> int:
    """Returns the latest time that orders of this epoch have signed; 0 if there was none."""
    known: int = record["time"] if is_of_epoch(record, root["epoch"]) else 0
    return known


def base_time(known: int, root: "Document") -> int:
    """Returns the time that has passed for sure. `known`: the latest signed time of the epoch;
    `root`: the checked root document."""
    issued: int = root.get("extra", {}).get("issued", EARLIEST_TIME)
    return max(known, issued)


def present(base: int, wall: "int | None", is_synchronised: bool) -> int:
    """Returns the time that expiry is compared with."""
    if wall is None:
        return base
    return wall if is_synchronised else max(wall, base)


def is_ahead(signed: int, now: int, is_synchronised: bool) -> bool:
    """Whether a document that was signed at `signed` is not valid yet; `now`: see `present`."""
    return signed > now + (CLOCK_SKEW_SECONDS if is_synchronised else MAX_AHEAD_SECONDS)


def moved_floor(base: int, signed: int, wall: "int | None", is_synchronised: bool) -> int:
    """Returns the latest signed time after a document with the time `signed` was taken. It moves
    by MAX_TIME_STEP_SECONDS at most. A synchronised clock that is behind it brings it back."""
    floor = min(max(base, signed), base + MAX_TIME_STEP_SECONDS)
    return min(floor, wall) if is_synchronised and wall is not None else floor
