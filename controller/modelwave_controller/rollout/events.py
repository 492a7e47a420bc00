"""The events of rollouts: entries of an append-only log, the only source of truth.

Everything else about a rollout is computed from them (state.py). An entry is never changed;
its body is JSON in the table `events`. `REPORTED` entries are the devices' answers, one for
each change; all others are actions of the controller or the operator. What an operator did has
the name of who did it. What belongs to no rollout is in the log of the FLEET.

A newer program may have written an event that this one does not know: another kind, or a known
kind with other fields or values. Its body is read as `NotUnderstood`; state.py says what this
means for the rollout. A body that is not a JSON object is damage, and raises StorageError.
"""

import json
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from modelwave_controller.errors import StorageError
from modelwave_controller.judge.verdicts import FAIL, HOLD, INCONCLUSIVE, PASS, SHOWN
from modelwave_controller.rollout.answer_words import IN_PROGRESS as IN_PROGRESS
from modelwave_controller.rollout.draw import MAX_SEED, circle, drawn
from modelwave_controller.rollout.numbers import Number
from modelwave_controller.rollout.plan import Plan
from modelwave_controller.rollout.slot_sets import contains
from modelwave_controller.trust.field_types import SlotRange, first_problem
from modelwave_shared.words import OUTCOMES

# A device's answer is this, or one of the OUTCOMES of modelwave_shared.words.
MAX_SHOWN = 120  # characters of a newer program's text, and of an operator's name
LOCAL = "local"  # the actor with the home's own access token, who may be anybody with the home
FLEET = 0  # in place of a rollout's number, for what belongs to none


def _shown(words: object) -> str:
    """Returns a text shortened and printable; "" for anything but a string."""
    if not isinstance(words, str):
        return ""
    return "".join(c if c.isprintable() else "?" for c in words[:MAX_SHOWN])


def _one_of(*words: str) -> StringConstraints:
    return StringConstraints(pattern=f"^(?:{'|'.join(words)})$")


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Act(_Body):
    """What an operator did. `actor` is who, such as user@host; "" in events from before the log had
    it."""

    actor: Annotated[str, AfterValidator(_shown)] = ""


class Release(_Body):
    """A release for one target.

    manifest: sha256 of the manifest's payload; orders name it.
    envelope: sha256 of the signed manifest, the key of its blob in the database.
    v: the manifest's format version.
    """

    release: int
    version: str
    manifest: str
    envelope: str
    v: int = 1


class OrderSent(_Body):
    """An order signed for slots of one target; `known` is the number of known devices in them at
    that time. An order for one `device` has the slot that the device is in. `shadow`: to run the
    release beside the live one."""

    target: str
    seq: int
    release: Release
    slots: list[SlotRange]
    known: int
    device: str = ""
    shadow: bool = False
    epoch: int = 0

    @property
    def number(self) -> Number:
        return Number(self.epoch, self.seq)

    def names(self, target: str, slot: int, device: str) -> bool:
        """Returns whether it is for this device."""
        mine = self.target == target and self.device in ("", device)
        return mine and contains(self.slots, slot)


class Cleared(_Body):
    """Slots of one target whose order was withdrawn, because there is no release before; or one
    `device`, in these slots, whose own order was."""

    target: str
    slots: list[SlotRange]
    known: int
    device: str = ""


class Expected(_Body):
    """The agreement with the release before that a manifest signs: a share of `n` held-out
    examples."""

    share: float
    n: int


class Created(_Act):
    """`seed` draws the order in which its stages open the slots (draw.py); a rollout of before
    there were seeds has a `start_slot`. `lift_ban` is the operator's reason why devices that have
    banned the release may take it again, or "", `accept_blind` the one why gates may be named that
    a stage cannot judge. `expected`: by target, of those whose manifest signs an agreement. No
    stage opens before `start_at`, in Unix seconds."""

    kind: Literal["created"] = "created"
    model: str
    plan: Plan
    releases: dict[str, Release]  # by target
    previous: dict[str, Release]  # by target: the release to revert to; absent if there is none
    seed: Annotated[int | None, Field(ge=0, le=MAX_SEED)] = None
    start_slot: int | None = None
    lift_ban: str = ""
    expected: dict[str, Expected] = {}
    accept_blind: str = ""
    start_at: float | None = None

    @model_validator(mode="after")
    def _has_one_order_of_slots(self) -> Self:
        if (self.seed is None) == (self.start_slot is None):
            raise ValueError("it has to have either a seed or a start slot")
        return self

    @property
    def drawn(self) -> tuple[int, ...]:
        """All slots, in the order in which its stages open them."""
        return circle(self.start_slot or 0) if self.seed is None else drawn(self.seed)


class Rest(_Body):
    """What further parts of a stage open (pace.py): so many known devices, the next part at `due`
    of the rollout clock, in seconds."""

    devices: int
    due: float


class Opened(_Body):
    """A stage was opened; or its first part, if there is a rest. `clock` is in seconds of the
    rollout clock; None in events from before the log had it."""

    kind: Literal["opened"] = "opened"
    stage: int  # from 0
    orders: list[OrderSent]
    rest: Rest | None = None
    clock: float | None = None


class OpenedPart(_Body):
    """A further part of the newest stage was opened; without a rest it is the last one."""

    kind: Literal["opened_part"] = "opened_part"
    stage: int  # from 0
    orders: list[OrderSent]
    rest: Rest | None = None


class Began(_Body):
    """The broker has acknowledged the orders of a stage (None: those of the revert): its deadline
    begins, and the first time also its soak. With maintenance windows the soak begins later, when
    its devices have answered. `clock` is in seconds of the rollout clock."""

    kind: Literal["began"] = "began"
    stage: int | None  # from 0
    clock: float
    begins: Literal["both", "deadline", "soak"] = "both"


class Reported(_Body):
    """A device's answer to the order `seq`: an outcome or IN_PROGRESS."""

    kind: Literal["reported"] = "reported"
    device: str
    seq: int
    outcome: Annotated[str, _one_of(IN_PROGRESS, *OUTCOMES)]
    reason: str
    epoch: int = 0

    @property
    def number(self) -> Number:
        return Number(self.epoch, self.seq)


class Replaced(_Body):
    """A device was replaced, or its state was deleted: it does not run its releases of these models
    any more."""

    kind: Literal["replaced"] = "replaced"
    device: str
    models: list[str]


class Gated(_Body):
    kind: Literal["gated"] = "gated"
    stage: int
    verdict: Annotated[str, _one_of(PASS, FAIL, INCONCLUSIVE)]
    reason: str


class Finding(_Body):
    """What a look found of a gate, in all targets together (`target` is "") or in one. `harm` is
    how much worse canaries are than controls, or the mean itself where the gate is a limit; `low`
    and `high` are its bounds. `p` is what a FAIL compares with its level. SHOWN is what a shadow
    measured and no gate of it judges."""

    gate: str
    target: str = ""
    verdict: Annotated[str, _one_of(PASS, FAIL, HOLD, INCONCLUSIVE, SHOWN)]
    reason: str
    canaries: int
    controls: int
    margin: float | None = None
    harm: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    needs: str = ""


class FrozenBaseline(_Body):
    """What is fixed of a gate and target at the first look: `edge` is the bin of latencies from
    which on they count as slow, and `margin` the share by which more may be."""

    gate: str
    target: str
    theta: float
    mean_before: float
    edge: int = 0
    margin: float = 0.0


class ClassMove(_Body):
    """The shares of a class, "" for all without a name, among the predictions of both arms."""

    name: str
    canaries: float
    controls: float


class ClassDrift(_Body):
    """How far the classes that canaries of a target predict differ from those of controls, and
    which differ most (judge/drift.py). It judges nothing. `canaries` and `controls`: how many
    predictions."""

    target: str
    distance: float
    canaries: int
    controls: int
    moved: list[ClassMove]


class Looked(_Body):
    """Look `look`, from 0, of a stage, after so many windows. `observed`: a device sends windows.
    It is computed once, and stands. Looks of older programs have no drift."""

    kind: Literal["looked"] = "looked"
    stage: int  # from 0
    look: int
    windows: int
    observed: bool
    findings: list[Finding]
    frozen: list[FrozenBaseline] = []
    drift: list[ClassDrift] = []  # by target, where windows have classes


class Held(_Body):
    """The rollout is held by a gate that did not pass, by devices that cannot read the next stage's
    order (`format`), or because none of the devices that the next stage names is known (`nobody`);
    the latter two end by themselves when they can read it, or one of them reports again."""

    kind: Literal["held"] = "held"
    reason: str
    by: Literal["gate", "format", "nobody"] = "gate"


class Continued(_Body):
    """The gate that held the rollout has passed since, so that it continues by itself."""

    kind: Literal["continued"] = "continued"
    reason: str


class Paused(_Act):
    kind: Literal["paused"] = "paused"
    reason: str


class Resumed(_Act):
    """`accepted` is the operator's reason to overrule the gate; "" waits for the gate again."""

    kind: Literal["resumed"] = "resumed"
    accepted: str


class Overruled(_Body):
    """What was known of a stage when the operator overruled its gate: it does not count again."""

    rolled_back: int
    looks: int


class Promoted(_Act):
    """The operator ended the soak of `stage`, which skips what `skipped` says; `full`: the stages
    after it do not soak either. `overruled`, of each opened stage, if a gate that had not passed
    was overruled too; then there is a reason."""

    kind: Literal["promoted"] = "promoted"
    stage: int  # from 0
    skipped: str
    reason: str = ""
    full: bool = False
    overruled: list[Overruled] = []

    @property
    def forced(self) -> bool:
        return bool(self.overruled)


class StartedNow(_Act):
    """The operator ended the wait for the rollout's start time."""

    kind: Literal["started_now"] = "started_now"
    reason: str = ""


class ApprovalAsked(_Body):
    """The stage waits for the operator's approval from now on."""

    kind: Literal["approval_asked"] = "approval_asked"
    stage: int  # from 0


class Approved(_Act):
    """The stage may open, as far as the operator's approval is concerned."""

    kind: Literal["approved"] = "approved"
    stage: int  # from 0
    reason: str = ""


class Retried(_Act):
    """The operator asked that these devices are ordered the release anew, each by an order for it
    alone."""

    kind: Literal["retried"] = "retried"
    devices: list[str]
    reason: str


class RevertAsked(_Act):
    kind: Literal["revert_asked"] = "revert_asked"
    reason: str


class Reverted(_Body):
    kind: Literal["reverted"] = "reverted"
    reason: str
    orders: list[OrderSent]
    cleared: list[Cleared]


class Reordered(_Body):
    """Orders that were signed for a second time, whose answers count for a stage (None: for the
    revert), or, if `settled`, for the whole rollout, which is over. Those for one device replace
    its answer; after those for slots a device's answer stands until it says something else.
    `gone`: devices that were to be ordered anew, and do not want the release any more."""

    kind: Literal["reordered"] = "reordered"
    stage: int | None = None  # from 0
    settled: bool = False
    orders: list[OrderSent]
    gone: list[str] = []


class Unshadowed(_Body):
    """The orders to run the release beside the live one that stood when the rollout was over were
    replaced by orders for the release before, or withdrawn where there is none."""

    kind: Literal["unshadowed"] = "unshadowed"
    orders: list[OrderSent]
    cleared: list[Cleared]


class WaveCounts(_Body):
    """How many devices a stage, or the revert (None), was for, and how many gave which answer.
    Those that rolled back are named, as they refuse the release when it comes again."""

    stage: int | None
    devices: int
    answers: dict[str, int]
    rolled_back: list[str]


class Condensed(_Act):
    """The rollout was over for long. These counts are what is left of its devices' answers, of
    which the log had so many; they are final, also when a device answers later. Then it comes
    again, with the same counts and the number of those late answers."""

    kind: Literal["condensed"] = "condensed"
    waves: list[WaveCounts]
    answers: int


class Finished(_Body):
    kind: Literal["finished"] = "finished"
    reason: str


class Aborted(_Act):
    kind: Literal["aborted"] = "aborted"
    reason: str


class ClockAccepted(_Act):
    """The operator said that the controller's clock is right."""

    kind: Literal["clock_accepted"] = "clock_accepted"
    reason: str


class Forgotten(_Act):
    """The operator let the controller forget a device."""

    kind: Literal["forgotten"] = "forgotten"
    device: str


class Tagged(_Act):
    """The operator changed the tags of a device."""

    kind: Literal["tagged"] = "tagged"
    device: str
    added: list[str]
    removed: list[str]


class DevicesEnrolled(_Act):
    """The operator enrolled so many devices; `first` names the first few of them."""

    kind: Literal["devices_enrolled"] = "devices_enrolled"
    number: int
    first: list[str]
    renewed: int = 0  # of them: they were enrolled before, and have new secrets


class DeviceRevoked(_Act):
    """The operator took back what a device was enrolled with: nothing from it counts."""

    kind: Literal["device_revoked"] = "device_revoked"
    device: str


class DeviceApproved(_Act):
    """The operator let a device count that nobody had enrolled."""

    kind: Literal["device_approved"] = "device_approved"
    device: str


class TokenMade(_Act):
    """The operator made the access token `token`, its public id, for `name`. `expires_at` is in
    Unix seconds."""

    kind: Literal["token_made"] = "token_made"
    token: str
    name: str
    role: str
    expires_at: float


class TokenRevoked(_Act):
    """The operator took an access token back."""

    kind: Literal["token_revoked"] = "token_revoked"
    token: str
    name: str
    reason: str = ""


class Restored(_Act):
    """The operator put a backup of the database in its place. Orders of these models that were
    signed after `made_at`, Unix seconds, are not in it."""

    kind: Literal["restored"] = "restored"
    made_at: float
    models: list[str]


class Recovered(_Act):
    """The operator raised the floor of a model's order numbers above those of the devices."""

    kind: Literal["recovered"] = "recovered"
    model: str
    floor: int
    epoch: int = 0


class RootPublished(_Act):
    """The operator made this version the fleet's root."""

    kind: Literal["root_published"] = "root_published"
    version: int


class ReleaseAdded(_Act):
    """The operator added a release for a target to the home, or the same one for one more."""

    kind: Literal["release_added"] = "release_added"
    model: str
    release: int
    version: str
    target: str
    manifest: str  # sha256 of its payload


class ReleasesSigned(_Act):
    """The operator signed the manifests of these releases anew, with other keys."""

    kind: Literal["releases_signed"] = "releases_signed"
    model: str
    releases: list[int]


class TargetAdded(_Act):
    """The operator added a target of their own, or replaced it."""

    kind: Literal["target_added"] = "target_added"
    target: str


class CertificateMade(_Act):
    """The operator made the fleet's authority, or a certificate by it: of the broker or of the
    listener for operators, under these names, or of the controller."""

    kind: Literal["certificate_made"] = "certificate_made"
    of: Annotated[str, _one_of("authority", "broker", "controller", "api")]
    hosts: list[str] = []


class FoundNewer(_Body):
    """The broker holds orders of the model up to `seq` that this fleet's key has signed, and that
    this database does not know: it is older than they are, or not the only one."""

    kind: Literal["found_newer"] = "found_newer"
    model: str
    seq: int
    epoch: int = 0

    @property
    def number(self) -> Number:
        return Number(self.epoch, self.seq)

    @property
    def told(self) -> str:
        return (
            f"the broker holds orders of {self.model} up to {self.seq} that this database does not "
            "know"
        )


class EpochBegan(_Body):
    """The service signs under a root of a higher epoch: order numbers begin anew."""

    kind: Literal["epoch_began"] = "epoch_began"
    epoch: int


class InTrouble(_Body):
    """So many of the rollout's devices, on the way out or `back`, have not got where they were
    ordered to: they rolled back, failed, refused it or are silent. `gateways`: some that were
    offline, with the number of devices behind each that the rollout is for."""

    kind: Literal["in_trouble"] = "in_trouble"
    devices: int
    of: int
    share: float  # from which on this is noted
    back: bool = False
    gateways: dict[str, int] = {}


class TroubleOver(_Body):
    """It is less than half of that share now."""

    kind: Literal["trouble_over"] = "trouble_over"
    devices: int
    of: int


class AlertGivenUp(_Body):
    """So many alerts did not reach those who were to be told."""

    kind: Literal["alert_given_up"] = "alert_given_up"
    alert: str
    number: int
    reason: str


class KeyAway(_Body):
    """The service cannot sign orders: the agent or the token that holds their key is not there."""

    kind: Literal["key_away"] = "key_away"
    reason: str


class KeyBack(_Body):
    """The service can sign orders again."""

    kind: Literal["key_back"] = "key_back"


REPORTED, FOUND_NEWER, CONDENSED = "reported", "found_newer", "condensed"

Act = (
    Created
    | Paused
    | Resumed
    | Promoted
    | StartedNow
    | Approved
    | Retried
    | RevertAsked
    | Aborted
    | ClockAccepted
    | Forgotten
    | Tagged
    | DevicesEnrolled
    | DeviceRevoked
    | DeviceApproved
    | TokenMade
    | TokenRevoked
    | Restored
    | Recovered
    | Condensed
    | RootPublished
    | ReleaseAdded
    | ReleasesSigned
    | TargetAdded
    | CertificateMade
)
Body = Annotated[
    Act
    | Opened
    | OpenedPart
    | Began
    | Reported
    | Replaced
    | Gated
    | Looked
    | ApprovalAsked
    | Held
    | Continued
    | Reverted
    | Reordered
    | Unshadowed
    | Finished
    | FoundNewer
    | EpochBegan
    | InTrouble
    | TroubleOver
    | AlertGivenUp
    | KeyAway
    | KeyBack,
    Discriminator("kind"),
]
_BODY: TypeAdapter[Body] = TypeAdapter(Body)


class NotUnderstood(_Body):
    """An event that this program cannot read. `model` is the model that the body names, or ""."""

    kind: str
    problem: str
    model: str = ""


class Event(NamedTuple):
    """An entry of the log: `id` increases in the order of commits, `at` is in Unix seconds. A big
    fleet's log has tens of thousands, so it must be cheap to make."""

    id: int
    rollout: int
    at: float
    body: Body | NotUnderstood


def load_event(id: int, rollout: int, at: float, kind: str, body: str) -> Event:
    """Returns the event of a row. Raises StorageError for a body that is not a JSON object."""
    try:
        read: Body | NotUnderstood = _BODY.validate_json(body)
    except ValidationError as error:
        found = _json_object(body)
        if found is None:
            raise StorageError(
                f"the database's event {id} (rollout {rollout}, {_shown(kind)}) is damaged: its "
                "body is not a JSON object; `modelwave restore FILE` puts a backup of the "
                "database in its place"
            ) from error
        read = NotUnderstood(
            kind=_shown(kind), problem=_problem(error), model=_shown(found.get("model"))
        )
    return Event(id=id, rollout=rollout, at=at, body=read)


def by(actor: str, act: Act) -> Act:
    """Returns the act with who did it, shortened and printable."""
    return act.model_copy(update={"actor": _shown(actor)})


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
