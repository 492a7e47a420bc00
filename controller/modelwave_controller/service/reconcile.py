"""The reconciler: compares what the devices report with the orders that they should have, and puts
right what differs. It runs within the tick, at a cost of what has changed:

    1. Where all rollouts of a model are over, one order for all takes the place of many.
    2. A device that was first heard in an opened slot gets the slot's order, or if it cannot read
       that, one of its own (own_orders.py).
    3. A device that goes on reporting an older order than its own is sent it again (repair.py).
       So is a root that it lacks (lacked_roots.py).
    4. Orders that still stand are signed anew when half of their time has passed.
    5. All orders of a model are signed anew when the floor of its numbers was raised.
    6. Orders that the newest root does not allow are signed anew (storage/soundness.py).
    7. Orders to run a release beside the live one that stand when their rollout is over are
       replaced by orders for the release before (unshadow.py).

Nothing is signed while the clock is in doubt or the order key is away, nor for a model while its
numbers are in doubt.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import Connection

from modelwave_controller.rollout import wanted
from modelwave_controller.rollout.clock import Reading
from modelwave_controller.rollout.events import OrderSent, Reordered
from modelwave_controller.rollout.numbers import Number
from modelwave_controller.rollout.repair import MARGIN_SECONDS, Repair, look
from modelwave_controller.rollout.state import Rollout, State, Wanted
from modelwave_controller.service import own_orders
from modelwave_controller.service.differences import model_of as model_in
from modelwave_controller.service.lacked_roots import LackedRoots
from modelwave_controller.service.sending import Issuer, Sender
from modelwave_controller.service.unshadow import unshadow
from modelwave_controller.storage import devices, floors, log, outbox, repairs, retained, soundness
from modelwave_controller.storage.counted import Counted
from modelwave_controller.storage.devices import HeardModel
from modelwave_shared import documents, topics
from modelwave_shared.limits import SLOTS

MAX_HEARD = 1000  # devices that a tick looks at
MAX_REPAIRS = 200  # topics that a tick sends again
MAX_ORDERED_ALONE = 200  # orders for single devices that a tick signs
MAX_REMEMBERED = 10_000  # topics
RENEW_SECONDS = 600
JUDGE_SECONDS = 60

logger = logging.getLogger(__name__)


class Behind(NamedTuple):
    """A device that reports an older order than it should have, and the topic of that one."""

    heard: HeardModel
    wanted: Wanted
    topic: str


class Reconciler:
    """It keeps in memory only how far it has looked; a new one looks at all devices once."""

    def __init__(
        self,
        issuer: Issuer,
        heard_again: Callable[[int], dict[str, float]] = lambda _limit: {},
    ) -> None:
        """`heard_again` as that of service/repeats.py."""
        self.issuer = issuer
        self.heard_again = heard_again
        self._looked = (0, "")  # the number of the batch, and the device in it
        self._asserted: dict[str, float] = {}  # {topic: the rollout clock when it was sent again}
        self._renewal = 0.0  # the rollout clock at the next look for orders that expire
        self._judged: dict[str, Any] | None = None  # the root under which all orders were looked at
        self._judge_again = 0.0  # the rollout clock at the next look at them
        self._settled = -1  # the newest event at which nothing was left to put together
        self._unshadowed = -1  # the same, of shadow orders to replace
        self._lacked = LackedRoots()
        # Devices, by id and model, that need an order of their own.
        self._unread: dict[tuple[str, str], HeardModel] = {}

    def run(
        self, connection: Connection, state: State, now: float, reading: Reading, looks: bool
    ) -> bool:
        """Puts right what it can; returns whether it has signed orders, and then `state` is not up
        to date. With `looks` it looks at devices that reported. `now` is in Unix seconds."""
        if looks:
            self._serve(connection, state)
        if reading.doubt:
            return False
        return (
            self._pass_floors(connection, state, now)
            or self._replace_unsound(connection, state, now, reading)
            or self._unshadow(connection, state, now)
            or self._order_alone(connection, state, now)
            or self.settle(connection, state, now, reading)
            or self._renew(connection, state, now, reading)
        )

    def _pass_floors(self, connection: Connection, state: State, now: float) -> bool:
        """Signs all orders anew of the models whose numbers have to pass a floor."""
        done = [
            sign_anew(connection, self.issuer, state, model, now)
            for model in floors.reached(connection, self.issuer.root.epoch)
            if not state.obstacle(model) and not state.doubt(model)
        ]
        return any(done)

    def _replace_unsound(
        self, connection: Connection, state: State, now: float, reading: Reading
    ) -> bool:
        """Signs the orders anew that devices would refuse under the newest root. It looks at all
        when there is another root, and again while some of them cannot be signed yet."""
        root = self.issuer.document
        if root is self._judged and reading.seconds < self._judge_again:
            return False
        found = soundness.of(connection, root, self.issuer.in_home, state)
        for model, unsound in found.items():
            if not unsound.due or state.obstacle(model) or state.doubt(model):
                continue
            numbers = sorted(number.seq for number in unsound.due)
            logger.info("%s: orders %s are signed anew under the newest root", model, numbers)
            if sign_anew(connection, self.issuer, state, model, now, unsound.due):
                return True
        for model, unsound in found.items():
            if unsound.stuck and root is not self._judged:
                logger.warning(
                    "%s: too few keys of the newest root have signed release %s, and devices "
                    "refuse it: `modelwave release sign %s --key FILE`",
                    model,
                    ", ".join(map(str, sorted(unsound.stuck))),
                    model,
                )
        kept = {model for model, unsound in found.items() if unsound.due}
        left = soundness.left_over(connection, root)
        fleet = self.issuer.root.fleet
        outbox.put(connection, [t for t in left if model_in(fleet, t) not in kept], b"")
        self._judged = root
        self._judge_again = reading.seconds + JUDGE_SECONDS if found else float("inf")
        return False

    def _order_alone(self, connection: Connection, state: State, now: float) -> bool:
        """Signs orders for devices that cannot read their slot's order, so many as a tick may."""
        unread = {
            key: one
            for key, one in self._unread.items()
            if own_orders.is_due(state, one) and not state.obstacle(one.model)
        }
        due = {k: one for k, one in unread.items() if not state.doubt(one.model)}
        due = dict(islice(due.items(), MAX_ORDERED_ALONE))
        self._unread = {k: one for k, one in unread.items() if k not in due}
        own_orders.send(connection, self.issuer, state, list(due.values()), now)
        return bool(due)

    def _renew(self, connection: Connection, state: State, now: float, reading: Reading) -> bool:
        """Signs orders anew before they expire, if their rollout is over: a device that is replaced
        years later wants them too. Looks only every RENEW_SECONDS."""
        if reading.seconds < self._renewal:
            return False
        self._renewal = reading.seconds + RENEW_SECONDS
        signed = False
        for model, numbers in wanted.standing(state).items():
            if state.doubt(model):
                continue
            old = retained.past_half(connection, model, numbers, now)
            if old:
                seqs = sorted(number.seq for number in old)
                logger.info("%s: orders %s are signed anew before they expire", model, seqs)
                signed = sign_anew(connection, self.issuer, state, model, now, old) or signed
        return signed

    def _unshadow(self, connection: Connection, state: State, now: float) -> bool:
        """Ends the shadows of rollouts that are over; returns whether there were any."""
        if self._unshadowed == state.last:
            return False
        if unshadow(connection, self.issuer, state, now):
            return True
        self._unshadowed = state.last
        return False

    def settle(self, connection: Connection, state: State, now: float, reading: Reading) -> bool:
        """Signs one order for all where it says the same as many; returns whether it did."""
        if reading.doubt or self._settled == state.last:
            return False
        due = [one for one in wanted.settled(state) if not state.doubt(one.model)]
        if not due:  # a doubt ends with an event
            self._settled = state.last
            return False
        known = {model: Counted(connection, model) for model in {d.model for d in due}}
        for model, target, newest in due:
            rollout = state.rollouts[newest.rollout]
            sender = Sender(connection, self.issuer, state, rollout, known[model], now)
            sent = sender.send(target, newest.release, range(SLOTS), quiet=True)
            log.append(connection, rollout.id, now, [Reordered(settled=True, orders=sent)])
        return True

    def _serve(self, connection: Connection, state: State) -> None:
        """Looks at the devices that reported since the last tick."""
        heard, self._looked = devices.heard_after(connection, self._looked, MAX_HEARD)
        if undone := self._serve_these(connection, state, heard):
            self._looked = _before(heard, undone)  # the next tick goes on with this device
        again = devices.that_repeated(connection, self.heard_again(MAX_HEARD))
        self._serve_these(connection, state, again)  # what is left is heard again

    def _serve_these(
        self, connection: Connection, state: State, heard: Sequence[HeardModel]
    ) -> HeardModel | None:
        """Looks at these devices; returns the first one that has to wait, if one has."""
        if not heard:
            return None
        lacked = self._lacked.look(heard, documents.root_version(self.issuer.document))
        outbox.unsend(connection, [topics.root(self.issuer.root.fleet, one) for one in lacked])
        behind = [found for one in heard if (found := self._behind(state, one))]
        behind = self._but_unread(state, heard, behind)
        held = retained.on(connection, [found.topic for found in behind])
        for found in behind:
            if found.topic not in held:
                _put(connection, found)
        late = [found for found in behind if found.topic in held and held[found.topic].acked]
        return self._repair(connection, heard, late)

    def _but_unread(
        self, state: State, heard: Sequence[HeardModel], behind: Sequence[Behind]
    ) -> list[Behind]:
        """Notes the devices that need an order of their own; returns the others of `behind`."""
        for one in heard:
            self._unread.pop((one.device, one.model), None)
        others = []
        for found in behind:
            if own_orders.is_due(state, found.heard):
                self._unread[found.heard.device, found.heard.model] = found.heard
            else:
                others.append(found)
        return others

    def _repair(
        self, connection: Connection, heard: Sequence[HeardModel], late: Sequence[Behind]
    ) -> HeardModel | None:
        """Makes the topics of the devices in `late` due again, as rollout/repair.py says, and
        forgets the repairs of all other devices in `heard`. Returns the first one that has to
        wait, if they are more than MAX_REPAIRS."""
        undone = None
        noted = repairs.of(connection, {one.device for one in heard})
        new: dict[repairs.Key, Repair] = {}
        again: dict[str, None] = {}
        for found in late:
            key, at = (found.heard.device, found.heard.model), found.heard.clock
            held = noted.get(key)
            looked = look(held, found.wanted.seq, at)
            if held and looked.times > held.times:
                if len(again) == MAX_REPAIRS:
                    undone = found.heard
                    break
                if not self._may_assert(found.topic, at):
                    looked = held
                else:
                    again[found.topic] = None
            new[key] = looked
        else:
            kept = {(found.heard.device, found.heard.model) for found in late}
            repairs.replace(connection, noted.keys() - kept, {})
        repairs.replace(connection, (), {k: r for k, r in new.items() if noted.get(k) != r})
        if again:
            outbox.unsend(connection, list(again))
            logger.warning(
                "devices report older orders than theirs: %d topics are sent again, such as %s",
                len(again),
                next(iter(again)),
            )
        return undone

    def _may_assert(self, topic: str, at: float) -> bool:
        """Returns whether the topic was not sent again just now, for another device."""
        if at - self._asserted.get(topic, float("-inf")) < MARGIN_SECONDS:
            return False
        if len(self._asserted) >= MAX_REMEMBERED:
            self._asserted.clear()
        self._asserted[topic] = at
        return True

    def _behind(self, state: State, heard: HeardModel) -> Behind | None:
        found = wanted.of(state, heard.model, heard.target, heard.slot, heard.device)
        root = self.issuer.root
        if found is None or (heard.epoch, heard.seq) >= found.number:
            return None
        alone = state.alone.get(heard.model, {}).get(heard.device)
        if alone and alone.wanted == found:
            topic = topics.desired_device(root.fleet, heard.device, heard.model)
        elif found.whole:
            topic = topics.desired_all(root.fleet, heard.target, heard.model)
        else:
            topic = topics.desired_slot(root.fleet, heard.target, heard.model, heard.slot)
        return Behind(heard, found, topic)


def _put(connection: Connection, behind: Behind) -> None:
    message = retained.message(connection, behind.heard.model, behind.wanted.number)
    if message:
        outbox.put(connection, [behind.topic], message)


def _before(heard: Sequence[HeardModel], one: HeardModel) -> tuple[int, str]:
    """Returns the device (and its batch) that was heard before `one`'s."""
    earlier = [(h.batch, h.device) for h in heard if (h.batch, h.device) < (one.batch, one.device)]
    return earlier[-1] if earlier else (one.batch, "")


def sign_anew(
    connection: Connection,
    issuer: Issuer,
    state: State,
    model: str,
    now: float,
    only: Collection[Number] | None = None,
) -> bool:
    """Signs the newest orders for all slots of the model anew, with new numbers: each order for the
    slots that it is still the newest for. Returns whether there were any. `only` gives the numbers
    of the orders that this is for, None all. Orders for single devices that say what their slot's
    order says end; others are signed anew. `now` is in Unix seconds."""
    found = list(wanted.parts(state, model, only))
    alone = list(wanted.alone_parts(state, model, only))
    if not found and not alone:
        return False
    known = Counted(connection, model)

    def note(rollout: Rollout, order: Wanted, sent: list[OrderSent]) -> None:
        stage, settled = rollout.place_of(order.number)
        event = Reordered(stage=stage, settled=settled, orders=sent)
        log.append(connection, rollout.id, now, [event])

    for target, order, slots in found:
        rollout = state.rollouts[order.rollout]
        sender = Sender(connection, issuer, state, rollout, known, now)
        sent = sender.send(target, order.release, slots, quiet=True, shadow=order.shadow)
        note(rollout, order, sent)
    for device, target, slot, order in alone:
        rollout = state.rollouts[order.rollout]
        sender = Sender(connection, issuer, state, rollout, known, now)
        again = sender.send_alone(target, order.release, slot, device, order.shadow)
        note(rollout, order, [again])
    return True
