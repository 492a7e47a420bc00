"""Orders for single devices that cannot read their slot's order.

A slot's order is written so that all known devices in its slots can read it (rollout/formats.py).
A device that is first heard there later may have an older agent, which reads no bitmap. It gets an
order of its own, which says the same and counts for the same stage.
"""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Connection

from modelwave_controller.rollout import formats, wanted
from modelwave_controller.rollout.events import OrderSent, Reordered
from modelwave_controller.rollout.facts import Known
from modelwave_controller.rollout.state import State
from modelwave_controller.service.sending import Issuer, Sender
from modelwave_controller.storage import devices, log
from modelwave_controller.storage.devices import HeardModel


def is_due(state: State, heard: HeardModel) -> bool:
    """Returns whether the device needs an order of its own."""
    found = wanted.of(state, heard.model, heard.target, heard.slot, heard.device)
    return found is not None and formats.needs_its_own(found.v, devices.reads(heard.reads))


def send(
    connection: Connection, issuer: Issuer, state: State, due: Sequence[HeardModel], now: float
) -> None:
    """Signs the orders of these devices, and notes them in the log. `now` is in Unix seconds."""
    sent: dict[tuple[int, int | None, bool], list[OrderSent]] = defaultdict(list)
    for one in due:
        found = wanted.of(state, one.model, one.target, one.slot, one.device)
        assert found is not None, "it is due"
        rollout = state.rollouts[found.rollout]
        sender = Sender(connection, issuer, state, rollout, Known({}), now)
        order = sender.send_alone(
            one.target, found.release, one.slot, one.device, shadow=found.shadow
        )
        sent[rollout.id, *rollout.place_of(found.number)].append(order)
    for (number, stage, settled), orders in sent.items():
        event = Reordered(stage=stage, settled=settled, orders=orders)
        log.append(connection, number, now, [event])
