"""The calls about alerts."""

from functools import partial

from modelwave_controller.api.call import GET, POST, Asked, Call
from modelwave_controller.api.words import NameOf
from modelwave_controller.people.roles import OPERATE, VIEW
from modelwave_controller.results.alerts import AlertState, Tested


class One(Asked):
    alert: NameOf


_call = partial(Call, "alerts")

LIST: Call[Asked, list[AlertState]] = _call(
    "listAlerts",
    GET,
    "/alerts",
    Asked,
    list[AlertState],
    VIEW,
    "The alerts of the settings, and how far each has come.",
)
TEST: Call[One, Tested] = _call(
    "testAlert",
    POST,
    "/alerts/{alert}/test",
    One,
    Tested,
    OPERATE,
    "Send a message that tells nothing, once.",
)
CALLS = (LIST, TEST)
