"""Ends the shadows of rollouts that are over: an aborted one leaves orders to run its release
beside the live one.

An ordinary order stays after an abort, as devices run its release. A shadow order says what to try
and not what to run: a device that is replaced later would find no release to run in it. So the
orders for the release before take its place; where there is none it is withdrawn.
"""

from sqlalchemy import Connection

from modelwave_controller.rollout import wanted
from modelwave_controller.rollout.events import Unshadowed
from modelwave_controller.rollout.state import Rollout, State
from modelwave_controller.service.sending import Issuer, Sender
from modelwave_controller.storage import log
from modelwave_controller.storage.counted import Counted


def unshadow(connection: Connection, issuer: Issuer, state: State, now: float) -> bool:
    """Replaces shadow orders of rollouts that are over; returns whether there were any. `now` is in
    Unix seconds."""
    found = [r for r in wanted.over_in_shadow(state) if not state.doubt(r.model)]
    for rollout in found:
        known = Counted(connection, rollout.model)
        sender = Sender(connection, issuer, state, rollout, known, now)
        log.append(connection, rollout.id, now, [_ended(sender, rollout)])
    return bool(found)


def _ended(sender: Sender, rollout: Rollout) -> Unshadowed:
    orders, cleared = [], []
    for target in rollout.created.releases:
        before = rollout.created.previous.get(target)
        slots = wanted.slots_in_shadow(sender.state, rollout, target)
        if slots and before:
            orders += sender.send(target, before, slots, quiet=True)
        elif slots:
            sender.clear_all(target)
            cleared.append(sender.clear(target, slots))
        for slot, device in wanted.devices_in_shadow(sender.state, rollout, target):
            if slot in slots:
                continue  # its slot's order is newer
            if before:
                orders.append(sender.send_alone(target, before, slot, device))
            else:
                cleared.append(sender.clear_alone(target, slot, device))
    return Unshadowed(orders=orders, cleared=cleared)
