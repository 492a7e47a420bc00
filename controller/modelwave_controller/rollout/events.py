"""What happened in rollouts: the entries of the append-only log, the one truth.

Everything else about a rollout is folded from them (state.py). An entry is never changed;
its body is JSON in the table `events`. `REPORTED` entries are the devices' answers, one for
each change; all others are the controller's and the operator's doings.

A newer program may have written what this one does not know: another kind, or a known kind
with other fields or values. Its body is read as `NotUnderstood`, and state.py says what
follows. A body that is no JSON is damage, and a StorageError.
"""

import json
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from modelwave_controller.errors import StorageError
from modelwave_controller.rollout.gates import FAIL, INCONCLUSIVE, PASS
from modelwave_controller.rollout.plan import Plan
from modelwave_controller.trust.field_types import SlotRange, first_problem
from modelwave_shared.words import OUTCOMES

# What a device's answer may be, beside the outcomes of modelwave_shared.documents.
IN_PROGRESS = "IN_PROGRESS"
MAX_SHOWN = 120  # characters of what a newer program wrote


def _one_of(*words: str) -> StringConstraints:
    return StringConstraints(pattern=f"^(?:{'|'.join(words)})$")


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
    slots: list[SlotRange]
    known: int


class Cleared(_Body):
    """Slots of one target whose order was withdrawn: there is no release to go back to."""

    target: str
    slots: list[SlotRange]
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
    outcome: Annotated[str, _one_of(IN_PROGRESS, *OUTCOMES)]
    reason: str


class Gated(_Body):
    kind: Literal["gated"] = "gated"
    stage: int
    verdict: Annotated[str, _one_of(PASS, FAIL, INCONCLUSIVE)]
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


class NotUnderstood(_Body):
    """What a newer program wrote. `model` is what a `created` among them says, "" where even
    that cannot be read."""

    kind: str
    problem: str
    model: str = ""


class Event(NamedTuple):
    """An entry of the log: `id` grows in the order of commits, `at` is Unix seconds. A big fleet's
    log has tens of thousands, so it costs little to make."""

    id: int
    rollout: int
    at: float
    body: Body | NotUnderstood


def load_event(id: int, rollout: int, at: float, kind: str, body: str) -> Event:
    """The event of this row. Raises StorageError for a body that is no JSON object."""
    try:
        read: Body | NotUnderstood = _BODY.validate_json(body)
    except ValidationError as error:
        found = _json_object(body)
        if found is None:
            raise StorageError(
                f"the database's event {id} (rollout {rollout}, {_shown(kind)}) is damaged: its "
                "body is no JSON object; restore the database from a backup"
            ) from error
        read = NotUnderstood(
            kind=_shown(kind), problem=_problem(error), model=_shown(found.get("model"))
        )
    return Event(id=id, rollout=rollout, at=at, body=read)


def dump_body(body: Body) -> str:
    return body.model_dump_json()


def _json_object(body: str) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _problem(error: ValidationError) -> str:
    if error.errors(include_url=False)[0]["type"].startswith("union_tag"):
        return "its kind is unknown"
    return _shown(first_problem(error))


def _shown(words: object) -> str:
    """Words of a newer program's, fit to be shown to people."""
    if not isinstance(words, str):
        return ""
    return "".join(c if c.isprintable() else "?" for c in words[:MAX_SHOWN])
