"""The checks of what an authentic order says (checks.py lists all checks).

Each check raises ValueError with the problem. The message must fit into a report's text
(MAX_TEXT) even with two names of MAX_NAME characters in it.
"""

from modelwave_shared import slots

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_agent.case import Case

CLOCK_SKEW_SECONDS = 300  # a host's clock may be this far behind the controller's


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
    order, taken = case.order, case.record["order"]
    root_epoch = case.device.root["epoch"]
    if order["epoch"] != root_epoch:
        raise ValueError(
            "the order is of epoch %d, this device's root is of epoch %d"
            % (order["epoch"], root_epoch)
        )
    number, floor = (order["epoch"], order["seq"]), (taken["epoch"], taken["seq"])
    if number < floor:
        raise ValueError(
            "order %d of epoch %d is older than order %d of epoch %d, which was taken already"
            % (number[1], number[0], floor[1], floor[0])
        )
    if number == floor and case.digest != taken["sha256"]:
        raise ValueError(
            "another order %d was taken already; give this one a new number" % floor[1]
        )


def time(case: "Case") -> None:
    """Compares the order's times with the clock, or with the latest signed time if there is no
    clock or it is behind that time."""
    known = case.record["time"]
    wall = case.wall if case.wall is not None and case.wall >= known else None
    now = known if wall is None else wall
    if case.order["expires"] <= now:
        witness = "the latest signed time" if wall is None else "this device's clock"
        raise ValueError(
            "the order expired %d seconds ago by %s" % (now - case.order["expires"], witness)
        )
    if wall is not None and case.order["issued"] > wall + CLOCK_SKEW_SECONDS:
        raise ValueError(
            "the order becomes valid in %d seconds by this device's clock; is the clock right?"
            % (case.order["issued"] - wall)
        )


def minimum(case: "Case") -> None:
    release = case.manifest["release"]
    least = case.device.root["minimum"].get(case.model, 0)
    if release < least:
        raise ValueError(
            "release %d is below %d, the least that the root of trust allows" % (release, least)
        )


def blacklist(case: "Case") -> None:
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
    found = shortfalls(case.manifest["needs"], case.has)
    if "loading" in case.manifest:
        from modelwave_shared import tensors

        found += tensors.shortfalls(case.manifest["loading"], case.has.get("runtimes", {}))
    if found:
        raise ValueError("; ".join(found))
