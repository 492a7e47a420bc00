"""The calls about rollouts."""

from functools import partial
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from modelwave_controller.api.call import GET, POST, Asked, Call
from modelwave_controller.api.words import Words
from modelwave_controller.people.roles import APPROVE, OPERATE, VIEW
from modelwave_controller.results.report import RolloutReport
from modelwave_controller.results.rollouts import Entry, Promoted, Status
from modelwave_shared.limits import MAX_NAME

NEWEST = "@newest"  # in place of a rollout's number


def _named(text: str) -> str:
    if not 1 <= len(text) <= MAX_NAME:
        raise ValueError(
            f"no rollout or model is called {text[:MAX_NAME]!r}; see `modelwave rollout list`"
        )
    return text


# The number of a rollout, or its model, which means the newest one of it; digits are always a
# number.
Which = Annotated[
    str,
    AfterValidator(_named),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_NAME}),
]
Device = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]


def newest_if_none(which: str | None) -> str:
    """Returns what a call says for a rollout that a person may leave out."""
    return NEWEST if which is None else which


def none_if_newest(which: str) -> str | None:
    """Returns the number or the model; None for the newest of all."""
    return None if which == NEWEST else which


class One(Asked):
    rollout: Which


class Report(One):
    """`utc`: moments within texts are in UTC, and not in the service's local time."""

    utc: bool = False


class Act(One):
    """`reason`: why; the log keeps it."""

    reason: Words = ""


class Resume(One):
    """`accept`: the reason to overrule the gate that holds the rollout; "": it is waited for
    again, and its devices are ordered anew."""

    accept: Words = ""


class Promote(Act):
    """`force`: also if a gate is pending, INCONCLUSIVE or FAIL; `full`: the stages after it do not
    soak either."""

    force: bool = False
    full: bool = False


class Approve(Act):
    """`stage`: from 1; None: the next one."""

    stage: Annotated[int, Field(ge=1, le=100)] | None = None


class Retry(Act):
    """`devices`, and those with one of these `outcomes`; neither: those that failed or are
    silent."""

    devices: list[Device] = Field([], max_length=10_000)
    outcomes: list[Annotated[str, Field(max_length=40)]] = Field([], max_length=20)


_call = partial(Call, "rollouts")

LIST: Call[Asked, list[Entry]] = _call(
    "listRollouts", GET, "/rollouts", Asked, list[Entry], VIEW, "All rollouts, the newest last."
)
STATUS: Call[One, Status] = _call(
    "showRollout",
    GET,
    "/rollouts/{rollout}",
    One,
    Status,
    VIEW,
    "Its status, why, what comes next, and a row for each stage.",
)
REPORT: Call[Report, RolloutReport] = _call(
    "reportRollout",
    GET,
    "/rollouts/{rollout}/report",
    Report,
    RolloutReport,
    VIEW,
    "All that is known about it, for a page to file.",
)
PAUSE: Call[Act, Status] = _call(
    "pauseRollout",
    POST,
    "/rollouts/{rollout}/pause",
    Act,
    Status,
    OPERATE,
    "Open no further stage; a FAIL still reverts.",
)
RESUME: Call[Resume, Status] = _call(
    "resumeRollout",
    POST,
    "/rollouts/{rollout}/resume",
    Resume,
    Status,
    OPERATE,
    "Go on after a pause or a hold.",
)
PROMOTE: Call[Promote, Promoted] = _call(
    "promoteRollout",
    POST,
    "/rollouts/{rollout}/promote",
    Promote,
    Promoted,
    OPERATE,
    "End the soak of the newest stage, or the wait for a start time.",
)
APPROVE_STAGE: Call[Approve, Status] = _call(
    "approveStage",
    POST,
    "/rollouts/{rollout}/approve",
    Approve,
    Status,
    APPROVE,
    "Approve a stage before which the plan asks for approval.",
)
RETRY: Call[Retry, Status] = _call(
    "retryRollout",
    POST,
    "/rollouts/{rollout}/retry",
    Retry,
    Status,
    OPERATE,
    "Order devices its release anew.",
)
ABORT: Call[Act, Status] = _call(
    "abortRollout",
    POST,
    "/rollouts/{rollout}/abort",
    Act,
    Status,
    OPERATE,
    "Stop it, and leave everything as it is.",
)
REVERT: Call[Act, Status] = _call(
    "revertRollout",
    POST,
    "/rollouts/{rollout}/revert",
    Act,
    Status,
    OPERATE,
    "Order the release before, wherever it was ordered.",
)
CALLS = (LIST, STATUS, REPORT, PAUSE, RESUME, PROMOTE, APPROVE_STAGE, RETRY, ABORT, REVERT)
