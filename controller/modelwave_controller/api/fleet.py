"""The calls about the fleet as a whole, and its log."""

from functools import partial
from typing import Annotated

from pydantic import Field

from modelwave_controller.api.call import GET, Asked, Call
from modelwave_controller.api.rollouts import Which
from modelwave_controller.people.roles import VIEW
from modelwave_controller.results.deployments import DeploymentsPage
from modelwave_controller.results.fleet import Fleet
from modelwave_controller.results.log import LogEntry, LogPage
from modelwave_shared.limits import MAX_NAME

LOG_PAGE = 1000  # events
MAX_LINES = 1_000_000
DEPLOYMENTS = 20_000  # of a page


class Log(Asked):
    """The newest `limit` events, a page at a time.

    rollout: only of this one; None: of all, and acts that belong to none
    answers: those of devices too
    since: only from this moment on, Unix seconds
    cursor: `next` of the page before; "": the first page
    """

    rollout: Which | None = None
    answers: bool = False
    since: Annotated[float, Field(ge=0, le=1e11)] | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_LINES)] = LOG_PAGE
    cursor: Annotated[str, Field(pattern=r"^([0-9]{1,18}-[0-9]{1,18})?$")] = ""


class Stream(Asked):
    """The events as they come, after the event `after`; None: from now on.

    rollout: only of this one; None: of all, and acts that belong to none
    answers: those of devices too
    """

    rollout: Which | None = None
    answers: bool = False
    after: Annotated[int, Field(ge=0, lt=10**18)] | None = None


class Deployments(Asked):
    """Which device ran which release when: of one model or device, and only what ran at `since`,
    Unix seconds, or later. `cursor`: `next` of the page before."""

    model: Annotated[str, Field(max_length=MAX_NAME)] = ""
    device: Annotated[str, Field(max_length=MAX_NAME)] = ""
    since: Annotated[float, Field(ge=0, le=1e11)] | None = None
    limit: Annotated[int, Field(ge=1, le=DEPLOYMENTS)] = DEPLOYMENTS
    cursor: Annotated[str, Field(pattern=r"^([0-9]{1,18}-[0-9]{1,18})?$")] = ""


_call = partial(Call, "fleet")

STATUS: Call[Asked, Fleet] = _call(
    "showFleet",
    GET,
    "/fleet",
    Asked,
    Fleet,
    VIEW,
    "Devices by target, live releases, the service, and what is wrong.",
)
LOG: Call[Log, LogPage] = _call(
    "showLog", GET, "/log", Log, LogPage, VIEW, "What happened, who did it and why."
)
# It has no end, so no desk does it: web/live.py.
STREAM: Call[Stream, LogEntry] = _call(
    "streamLog", GET, "/log/stream", Stream, LogEntry, VIEW, "The log as it grows."
)
DEPLOYMENTS_OF: Call[Deployments, DeploymentsPage] = _call(
    "listDeployments",
    GET,
    "/deployments",
    Deployments,
    DeploymentsPage,
    VIEW,
    "Which device ran which release when, from the log.",
)
CALLS = (STATUS, LOG, DEPLOYMENTS_OF)
