"""The calls that look after the controller itself: its clock, its log, its order numbers."""

from functools import partial
from typing import Annotated

from pydantic import Field

from modelwave_controller.api.call import GET, POST, Asked, Call
from modelwave_controller.api.words import Words
from modelwave_controller.people.roles import ADMINISTER, VIEW
from modelwave_controller.results.upkeep import (
    ClockState,
    Numbers,
    PrunedRollout,
    RecoveredNumbers,
    VerifiedLog,
)
from modelwave_shared.limits import MAX_NAME

DAY_SECONDS = 86400
PRUNED_AFTER = 90 * DAY_SECONDS
MAX_AGE = 100 * 365 * DAY_SECONDS
SECONDS = 900.0  # that the walk over a long log may take

Model = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
# A person's number to go on above; how high it may be, the controller says with the reason.
To = Annotated[int, Field(ge=-(10**18), le=10**18)]


class Accept(Asked):
    """`reason`: why the clock is right; the log keeps it."""

    reason: Annotated[Words, Field(min_length=1)]


class Verify(Asked):
    """`head`: ID:HASH, as it was answered earlier and kept elsewhere: what was the log then must be
    the beginning of this one."""

    head: Annotated[str, Field(max_length=100)] | None = None


class Prune(Asked):
    """`older_than`: only rollouts over which so many seconds have passed."""

    older_than: Annotated[int, Field(ge=0, le=MAX_AGE)] = PRUNED_AFTER


class OfModel(Asked):
    """`to`: the number to go on above; None: what devices report."""

    model: Model
    to: To | None = None


_call = partial(Call, "upkeep")

CLOCK: Call[Asked, ClockState] = _call(
    "showClock",
    GET,
    "/clock",
    Asked,
    ClockState,
    VIEW,
    "Whether the clock is in doubt, so that no order is signed, and why.",
)
ACCEPT_CLOCK: Call[Accept, ClockState] = _call(
    "acceptClock",
    POST,
    "/clock/accept",
    Accept,
    ClockState,
    ADMINISTER,
    "Accept that the clock of the controller's machine is right now.",
)
VERIFY_LOG: Call[Verify, VerifiedLog] = _call(
    "verifyLog",
    GET,
    "/log/verify",
    Verify,
    VerifiedLog,
    VIEW,
    "Whether an event of the log was changed, removed, added or moved; one at a time.",
    seconds=SECONDS,
)
PRUNABLE: Call[Prune, list[PrunedRollout]] = _call(
    "listPrunable",
    GET,
    "/log/prunable",
    Prune,
    list[PrunedRollout],
    VIEW,
    "The rollouts whose devices' answers `pruneLog` would delete.",
)
PRUNE_LOG: Call[Prune, list[PrunedRollout]] = _call(
    "pruneLog",
    POST,
    "/log/prune",
    Prune,
    list[PrunedRollout],
    ADMINISTER,
    "Delete devices' answers to old rollouts, and keep their counts.",
    seconds=SECONDS,
)
NUMBERS: Call[Asked, list[Numbers]] = _call(
    "listOrderNumbers",
    GET,
    "/order-numbers",
    Asked,
    list[Numbers],
    VIEW,
    "The order numbers of all models: the controller's, and those of devices.",
)
NUMBERS_OF: Call[OfModel, Numbers] = _call(
    "showOrderNumbers",
    GET,
    "/order-numbers/{model}",
    OfModel,
    Numbers,
    VIEW,
    "The order numbers of a model.",
)
RECOVER: Call[OfModel, RecoveredNumbers] = _call(
    "recoverOrderNumbers",
    POST,
    "/order-numbers/{model}/recover",
    OfModel,
    RecoveredNumbers,
    ADMINISTER,
    "Go on above the devices' order numbers, after the database was restored or lost.",
)
CALLS = (
    CLOCK,
    ACCEPT_CLOCK,
    VERIFY_LOG,
    PRUNABLE,
    PRUNE_LOG,
    NUMBERS,
    NUMBERS_OF,
    RECOVER,
)
