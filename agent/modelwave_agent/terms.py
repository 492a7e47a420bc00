"""What an authentic order must say to be taken here: the later checks of checks.py, which
tells their order and what becomes of a refusal."""

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
            raise ValueError("%s %s, here it is %s" % (field, order[field], wanted))
    if "device" in order:
        if order["device"] != device["device"]:
            raise ValueError("for device %s" % order["device"])
    elif not slots.contains(order["slots"], device["slot"]):
        raise ValueError("slot %d is not among the order's" % device["slot"])


def sequence(case: "Case") -> None:
    order, floor = case.order, case.record["order"]
    if order["epoch"] != case.root["epoch"]:
        raise ValueError("epoch %d, the root says %d" % (order["epoch"], case.root["epoch"]))
    ours, new = (floor["epoch"], floor["seq"]), (order["epoch"], order["seq"])
    if new < ours or (new == ours and case.digest != floor["sha256"]):
        raise ValueError("%d is not above %d" % (order["seq"], floor["seq"]))


def time(case: "Case") -> None:
    """A clock that is behind what was signed already says nothing."""
    known = case.record["time"]
    wall = case.wall if case.wall is not None and case.wall >= known else None
    now = known if wall is None else wall
    if case.order["expires"] <= now:
        raise ValueError("expired %d seconds ago" % (now - case.order["expires"]))
    if wall is not None and case.order["issued"] > wall + CLOCK_SKEW_SECONDS:
        raise ValueError("not valid for another %d seconds" % (case.order["issued"] - wall))


def minimum(case: "Case") -> None:
    release, least = case.manifest["release"], case.root["minimum"].get(case.model, 0)
    if release < least:
        raise ValueError("release %d, least %d" % (release, least))


def blacklist(case: "Case") -> None:
    if case.order["manifest"] in case.record["blacklist"]:
        raise ValueError("this release failed its health check here")


def fit(case: "Case") -> None:
    if case.order["shadow"]:
        raise ValueError("shadow: no model runs beside the live one here")
    found = shortfalls(case.manifest["needs"], case.has)
    if found:
        raise ValueError("; ".join(found))


CHECKS = {
    "addressed": addressed,
    "sequence": sequence,
    "time": time,
    "minimum": minimum,
    "blacklist": blacklist,
    "fit": fit,
}
