"""What an operator does to the fleet and not to a rollout. Each act is in the log of the fleet.

`connection` is from Store.write(), `now` in Unix seconds, `actor` names the operator in the log.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from modelwave_controller.errors import OperatorError
from modelwave_controller.rollout.events import FLEET, Act, ClockAccepted, Forgotten, Tagged, by
from modelwave_controller.storage import clock, devices, forgetting, log, outbox, tags
from modelwave_shared import topics

MAX_TAGS = 16  # of a device


def accept_clock(connection: Connection, reason: str, now: float, actor: str = "") -> None:
    """Notes that the wall clock, which shows `now`, is right."""
    note(connection, now, actor, ClockAccepted(reason=reason))
    clock.accept(connection, now, reason)


def forget(
    connection: Connection, fleet: str, device: str, now: float, actor: str = ""
) -> list[str]:
    """Forgets a device until it reports again. Returns its tags, which are kept. Raises
    OperatorError if it is not known."""
    if not forgetting.forget(connection, device):
        raise OperatorError(f"DEVICE: no message from {device} has been received")
    # Otherwise its messages that the broker retains would bring it back.
    outbox.put(connection, [topics.reported(fleet, device)], b"")
    outbox.put(connection, [topics.presence(fleet, device)], b"")
    note(connection, now, actor, Forgotten(device=device))
    return tags.of(connection, device)


def tag(
    connection: Connection,
    device: str,
    add: Sequence[str],
    remove: Sequence[str],
    now: float,
    actor: str = "",
) -> list[str]:
    """Adds and removes tags of a device, and returns all that it has then. Raises OperatorError."""
    held = tags.of(connection, device)
    added = sorted(set(add) - set(held))
    removed = sorted(set(remove) & set(held))
    if added and not devices.is_known(connection, device):
        raise OperatorError(
            f"DEVICE: no message from {device} has been received; see `modelwave device list`"
        )
    after = sorted({*held, *added} - set(removed))
    if len(after) > MAX_TAGS:
        raise OperatorError(
            f"--add: {device} would have {len(after)} tags; remove some, {MAX_TAGS} are allowed"
        )
    if added or removed:
        tags.change(connection, device, added, removed)
        note(connection, now, actor, Tagged(device=device, added=added, removed=removed))
    return after


def note(connection: Connection, now: float, actor: str, act: Act) -> None:
    """Puts the act into the log of the fleet."""
    log.append(connection, FLEET, now, [by(actor, act)])
