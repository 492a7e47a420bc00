"""What an authentic order must say to be taken here: the later checks of checks.py, which
tells their order and what becomes of a refusal."""

from modelwave_agent.checks import Refused
from modelwave_shared import slots
from modelwave_shared.fit import shortfalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_agent.checks import Case

CLOCK_SKEW_SECONDS = 300  # a host's clock may be this far behind the controller's


def addressed(case: "Case") -> None:
    order, device = case.order, case.device
    for field, wanted in (
        ("fleet", device["fleet"]),
        ("target", device["target"]),
        ("model", case.model),
    ):
        if order[field] != wanted:
            raise Refused("addressed", "%s %s, here it is %s" % (field, order[field], wanted))
    if "device" in order:
        if order["device"] != device["device"]:
            raise Refused("addressed", "for device %s" % order["device"])
    elif not slots.contains(order["slots"], device["slot"]):
        raise Refused("addressed", "slot %d is not among the order's" % device["slot"])


def sequence(case: "Case") -> None:
    order, floor = case.order, case.record["order"]
    if order["epoch"] != case.root["epoch"]:
        raise Refused(
            "sequence", "epoch %d, the root says %d" % (order["epoch"], case.root["epoch"])
        )
    ours, new = (floor["epoch"], floor["seq"]), (order["epoch"], order["seq"])
    if new < ours or (new == ours and case.digest != floor["sha256"]):
        raise Refused("sequence", "%d is not above %d" % (order["seq"], floor["seq"]))


def time(case: "Case") -> None:
    """A clock that is behind what was signed already says nothing."""
    known = case.record["time"]
    wall = case.wall if case.wall is not None and case.wall >= known else None
    now = known if wall is None else wall
    if case.order["expires"] <= now:
        raise Refused("time", "expired %d seconds ago" % (now - case.order["expires"]), case.order)
    if wall is not None and case.order["issued"] > wall + CLOCK_SKEW_SECONDS:
        ahead = case.order["issued"] - wall
        raise Refused("time", "not valid for another %d seconds" % ahead, case.order)


def minimum(case: "Case") -> None:
    least = case.root["minimum"].get(case.model, 0)
    if case.manifest["release"] < least:
        raise Refused(
            "minimum", "release %d, least %d" % (case.manifest["release"], least), case.order
        )


def blacklist(case: "Case") -> None:
    if case.order["manifest"] in case.record["blacklist"]:
        raise Refused("blacklist", "this release failed its health check here", case.order)


def fit(case: "Case") -> None:
    if case.order["shadow"]:
        raise Refused(
            "fit", "shadow: this agent does not run models beside the live one", case.order
        )
    found = shortfalls(case.manifest["needs"], case.has)
    if found:
        raise Refused("fit", "; ".join(found), case.order)


CHECKS = {
    "addressed": addressed,
    "sequence": sequence,
    "time": time,
    "minimum": minimum,
    "blacklist": blacklist,
    "fit": fit,
}
