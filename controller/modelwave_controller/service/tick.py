"""The tick: decides what each rollout that is not over does next, and does it.

One transaction reads the log, decides, and stores the events and the messages to publish. So a
controller that is killed has done a step completely or not at all, and continues where it was.
The tick publishes nothing itself: serve.py sends the messages of the outbox. When the broker has
acknowledged all orders of a wave, the tick notes in the log that its clocks have begun. A look at
what devices measured (looks.py) is a step of its own, after the others.
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass

from sqlalchemy import Connection

from modelwave_controller.errors import KeyAwayError
from modelwave_controller.judge.verdicts import FAIL, INCONCLUSIVE, PASS
from modelwave_controller.rollout import formats, retry
from modelwave_controller.rollout.clock import Reading
from modelwave_controller.rollout.decide import (
    ASK,
    CONTINUE,
    FINISH,
    HOLD,
    OPEN,
    REORDER,
    REVERT,
    SOAK,
    WAIT,
    Decision,
    decide,
)
from modelwave_controller.rollout.events import (
    FLEET,
    ApprovalAsked,
    Began,
    Body,
    Continued,
    EpochBegan,
    Finished,
    Gated,
    Held,
    KeyAway,
    KeyBack,
    Opened,
    OpenedPart,
    OrderSent,
    Release,
    Reordered,
    Reverted,
)
from modelwave_controller.rollout.facts import facts, next_number, next_part
from modelwave_controller.rollout.gates import PENDING
from modelwave_controller.rollout.state import (
    ACTIVE,
    FINAL,
    REVERTING,
    UNKNOWN,
    Rollout,
    State,
    Wave,
    failed,
)
from modelwave_controller.service.due_looks import due_look, is_still_due
from modelwave_controller.service.journal import EventJournal
from modelwave_controller.service.look_steps import LookInSteps
from modelwave_controller.service.looks import Looking
from modelwave_controller.service.reconcile import Reconciler
from modelwave_controller.service.sending import Issuer, Sender
from modelwave_controller.service.shadow_looks import ShadowLooking
from modelwave_controller.service.trouble import Trouble
from modelwave_controller.storage import clock, devices, log, outbox, recounting
from modelwave_controller.storage.counted import Counted
from modelwave_controller.storage.store import Transactions

LOOK_STEP_SECONDS = 0.5  # that a tick reads windows for a look, as the lease is to be renewed
MAX_ORDERED_ANEW = 200  # orders for single devices that a tick signs

logger = logging.getLogger(__name__)


class Ticker:
    """Does the ticks. It keeps the state between them, from committed events only."""

    def __init__(
        self,
        store: Transactions,
        issuer: Issuer,
        heard_again: Callable[[int], dict[str, float]] = lambda _limit: {},
    ) -> None:
        """`heard_again` as that of service/repeats.py."""
        self.store = store
        self.issuer = issuer
        self.heard_again = heard_again
        self._state: State | None = None
        self._told: set[int] = set()  # rollouts
        self._seconds = 0.0  # of the rollout clock, at the last tick
        self.ticked_at = 0.0  # Unix seconds: what the wall clock showed then
        self._looking: LookInSteps | None = None
        self._clock = clock.Keeper()
        self._reconciler = Reconciler(issuer, heard_again)
        self._doubt = Trouble()
        self._journal = EventJournal()

    @property
    def certain_state(self) -> State | None:
        """The state as of the last tick; None while it is not known, or nothing may be signed."""
        may_not = self._doubt.begun or self.issuer.trouble
        return None if may_not or self._state is None or self._state.key_away else self._state

    def tick(self, now: float, steady: float, looks: bool = True) -> bool:
        """Does one step of each rollout; returns whether any did something, and then the next tick
        may be due at once. Without `looks` it leaves the devices that reported to a later tick.
        `now` is in Unix seconds, `steady` in seconds of a clock that cannot be set. Raises
        StorageError."""
        self._journal.begin(self.store)
        try:
            acted = self._tick(now, steady, self.issuer.key.look(), looks) or self._look(now)
        except KeyAwayError:  # while it signed: the next tick says so, and does the rest
            self._state = None
            self._reconciler = Reconciler(self.issuer, self.heard_again)
            acted = True
        self._journal.tell(self.store)
        return acted

    def _tick(self, now: float, steady: float, away: str, looks: bool) -> bool:
        with self.store.write() as connection:
            log.note_tick(connection, now)
            reading = self._clock.advance(connection, now, steady)
            self._seconds, self.ticked_at = reading.seconds, now
            self._tell_doubt(reading.doubt)
            if self.issuer.trouble and not reading.doubt:  # it was told (roots_in_use.py)
                reading = reading._replace(doubt=self.issuer.trouble)
            state = self._state = self._caught_up(connection)
            self._tell_unknown(state)
            if self.issuer.root.epoch > state.epoch:
                log.append(connection, FLEET, now, [EpochBegan(epoch=self.issuer.root.epoch)])
                return True
            if bool(away) != bool(state.key_away):
                log.append(connection, FLEET, now, [KeyAway(reason=away) if away else KeyBack()])
                return True
            if self._reconciler.run(connection, state, now, reading, looks):
                return True
            due = [
                r
                for r in state.rollouts.values()
                if _is_due(r) and not state.obstacle(r.model, r.id)
            ]
            known = {model: Counted(connection, model) for model in {r.model for r in due}}
            steps = [
                _Step(
                    connection,
                    self.issuer,
                    state,
                    r,
                    known[r.model],
                    now,
                    reading,
                )
                for r in due
            ]
            taken = [step.take() for step in steps]
            if any(taken):
                self._clock.store(connection)
            if FINISH in taken:
                self._settle(connection, now, reading)
            return any(taken)

    def _look(self, now: float) -> bool:
        """Goes on with a look that is due, and stores it when it is computed, if nothing has
        changed meanwhile; returns whether it did."""
        if self._state is None:
            return False
        looking, self._looking = self._looking, None
        if looking is None or not is_still_due(looking.look, self._state):
            look = due_look(self._state, self._seconds)
            if look is None:
                return False
            looking = ShadowLooking(look) if look.is_shadow else Looking(look)
        with self.store.read() as connection:
            found = looking.step(connection, LOOK_STEP_SECONDS)
        if found is None:
            self._looking = looking
            return False
        look = looking.look
        with self.store.write() as connection:
            self._state = self._caught_up(connection)
            if not is_still_due(look, self._state):
                return False
            log.append(connection, look.rollout.id, now, [found])
        return True

    def _settle(self, connection: Connection, now: float, reading: Reading) -> None:
        """Puts the orders of a rollout that is over now together, in the same transaction. The
        next tick reads the log anew, as this state has events that are not committed."""
        assert self._state is not None, "the tick has read it"
        state, self._state = log.without_answers(connection, self._state), None
        self._reconciler.settle(connection, state, now, reading)

    def _tell_doubt(self, doubt: str) -> None:
        """Logs when the wall clock comes into doubt, and when the doubt ends."""
        if doubt and not self._doubt.begun:
            self._doubt.say(f"{doubt}: no order is signed; `modelwave clock show` says more")
        elif not doubt and self._doubt.over():
            logger.info("the clock is right again, or was accepted: orders are signed")

    def _tell_unknown(self, state: State) -> None:
        """Logs once that a rollout is not handled, because its log is not understood."""
        for rollout in state.rollouts.values():
            if rollout.status == UNKNOWN and rollout.id not in self._told:
                self._told.add(rollout.id)
                logger.warning("rollout %d is not changed: %s", rollout.id, rollout.not_understood)

    def _caught_up(self, connection: Connection) -> State:
        recounting.ensure(connection)  # if another program has written to the log
        return log.without_answers(connection, self._state)


def _is_due(rollout: Rollout) -> bool:
    if rollout.status in (*ACTIVE, REVERTING) or rollout.revert_asked is not None:
        return True
    return rollout.status in FINAL and bool(rollout.retry)


@dataclass(frozen=True)
class _Step(Sender):
    """The step of one rollout in one tick, with the orders that it sends."""

    reading: Reading

    def take(self) -> str:
        """Does the step; returns what was done, "" for nothing."""
        doubt, model = self.reading.doubt, self.rollout.model
        if self.rollout.status in FINAL:
            return "" if doubt or self.state.doubt(model) else self._order_anew()
        if self._begins():
            return WAIT
        numbers, away = self.state.numbers_doubt(model), self.state.key_away
        so_far = facts(self.rollout, self.known, doubt, numbers, self.reading.wall, away)
        found = decide(self.rollout.created.plan, so_far, self.reading.seconds)
        if found.verb == WAIT:
            return WAIT if self._note_fail(found) else ""
        if found.verb == REORDER:
            return self._order_anew()
        if found.verb == OPEN and self.rollout.opening and self._unsent(self.rollout.opening):
            return ""
        acts = {
            ASK: self._ask,
            OPEN: self._open,
            HOLD: self._hold,
            SOAK: self._soak,
            CONTINUE: self._continue,
            REVERT: self._revert,
            FINISH: self._finish,
        }
        log.append(
            self.connection,
            self.rollout.id,
            self.now,
            [*self._gated_anew(found), acts[found.verb](found)],
        )
        return found.verb

    def _gated_anew(self, decision: Decision) -> list[Body]:
        """Returns the gate's decision, if it is not the one that was noted when the rollout began
        to wait for approval."""
        found = _gated(decision)
        if found and decision.stage is not None and decision.gate is not None:
            stage = self.rollout.stages[decision.stage]
            if decision.gate == (PASS, stage.verdict_reason) and stage.verdict == PASS:
                return []
        return found

    def _order_anew(self) -> str:
        """Orders the release anew for as many of the devices that wait for it as one tick may."""
        names = list(self.rollout.retry)[:MAX_ORDERED_ANEW]
        places = devices.places(self.connection, names)
        unreadable = self.known.readers(names)
        sent: dict[int | None, list[OrderSent]] = {}
        gone = []
        for device in names:
            target, slot = places.get(device, ("", 0))
            place = retry.place(self.state, self.rollout, target, slot, device)
            reader = unreadable.get(device)
            if place is None or (reader and formats.shortfalls(place.release, reader.reads)):
                gone.append(device)
            else:
                order = self.send_alone(target, place.release, slot, device, place.shadow)
                sent.setdefault(place.stage, []).append(order)
        entries = [Reordered(stage=stage, orders=orders) for stage, orders in sent.items()]
        if gone:
            stage = None if self.rollout.back else 0
            entries.append(Reordered(stage=stage, orders=[], gone=gone))
        log.append(self.connection, self.rollout.id, self.now, entries)
        return REORDER

    def _begins(self) -> bool:
        """Notes that the clocks of the newest wave begin, if the broker has acknowledged its
        orders; returns whether they do."""
        rollout, wave = self.rollout, self.rollout.newest_wave
        if wave is None or wave.waiting_since is not None or rollout.opening:
            return False
        if self._unsent(wave):
            return False
        stage = None if rollout.back else len(rollout.stages) - 1
        waits = stage is not None and rollout.created.plan.waits_for_windows(stage)
        began = Began(
            stage=stage, clock=self.reading.seconds, begins="deadline" if waits else "both"
        )
        log.append(self.connection, rollout.id, self.now, [began])
        return True

    def _unsent(self, wave: Wave) -> bool:
        """Returns whether the broker has orders of the wave still to acknowledge."""
        fleet, model = self.issuer.root.fleet, self.rollout.model
        return any(
            outbox.any_left(self.connection, fleet, target, model)
            for target in {order.target for order in wave.orders}
        )

    def _note_fail(self, decision: Decision) -> bool:
        """Notes a FAIL that cannot be acted on yet, as it is final; returns whether it is new."""
        if decision.stage is None or decision.gate is None or decision.gate.verdict != FAIL:
            return False
        if failed(self.rollout.stages[decision.stage]):
            return False
        log.append(self.connection, self.rollout.id, self.now, _gated(decision))
        return True

    def _open(self, _decision: Decision) -> Body:
        part, number = next_part(self.rollout, self.known), next_number(self.rollout)
        slots: dict[str, list[int]] = {}
        sent = []
        shadow = self.rollout.created.plan.stages[number].shadow
        for place in part.places:
            if place.device:
                release = self.rollout.created.releases[place.target]
                sent.append(
                    self.send_alone(place.target, release, place.slot, place.device, shadow)
                )
            else:
                slots.setdefault(place.target, []).append(place.slot)
        for target, its in sorted(slots.items()):
            sent += self.send(target, self.rollout.created.releases[target], its, shadow=shadow)
        rest = part.rest(self.rollout.created.plan.rate_of(number), self.reading.seconds)
        if self.rollout.opening:
            return OpenedPart(stage=number, orders=sent, rest=rest)
        return Opened(stage=number, orders=sent, rest=rest, clock=self.reading.seconds)

    def _ask(self, _decision: Decision) -> Body:
        return ApprovalAsked(stage=len(self.rollout.stages))

    def _hold(self, decision: Decision) -> Body:
        if decision.gate is not None and decision.gate.verdict in (FAIL, INCONCLUSIVE):
            return Held(reason=decision.reason, by="gate")
        unknown = facts(self.rollout, self.known).unknown
        return Held(reason=decision.reason, by="nobody" if unknown else "format")

    def _soak(self, _decision: Decision) -> Body:
        stage = len(self.rollout.stages) - 1
        return Began(stage=stage, clock=self.reading.seconds, begins="soak")

    def _continue(self, decision: Decision) -> Body:
        return Continued(reason=decision.reason)

    def _finish(self, decision: Decision) -> Body:
        return Finished(reason=decision.reason)

    def _revert(self, decision: Decision) -> Body:
        """Orders every slot whose order names the release back to the release before, also slots of
        an earlier rollout of the same release, and devices with such an order of their own. A
        device that cannot read the order does not delay
        the others: it keeps its release until its agent is updated."""
        created = self.rollout.created
        sent: list[OrderSent] = []
        cleared = []
        back: dict[str, list[int]] = {}
        for target, release in sorted(created.releases.items()):
            desired = self.state.desired.get((created.model, target), {})
            slots = [s for s, w in desired.items() if w.release.manifest == release.manifest]
            if any(desired[slot].whole for slot in slots):
                self.clear_all(target)
            if slots and target in created.previous:
                sent += self.send(target, created.previous[target], slots)
                back[target] = slots
            elif slots:
                cleared.append(self.clear(target, slots))
            for device, slot in self._alone_on(target, release, slots):
                if target in created.previous:
                    before = created.previous[target]
                    sent.append(self.send_alone(target, before, slot, device))
                    back.setdefault(target, []).append(slot)
                else:
                    cleared.append(self.clear_alone(target, slot, device))
        reason = decision.reason
        unreadable = self.known.unreadable(created.previous, back)
        if unreadable.texts:
            reason += f"; the orders to revert are sent, but {formats.told(unreadable)}"
        return Reverted(reason=reason, orders=sent, cleared=cleared)

    def _alone_on(
        self, target: str, release: Release, without: Collection[int]
    ) -> list[tuple[str, int]]:
        """Returns (id, slot) of the devices whose own order names the release, and that are in none
        of the slots in `without`."""
        return [
            (device, found.slot)
            for device, found in self.state.alone.get(self.rollout.model, {}).items()
            if found.target == target
            and found.wanted.release.manifest == release.manifest
            and found.slot not in without
        ]


def _gated(decision: Decision) -> list[Body]:
    if decision.gate is None or decision.stage is None or decision.gate.verdict == PENDING:
        return []
    verdict, reason = decision.gate
    return [Gated(stage=decision.stage, verdict=verdict, reason=reason)]
