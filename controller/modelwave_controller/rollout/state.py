"""Computes the state of all rollouts from the log: `fold(events)` reads nothing else.

NEW        created, no stage has opened yet
RUNNING    stages open as their gates pass
PAUSED     by the operator
HELD       by a gate, until the operator decides; or by devices that cannot read the next
           stage's order, until they can
REVERTING  the operator asked for a revert, or its orders were sent and its devices have not all
           answered
REVERTED, FINISHED, ABORTED    over
UNKNOWN    its log has an event that this program does not understand

After such an event the rollout's state stays as it is, because later events may depend on it.
The controller decides nothing about such a rollout. Of its later events only the operator's
ABORTED has an effect: it is safe in every state, as it opens no stage and sends no order.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from modelwave_controller.judge.verdicts import FAIL
from modelwave_controller.rollout import formats
from modelwave_controller.rollout.draw import MAX_SEED
from modelwave_controller.rollout.events import (
    FLEET,
    Aborted,
    ApprovalAsked,
    Approved,
    Began,
    Body,
    Cleared,
    Condensed,
    Continued,
    Created,
    EpochBegan,
    Event,
    Finished,
    FoundNewer,
    FrozenBaseline,
    Gated,
    Held,
    InTrouble,
    KeyAway,
    KeyBack,
    Looked,
    NotUnderstood,
    Opened,
    OpenedPart,
    OrderSent,
    Overruled,
    Paused,
    Promoted,
    Recovered,
    Release,
    Reordered,
    Reported,
    Rest,
    Restored,
    Resumed,
    Retried,
    RevertAsked,
    Reverted,
    StartedNow,
    TroubleOver,
    Unshadowed,
    WaveCounts,
)
from modelwave_controller.rollout.numbers import NO_NUMBER, Number
from modelwave_controller.rollout.plan import Plan
from modelwave_controller.rollout.slot_sets import EVERY_SLOT, contains, numbers_in
from modelwave_controller.rollout.statuses import (
    ABORTED as ABORTED,
)
from modelwave_controller.rollout.statuses import (
    ACTIVE as ACTIVE,
)
from modelwave_controller.rollout.statuses import (
    FINAL as FINAL,
)
from modelwave_controller.rollout.statuses import (
    FINISHED as FINISHED,
)
from modelwave_controller.rollout.statuses import (
    HELD as HELD,
)
from modelwave_controller.rollout.statuses import (
    NEW as NEW,
)
from modelwave_controller.rollout.statuses import (
    PAUSED as PAUSED,
)
from modelwave_controller.rollout.statuses import (
    REVERTED as REVERTED,
)
from modelwave_controller.rollout.statuses import (
    REVERTING as REVERTING,
)
from modelwave_controller.rollout.statuses import (
    RUNNING as RUNNING,
)
from modelwave_controller.rollout.statuses import (
    UNKNOWN as UNKNOWN,
)
from modelwave_shared.limits import SLOTS
from modelwave_shared.words import ROLLED_BACK

OUT, BACK = "out", "back"  # the ways of a rollout's devices

RESTORED = "the database was restored from a backup, and devices may have newer orders than it has"


@dataclass
class Answer:
    outcome: str
    reason: str
    number: Number = NO_NUMBER  # of the order that it answers


@dataclass
class Wave:
    """Orders that were sent together, and the devices' answers. `at` is in Unix seconds, the other
    times in seconds of the rollout clock; None: the broker has not acknowledged the orders."""

    at: float
    orders: list[OrderSent]
    answers: dict[str, Answer] = field(default_factory=dict)  # by device: to its newest order
    alone: dict[str, Number] = field(default_factory=dict)  # {device: newest order for it alone}
    soaking_since: float | None = None
    waiting_since: float | None = None  # when its deadline began, anew after a resume
    counted: WaveCounts | None = None  # what is left of its answers, when they were deleted


@dataclass
class StageState(Wave):
    verdict: str = ""  # its gate's last decision
    verdict_reason: str = ""
    accepted: str = ""
    rest: Rest | None = None  # what further parts of it open
    opened: float | None = None  # its first part, by the rollout clock, if the log says so
    promoted: Promoted | None = None  # its soak was ended by the operator
    overruled: Overruled | None = None
    looks: list[Looked] = field(default_factory=list)


@dataclass
class Rollout:
    id: int
    created_at: float
    created: Created
    status: str = NEW
    reason: str = ""  # of the event that made it PAUSED or HELD, or ended it
    held_by: str = ""  # `by` of the last Held
    stages: list[StageState] = field(default_factory=list)
    back: Wave | None = None
    settled: Wave | None = None  # orders for all that took the stages' place when it was over
    unshadowed: Wave | None = None  # orders that took the place of shadow orders when it was over
    by_number: dict[Number, Wave] = field(default_factory=dict)  # the wave that an order counts for
    retry: dict[str, None] = field(default_factory=dict)  # devices to be ordered anew
    revert_asked: str | None = None  # the operator's reason
    hurried: Promoted | None = None  # no stage soaks from then on
    start_at: float | None = None  # Unix seconds; no stage opens before it
    # By stage: since when it waits for approval, in Unix seconds; and who gave it.
    asked: dict[int, float] = field(default_factory=dict)
    approved: dict[int, Approved] = field(default_factory=dict)
    frozen: dict[tuple[str, str], FrozenBaseline] = field(
        default_factory=dict
    )  # by gate and target
    in_trouble: str = ""  # OUT or BACK: too many devices are, on this way
    not_understood: str = ""  # the first event that this program does not understand, and why

    @property
    def model(self) -> str:
        return self.created.model

    @property
    def release(self) -> Release | None:
        """The release for one of the targets: all have the same number. None if the `created`
        event was not understood."""
        return next(iter(self.created.releases.values()), None)

    @property
    def permutation_seed(self) -> int:
        """The seed for the permutations of its devices when it is judged: another one for each
        rollout, also where an operator repeats a draw."""
        created = self.created
        if created.seed is None:
            return self.id * SLOTS + (created.start_slot or 0)
        return self.id * (MAX_SEED + 1) + created.seed

    @property
    def over(self) -> bool:
        """Nothing more happens with it by itself."""
        return self.status in FINAL and self.revert_asked is None

    @property
    def newest_wave(self) -> Wave | None:
        return self.back or (self.stages[-1] if self.stages else None)

    @property
    def answering(self) -> list[StageState]:
        """The opened stages in which the release answers."""
        both = zip(self.created.plan.stages, self.stages, strict=False)
        return [found for stage, found in both if not stage.shadow]

    @property
    def opening(self) -> StageState | None:
        """The newest stage, if further parts of it are to be opened."""
        newest = self.stages[-1] if self.stages else None
        return newest if newest and newest.rest and self.back is None else None

    def waves(self) -> list[Wave]:
        return [*self.stages, self.back] if self.back else [*self.stages]

    def place_of(self, number: Number) -> tuple[int | None, bool]:
        """Returns what the order's answers count for, as Reordered names it: (stage, False),
        (None, False) for the revert, (None, True) for the whole rollout."""
        wave = self.by_number[number]
        stages = [number for number, stage in enumerate(self.stages) if stage is wave]
        return (stages[0], False) if stages else (None, wave is not self.back)

    def width(self, target: str, shadow: bool = False) -> int:
        """Returns how many slots, the first that were drawn, its stages have opened for the
        target; shadow stages and the others are counted apart."""
        return sum(
            len(numbers_in(order.slots))
            for stage in self.stages
            for order in stage.orders
            if order.target == target and order.shadow == shadow and not order.device
        )


class Wanted(NamedTuple):
    """The newest order for a slot or a device. `whole`: it names all slots. `v`: its format
    version. `shadow`: it runs the release beside the live one."""

    seq: int
    rollout: int
    release: Release
    whole: bool = False
    v: int = 1
    shadow: bool = False
    epoch: int = 0

    @property
    def number(self) -> Number:
        return Number(self.epoch, self.seq)


class Alone(NamedTuple):
    """The newest order of a device, if it is one for it alone."""

    target: str
    slot: int
    wanted: Wanted


@dataclass
class State:
    rollouts: dict[int, Rollout] = field(default_factory=dict)
    seqs: dict[str, int] = field(default_factory=dict)  # by model: the highest of its newest epoch
    epochs: dict[str, int] = field(default_factory=dict)  # by model: the newest one with an order
    epoch: int = 0  # in which orders are signed
    # By (model, target): the release that a finished rollout brought to all.
    current: dict[tuple[str, str], Release] = field(default_factory=dict)
    # By (model, target): {slot: its order}.
    desired: dict[tuple[str, str], dict[int, Wanted]] = field(default_factory=dict)
    # By model: {device: its order, where it is newer than its slot's}.
    alone: dict[str, dict[str, Alone]] = field(default_factory=dict)
    # By model whose numbers are in doubt, because the database was restored: when its backup was
    # made, in Unix seconds.
    restored: dict[str, float] = field(default_factory=dict)
    # By model of which the broker holds newer orders than this database knows: their highest
    # number.
    behind: dict[str, Number] = field(default_factory=dict)
    key_away: str = ""  # why the service cannot sign orders with their key
    last: int = 0  # id of the newest event in it

    def doubt(self, model: str) -> str:
        """Returns why no order of the model can be signed now, or ""."""
        return self.key_away or self.numbers_doubt(model)

    def numbers_doubt(self, model: str) -> str:
        """Returns why the numbers of the model's orders are in doubt, so that none may be signed
        now, or ""."""
        if model in self.behind:
            return FoundNewer(model=model, seq=self.behind[model].seq).told
        return RESTORED if model in self.restored else ""

    def active(self, model: str, targets: Iterable[str]) -> list[Rollout]:
        """Returns the rollouts that may still send an order to further slots of these targets."""
        return [
            r
            for r in self.rollouts.values()
            if r.model == model
            and (r.status in ACTIVE or r.revert_asked is not None)
            and not r.created.releases.keys().isdisjoint(targets)
        ]

    def active_anywhere(self, model: str) -> list[Rollout]:
        targets = {t for r in self.rollouts.values() for t in r.created.releases}
        return self.active(model, targets)

    def alone_in(self, model: str, target: str, ranges: list[list[int]]) -> list[str]:
        """Returns the devices in these slots that have an order for them alone."""
        return [
            device
            for device, found in self.alone.get(model, {}).items()
            if found.target == target and contains(ranges, found.slot)
        ]

    def obstacle(self, model: str, since: int = 0) -> str:
        """Returns why this program may not decide about `model`: an event that it does not
        understand, of rollout `since` or a later one; "" for none."""
        found = (r for r in self.rollouts.values() if r.model == model and r.id >= since)
        return next((r.not_understood for r in found if r.not_understood), "")


def fold(events: Iterable[Event], state: State | None = None) -> State:
    """Returns the state after `events`. `state`, that of the events before, is changed in place."""
    state = state or State()
    for event in events:
        _apply(state, event)
        state.last = event.id
    return state


def _apply(state: State, event: Event) -> None:
    body = event.body
    if event.rollout == FLEET and not isinstance(body, NotUnderstood):
        _act(state, body)
        return
    if event.rollout not in state.rollouts:
        state.rollouts[event.rollout] = _begun(event)
        return
    rollout = state.rollouts[event.rollout]
    if isinstance(body, Reported):
        _answer(rollout, body)
        return
    if problem := _problem(rollout, event):
        rollout.not_understood = rollout.not_understood or _sentence(event, problem)
    if rollout.not_understood:
        _stay(rollout, event)
        return
    match body:
        case Opened():
            rollout.status = RUNNING
            promoted = rollout.hurried
            opened = StageState(event.at, [*body.orders], promoted=promoted, opened=body.clock)
            rollout.stages.append(opened)
            opened.rest = body.rest
            _order(state, rollout, rollout.stages[-1], body.orders)
        case OpenedPart():
            rollout.status = RUNNING
            stage = rollout.stages[body.stage]
            stage.orders += body.orders
            stage.rest = body.rest
            _order(state, rollout, stage, body.orders)
        case Began():
            _begin(rollout, body)
        case Gated():
            stage = rollout.stages[body.stage]
            stage.verdict, stage.verdict_reason = body.verdict, body.reason
        case Looked():
            rollout.stages[body.stage].looks.append(body)
            for one in body.frozen:
                rollout.frozen.setdefault((one.gate, one.target), one)
        case Held():
            rollout.status, rollout.reason = HELD, body.reason
            rollout.held_by = body.by
        case Continued():
            rollout.status, rollout.reason = RUNNING, ""
        case Paused():
            rollout.status, rollout.reason = PAUSED, body.reason
        case Resumed():
            _resume(rollout, body)
        case StartedNow():
            rollout.start_at = None
        case ApprovalAsked():
            rollout.asked.setdefault(body.stage, event.at)
        case Approved():
            rollout.approved[body.stage] = body
        case Promoted():
            _promote(rollout, body)
        case Retried():
            rollout.retry.update(dict.fromkeys(body.devices))
        case RevertAsked():
            rollout.status, rollout.reason = REVERTING, body.reason
            rollout.retry.clear()
            rollout.revert_asked = body.reason
        case Reverted():
            _revert(state, rollout, body, event.at)
        case Reordered():
            _reorder(state, rollout, body, event.at)
        case Unshadowed():
            rollout.unshadowed = Wave(event.at, body.orders)
            _order(state, rollout, rollout.unshadowed, body.orders)
            _withdraw(state, rollout.model, body.cleared)
        case InTrouble():
            rollout.in_trouble = BACK if body.back else OUT
        case TroubleOver():
            rollout.in_trouble = ""
        case Condensed():
            _condense(rollout, body)
        case Finished():
            _finish(state, rollout, body)
        case Aborted():
            rollout.status, rollout.reason = ABORTED, body.reason
            rollout.retry.clear()


def _act(state: State, body: Body) -> None:
    """Applies an event that belongs to no rollout."""
    match body:
        case Restored():
            state.restored.update(dict.fromkeys(body.models, body.made_at))
        case Recovered():
            state.restored.pop(body.model, None)
            if state.behind.get(body.model, NO_NUMBER) <= (body.epoch, body.floor):
                state.behind.pop(body.model, None)
        case FoundNewer():
            state.behind[body.model] = max(body.number, state.behind.get(body.model, NO_NUMBER))
        case EpochBegan():
            state.epoch = max(state.epoch, body.epoch)
            state.behind = {m: n for m, n in state.behind.items() if n.epoch >= state.epoch}
        case KeyAway():
            state.key_away = body.reason
        case KeyBack():
            state.key_away = ""


def _begun(event: Event) -> Rollout:
    """Returns the rollout that starts with this event."""
    if isinstance(event.body, Created):
        return Rollout(event.rollout, event.at, event.body, start_at=event.body.start_at)
    body = event.body
    model = body.model if isinstance(body, NotUnderstood) else ""
    nothing = Created.model_construct(
        model=model, plan=Plan.model_construct(stages=()), releases={}, previous={}, start_slot=0
    )
    problem = body.problem if isinstance(body, NotUnderstood) else "its rollout was never created"
    rollout = Rollout(event.rollout, event.at, nothing, not_understood=_sentence(event, problem))
    _stay(rollout, event)
    return rollout


def _problem(rollout: Rollout, event: Event) -> str:
    """Returns why the event is not understood, or ""."""
    body = event.body
    if isinstance(body, NotUnderstood):
        return body.problem
    if isinstance(body, Created):
        return "its rollout exists already"
    if isinstance(body, Opened) and body.stage != len(rollout.stages):
        return f"stage {body.stage} is not the next one"
    if isinstance(body, OpenedPart) and not _has_a_rest(rollout, body.stage):
        return f"stage {body.stage} has no further part"
    if isinstance(body, Gated | Promoted) and not 0 <= body.stage < len(rollout.stages):
        return f"stage {body.stage} was not opened"
    if isinstance(body, ApprovalAsked | Approved):
        stages = len(rollout.created.plan.stages)
        return "" if 0 <= body.stage < stages else f"its plan has no stage {body.stage}"
    if isinstance(body, Looked):
        known = 0 <= body.stage < len(rollout.stages)
        if not known or body.look != len(rollout.stages[body.stage].looks):
            return f"look {body.look} of stage {body.stage} is not the next one"
    if isinstance(body, Began) and not _has_wave(rollout, body.stage):
        return "its orders were not sent"
    if isinstance(body, Condensed) and not all(_has_wave(rollout, w.stage) for w in body.waves):
        return "it counts answers to orders that were not sent"
    if isinstance(body, Reordered) and not (body.settled or _has_wave(rollout, body.stage)):
        return "its orders were not sent before"
    return ""


def _has_a_rest(rollout: Rollout, stage: int) -> bool:
    return rollout.opening is not None and stage == len(rollout.stages) - 1


def _has_wave(rollout: Rollout, stage: int | None) -> bool:
    if stage is None:
        return rollout.back is not None
    return 0 <= stage < len(rollout.stages)


def _sentence(event: Event, problem: str) -> str:
    return (
        f"event {event.id} ({event.body.kind}) was written by a newer modelwave and is not "
        f"understood by this one: {problem}; update modelwave"
    )


def _stay(rollout: Rollout, event: Event) -> None:
    """Applies an event to a rollout with an event that was not understood: only ABORTED counts."""
    body = event.body
    rollout.status, rollout.reason = UNKNOWN, rollout.not_understood
    if isinstance(body, Aborted):
        rollout.status, rollout.reason = ABORTED, body.reason
    if isinstance(body, Created) and not rollout.created.releases:
        rollout.created = body  # so that its model and release can be shown


def _answer(rollout: Rollout, body: Reported) -> None:
    """Notes an answer, unless the device has a newer order or has answered one."""
    wave = rollout.by_number.get(body.number)
    if wave is None:
        return
    held = wave.answers.get(body.device)
    newest = max(held.number if held else NO_NUMBER, wave.alone.get(body.device, NO_NUMBER))
    if body.number >= newest:
        wave.answers[body.device] = Answer(body.outcome, body.reason, body.number)


def _order(state: State, rollout: Rollout, wave: Wave, orders: list[OrderSent]) -> None:
    """Notes that `orders` were sent, and that their answers count for `wave`."""
    model = rollout.model
    for order in orders:
        _count(state, model, order.number)
        rollout.by_number[order.number] = wave
        whole, v = order.slots == EVERY_SLOT, formats.of_order(order)
        wanted = Wanted(order.seq, rollout.id, order.release, whole, v, order.shadow, order.epoch)
        if order.device:
            found = Alone(order.target, order.slots[0][0], wanted)
            state.alone.setdefault(model, {})[order.device] = found
            continue
        slots = state.desired.setdefault((model, order.target), {})
        slots.update(dict.fromkeys(numbers_in(order.slots), wanted))
        _drop_alone(state, model, order.target, order.slots)


def _count(state: State, model: str, number: Number) -> None:
    """Notes that the number was used."""
    if number > (state.epochs.get(model, 0), state.seqs.get(model, 0)):
        state.epochs[model], state.seqs[model] = number


def _drop_alone(state: State, model: str, target: str, ranges: list[list[int]]) -> None:
    """Drops the orders for single devices in these slots, which have a newer one or none now."""
    for device in state.alone_in(model, target, ranges):
        del state.alone[model][device]


def _begin(rollout: Rollout, body: Began) -> None:
    wave = rollout.back if body.stage is None else rollout.stages[body.stage]
    assert wave is not None, "_problem has looked"
    if body.begins != "soak":
        wave.waiting_since = body.clock
    if body.begins != "deadline" and wave.soaking_since is None:
        wave.soaking_since = body.clock


def _condense(rollout: Rollout, body: Condensed) -> None:
    for one in (*rollout.waves(), rollout.settled, rollout.unshadowed):
        if one is not None:
            one.answers.clear()
    for counted in body.waves:
        wave = rollout.back if counted.stage is None else rollout.stages[counted.stage]
        assert wave is not None, "_problem has looked"
        wave.counted = counted
        wave.answers.update({device: Answer(ROLLED_BACK, "") for device in counted.rolled_back})


def _resume(rollout: Rollout, body: Resumed) -> None:
    by_gate = rollout.status == HELD and rollout.held_by == "gate"
    anew = by_gate or rollout.status == PAUSED
    rollout.status = RUNNING if rollout.stages else NEW
    rollout.reason = ""
    if anew and rollout.stages:
        rollout.stages[-1].waiting_since = None
    if by_gate and rollout.stages:
        rollout.stages[-1].accepted = body.accepted
    if by_gate and body.accepted:
        _lapse(rollout)


def _lapse(rollout: Rollout) -> None:
    """A gate was overruled: approvals by another, given before, do not count for later stages."""
    for number, stage in enumerate(rollout.created.plan.stages):
        if stage.asks_another and number >= len(rollout.stages):
            rollout.approved.pop(number, None)
            rollout.asked.pop(number, None)


def _promote(rollout: Rollout, body: Promoted) -> None:
    rollout.status, rollout.reason = RUNNING, ""
    rollout.stages[body.stage].promoted = body
    rollout.hurried = body if body.full else rollout.hurried
    if not body.forced:
        return
    rollout.stages[body.stage].accepted = body.reason
    _lapse(rollout)
    for stage, overruled in zip(rollout.stages, body.overruled, strict=False):
        stage.overruled = overruled
        if stage.verdict == FAIL:
            stage.verdict = stage.verdict_reason = ""


def _revert(state: State, rollout: Rollout, body: Reverted, at: float) -> None:
    rollout.status, rollout.reason = REVERTING, body.reason
    rollout.revert_asked = None
    rollout.back = Wave(at, body.orders)
    rollout.settled = None
    rollout.retry.clear()
    _order(state, rollout, rollout.back, body.orders)
    _withdraw(state, rollout.model, body.cleared)
    for target, release in rollout.created.releases.items():
        if state.current.get((rollout.model, target)) != release:
            continue
        if target in rollout.created.previous:
            state.current[rollout.model, target] = rollout.created.previous[target]
        else:
            del state.current[rollout.model, target]


def _withdraw(state: State, model: str, withdrawn: Iterable[Cleared]) -> None:
    for cleared in withdrawn:
        if cleared.device:
            state.alone.get(model, {}).pop(cleared.device, None)
            continue
        _drop_alone(state, model, cleared.target, cleared.slots)
        slots = state.desired.setdefault((model, cleared.target), {})
        for slot in numbers_in(cleared.slots):
            slots.pop(slot, None)


def _reorder(state: State, rollout: Rollout, body: Reordered, at: float) -> None:
    if body.settled and rollout.unshadowed:
        wave = rollout.unshadowed
    elif body.settled:
        wave = rollout.settled = rollout.settled or Wave(at, [])
    else:
        found = rollout.back if body.stage is None else rollout.stages[body.stage]
        assert found is not None, "_problem has looked"
        wave = found
    _order(state, rollout, wave, body.orders)
    waits_for = {order.device: order.number for order in body.orders if order.device}
    for device, number in waits_for.items():
        for answered in (wave, rollout.settled):
            if answered is not None:
                answered.answers.pop(device, None)
                answered.alone[device] = number
    for device in (*waits_for, *body.gone):
        rollout.retry.pop(device, None)
    if waits_for and wave is rollout.newest_wave:
        wave.waiting_since = None


def _finish(state: State, rollout: Rollout, body: Finished) -> None:
    if rollout.status == REVERTING:
        rollout.status = REVERTED
        return
    rollout.status, rollout.reason = FINISHED, body.reason
    for target, release in rollout.created.releases.items():
        state.current[rollout.model, target] = release


def failed(stage: StageState) -> str:
    """Returns the reason of the stage's FAIL, or ""."""
    return stage.verdict_reason if stage.verdict == FAIL else ""
