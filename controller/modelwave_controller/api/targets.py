"""The calls about targets."""

from functools import partial

from modelwave_controller.api.call import GET, Asked, Call
from modelwave_controller.api.words import NameOf
from modelwave_controller.models.targets import Target
from modelwave_controller.people.roles import VIEW


class One(Asked):
    target: NameOf


_call = partial(Call, "targets")

LIST: Call[Asked, list[Target]] = _call(
    "listTargets",
    GET,
    "/targets",
    Asked,
    list[Target],
    VIEW,
    "The hardware classes that releases are for: modelwave's, and the fleet's own.",
)
SHOW: Call[One, Target] = _call(
    "showTarget",
    GET,
    "/targets/{target}",
    One,
    Target,
    VIEW,
    "A target's limits, its firmware, and the sources of the figures.",
)
CALLS = (LIST, SHOW)
