"""Which acts a rollout's page offers: those that the person's role and the rollout's status allow.
Pure.

It is an offer only: the call decides again, with the rollout as it is then.
"""

from typing import Any, NamedTuple

from modelwave_controller.api import rollouts as calls
from modelwave_controller.api.call import Call
from modelwave_controller.people.roles import APPROVE, OPERATE, Person
from modelwave_controller.results.rollouts import Status
from modelwave_controller.rollout import state, waiting


class Choice(NamedTuple):
    """A box to tick in an act's form."""

    field: str
    words: str


class Act(NamedTuple):
    """`field`: that of its reason, "" for none. `consequence`: what it does, in a sentence.
    `weight`: "main", "plain" or "grave"."""

    name: str
    title: str
    consequence: str
    weight: str
    call: Call[Any, Any]
    field: str = "reason"
    choices: tuple[Choice, ...] = ()


_FORCE = Choice("force", "also if its gate has not passed; give a reason")
_FULL = Choice("full", "the stages after it do not soak either")

APPROVE_ = Act(
    "approve", "Approve", "The stage opens when all else allows it.", "main", calls.APPROVE_STAGE
)
START = Act("promote", "Start now", "It does not wait for its start time.", "main", calls.PROMOTE)
PROMOTE = Act(
    "promote",
    "Promote",
    "Ends the soak of the newest stage, so that the next one opens.",
    "plain",
    calls.PROMOTE,
    choices=(_FORCE, _FULL),
)
PAUSE = Act(
    "pause",
    "Pause",
    "No further stage opens. A gate that fails still reverts.",
    "plain",
    calls.PAUSE,
)
RESUME = Act("resume", "Resume", "It goes on.", "main", calls.RESUME, field="")
OVERRULE = Act(
    "resume",
    "Resume",
    "With a reason its gate is overruled; without one the gate is waited for again, and the "
    "devices are ordered anew.",
    "main",
    calls.RESUME,
    field="accept",
)
RETRY = Act("retry", "Retry", "Orders anew what failed or is silent.", "plain", calls.RETRY)
ABORT = Act("abort", "Abort", "Stops it, and leaves everything as it is.", "grave", calls.ABORT)
REVERT = Act(
    "revert",
    "Revert",
    "Orders the release before, wherever this one was ordered.",
    "grave",
    calls.REVERT,
)
CALLS = {one.name: one.call for one in (APPROVE_, PROMOTE, PAUSE, RESUME, RETRY, ABORT, REVERT)}

DONE = {
    "start": "Started.",
    "approve": "Approved.",
    "promote": "Promoted.",
    "pause": "Paused.",
    "resume": "Resumed.",
    "retry": "Ordered anew at the next ticks.",
    "abort": "Aborted.",
    "revert": "The revert is asked for.",
}
DONE_WITH_DEVICES = {
    "tag": "The tags are changed.",
    "forget": "The device is forgotten until it reports again; its tags are kept.",
}


def offered(status: Status, person: Person) -> list[Act]:
    found: list[Act] = []
    waits = status.waits.what if status.waits else ""
    if waits == "approval" and person.may(APPROVE) and not approves_not(status, person):
        found.append(APPROVE_)
    if not person.may(OPERATE):
        return found
    word, opened = status.status, any(row.devices or row.gate for row in status.rows)
    if waits == "start":
        found.append(START)
    elif opened and waits != "approval" and word in (state.RUNNING, state.HELD):
        found.append(PROMOTE)
    # After a FAIL only `promote --force` goes on, and what comes next names it.
    if word == state.HELD and not _names(status, "promote"):
        found.append(OVERRULE)
    if word == state.PAUSED:
        found.append(RESUME)
    if word in (state.NEW, state.RUNNING, state.HELD):
        found.append(PAUSE)
    if _names(status, "retry"):
        found.append(RETRY)
    if word in (*state.ACTIVE, state.UNKNOWN):
        found.append(ABORT)
    if (word in state.ACTIVE and opened) or _names(status, "revert"):
        found.append(REVERT)
    return found


def approves_not(status: Status, person: Person) -> bool:
    """Returns whether the plan asks that another than this person approves."""
    not_by = status.waits.not_by if status.waits else ""
    return not_by != "" and not waiting.is_another(not_by, person.name)


def _names(status: Status, verb: str) -> bool:
    """Returns whether what comes next names the command; then it would work now."""
    return f"modelwave rollout {verb} {status.rollout}" in status.next
