"""What an operator does to the fleet and not to a rollout. Each act is in the log of the fleet.

`connection` is from Store.write(), `now` in Unix seconds, `actor` names the operator in the log.
"""

from sqlalchemy import Connection

from modelwave_controller.errors import OperatorError
from modelwave_controller.rollout.events import FLEET, Act, ClockAccepted, Forgotten, by
from modelwave_controller.storage import clock, devices, log, outbox
from modelwave_shared import topics


def accept_clock(connection: Connection, reason: str, now: float, actor: str = "") -> None:
    """Notes that the wall clock, which shows `now`, is right."""
    _note(connection, now, actor, ClockAccepted(reason=reason))
    clock.accept(connection, now, reason)


def forget(connection: Connection, fleet: str, device: str, now: float, actor: str = "") -> None:
    """Forgets a device until it reports again. Raises OperatorError if it is not known."""
    if not devices.forget(connection, device):
        raise OperatorError(f"DEVICE: no message from {device} has been received")
    # Otherwise its messages that the broker retains would bring it back.
    outbox.put(connection, [topics.reported(fleet, device)], b"")
    outbox.put(connection, [topics.presence(fleet, device)], b"")
    _note(connection, now, actor, Forgotten(device=device))


def _note(connection: Connection, now: float, actor: str, act: Act) -> None:
    log.append(connection, FLEET, now, [by(actor, act)])
