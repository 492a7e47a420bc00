"""The reconciler: compares what the devices report with the orders that they should have, and puts
right what differs. It runs within the tick, at a cost of what has changed:

    1. Where all rollouts of a model are over, one order for all takes the place of many.
    2. A device that was first heard in an opened slot gets the slot's order.
"""

import logging
from typing import NamedTuple

from sqlalchemy import Connection

from modelwave_controller.rollout import wanted
from modelwave_controller.rollout.clock import Reading
from modelwave_controller.rollout.events import Reordered
from modelwave_controller.rollout.state import State, Wanted
from modelwave_controller.service.sending import Issuer, Sender
from modelwave_controller.storage import devices, log, outbox, retained
from modelwave_controller.storage.devices import Heard
from modelwave_shared import topics
from modelwave_shared.limits import SLOTS

MAX_HEARD = 1000  # devices that a tick looks at

logger = logging.getLogger(__name__)


class Behind(NamedTuple):
    """A device that reports an older order than it should have, and the topic of that one."""

    heard: Heard
    wanted: Wanted
    topic: str


class Reconciler:
    """It keeps in memory only how far it has looked; a new one looks at all devices once."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self._looked = (0, "")  # the number of the batch, and the device in it
        self._settled = -1  # the newest event at which nothing was left to put together

    def run(self, connection: Connection, state: State, now: float, reading: Reading) -> bool:
        """Puts right what it can; returns whether it has signed orders, and then `state` is not up
        to date. `now` is in Unix seconds."""
        self._serve(connection, state)
        return self.settle(connection, state, now, reading)

    def settle(self, connection: Connection, state: State, now: float, reading: Reading) -> bool:
        """Signs one order for all where it says the same as many; returns whether it did."""
        if reading.doubt or self._settled == state.last:
            return False
        due = list(wanted.settled(state))
        if not due:
            self._settled = state.last
            return False
        known = {model: devices.known(connection, model) for model in {d.model for d in due}}
        for model, target, newest in due:
            rollout = state.rollouts[newest.rollout]
            sender = Sender(connection, self.issuer, state, rollout, known[model], now)
            sent = sender.send(target, newest.release, range(SLOTS), quiet=True)
            event = Reordered(settled=True, orders=sent)
            log.append(connection, rollout.id, now, [event])
            logger.info(
                "rollout %d is over: order %d of %s for all of %s takes the place of its others",
                rollout.id,
                sent[0].seq,
                model,
                target,
            )
        return True

    def _serve(self, connection: Connection, state: State) -> None:
        """Looks at the devices that reported since the last tick."""
        heard, self._looked = devices.heard_after(connection, self._looked, MAX_HEARD)
        behind = [found for one in heard if (found := self._behind(state, one))]
        if not behind:
            return
        held = retained.on(connection, [found.topic for found in behind])
        for found in behind:
            if found.topic not in held:
                message = retained.message(connection, found.heard.model, found.wanted.seq)
                if message:
                    outbox.put(connection, [found.topic], message)

    def _behind(self, state: State, heard: Heard) -> Behind | None:
        found = wanted.of(state, heard.model, heard.target, heard.slot, heard.device)
        root = self.issuer.root
        if found is None or (heard.epoch, heard.seq) >= (root.epoch, found.seq):
            return None
        alone = state.alone.get(heard.model, {}).get(heard.device)
        if alone and alone.wanted == found:
            topic = topics.desired_device(root.fleet, heard.device, heard.model)
        elif found.whole:
            topic = topics.desired_all(root.fleet, heard.target, heard.model)
        else:
            topic = topics.desired_slot(root.fleet, heard.target, heard.model, heard.slot)
        return Behind(heard, found, topic)
