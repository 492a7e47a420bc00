"""What happened in rollouts: the entries of the append-only log, the one truth.

Everything else about a rollout is folded from them (state.py). An entry is never changed;
its body is JSON in the table `events`. `REPORTED` entries are the devices' answers, one for
each change; all others are the controller's and the operator's doings.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, TypeAdapter

from modelwave_controller.rollout.plan import Plan

# What a device's answer may be, beside the outcomes of modelwave_shared.documents.
IN_PROGRESS = "IN_PROGRESS"


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Release(_Body):
    """A release for one target. `manifest` is the sha256 of its manifest's payload, which
    orders name; `envelope` that of the signed manifest, which is kept in the database; `v`
    the manifest's format."""

    release: int
    version: str
    manifest: str
    envelope: str
    v: int = 1


class OrderSent(_Body):
    """An order signed for slots of one target; `known` devices were in them then."""

    target: str
    seq: int
    release: Release
    slots: list[list[int]]
    known: int


class Cleared(_Body):
    """Slots of one target whose order was withdrawn: there is no release to go back to."""

    target: str
    slots: list[list[int]]
    known: int


class Created(_Body):
    kind: Literal["created"] = "created"
    model: str
    plan: Plan
    releases: dict[str, Release]  # by target
    previous: dict[str, Release]  # what each target goes back to; absent: nothing
    start_slot: int


class Opened(_Body):
    kind: Literal["opened"] = "opened"
    stage: int  # from 0
    orders: list[OrderSent]


class Reported(_Body):
    """A device's answer to the order `seq`: an outcome or IN_PROGRESS."""

    kind: Literal["reported"] = "reported"
    device: str
    seq: int
    outcome: str
    reason: str


class Gated(_Body):
    kind: Literal["gated"] = "gated"
    stage: int
    verdict: str
    reason: str


class Held(_Body):
    """By a gate that was not passed, or by devices that could not read the next stage's order;
    the latter ends by itself when they can."""

    kind: Literal["held"] = "held"
    reason: str
    by: Literal["gate", "format"] = "gate"


class Paused(_Body):
    kind: Literal["paused"] = "paused"
    reason: str


class Resumed(_Body):
    """`accepted` is why the operator overrules the gate; "" waits for it anew."""

    kind: Literal["resumed"] = "resumed"
    accepted: str


class RevertAsked(_Body):
    kind: Literal["revert_asked"] = "revert_asked"
    reason: str


class Reverted(_Body):
    kind: Literal["reverted"] = "reverted"
    reason: str
    orders: list[OrderSent]
    cleared: list[Cleared]


class Finished(_Body):
    kind: Literal["finished"] = "finished"
    reason: str


class Aborted(_Body):
    kind: Literal["aborted"] = "aborted"
    reason: str


REPORTED = "reported"

Body = Annotated[
    Created
    | Opened
    | Reported
    | Gated
    | Held
    | Paused
    | Resumed
    | RevertAsked
    | Reverted
    | Finished
    | Aborted,
    Discriminator("kind"),
]
_BODY: TypeAdapter[Body] = TypeAdapter(Body)


class Event(BaseModel):
    """An entry of the log: `id` grows in the order of commits, `at` is Unix seconds."""

    model_config = ConfigDict(frozen=True)

    id: int
    rollout: int
    at: float
    body: Body


def load(id: int, rollout: int, at: float, body: str) -> Event:
    return Event.model_construct(id=id, rollout=rollout, at=at, body=_BODY.validate_json(body))


def dump(body: Body) -> str:
    return body.model_dump_json()
