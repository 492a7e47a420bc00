"""The calls about which devices belong to the fleet."""

from functools import partial

from pydantic import Field

from modelwave_controller.api.call import POST, Asked, Call
from modelwave_controller.api.words import NameOf
from modelwave_controller.people.roles import ADMINISTER
from modelwave_controller.results.enrolment import Approved, Revoked

MAX_DEVICES = 10_000


class Those(Asked):
    devices: list[NameOf] = Field(min_length=1, max_length=MAX_DEVICES)


_call = partial(Call, "enrolment")

APPROVE: Call[Those, Approved] = _call(
    "approveDevices",
    POST,
    "/enrolment/approve",
    Those,
    Approved,
    ADMINISTER,
    "Let devices count that nobody enrolled, from their next report on.",
)
REVOKE: Call[Those, Revoked] = _call(
    "revokeDevices",
    POST,
    "/enrolment/revoke",
    Those,
    Revoked,
    ADMINISTER,
    "Take back what devices were enrolled with, and forget them: nothing from them counts.",
)
CALLS = (APPROVE, REVOKE)
