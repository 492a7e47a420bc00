"""Writes what happens to rollouts and devices to the service's log, in the words of `rollout log`.

The lines are made from committed events only, so that the log has nothing that was rolled back.
Devices' answers are not in it: there are as many as devices. Each record has the attribute
`about`: a dict with those of rollout, model, stage and device that it concerns.
"""

import logging
from collections.abc import Sequence
from typing import Any

from modelwave_controller.judge.verdicts import PASS
from modelwave_controller.phrases import plural
from modelwave_controller.rollout.events import (
    FLEET,
    Event,
    FoundNewer,
    Gated,
    Held,
    KeyAway,
    NotUnderstood,
    Promoted,
    RevertAsked,
    Reverted,
)
from modelwave_controller.rollout.lines import SERVICE, line_of
from modelwave_controller.storage import counting, log
from modelwave_controller.storage.ignored import Ignored
from modelwave_controller.storage.log import Wanted
from modelwave_controller.storage.store import Transactions

MAX_TOLD = 10_000  # devices whose ignored messages are remembered
MAX_EVENTS = 1000  # told at once; the next time goes on
MAX_NAMED = 10  # devices named in the lines about one batch of messages

logger = logging.getLogger(__name__)


class EventJournal:
    """Logs the events since it was begun, when they are committed."""

    def __init__(self) -> None:
        self._last: int | None = None  # the newest event that needs no line any more
        self._models = {FLEET: ""}

    def begin(self, store: Transactions) -> None:
        """Leaves out what is in the log already, the first time."""
        if self._last is None:
            with store.read() as connection:
                self._last = log.newest_id(connection)

    def tell(self, store: Transactions) -> None:
        """Logs what has come since, outside of transactions, as the log may block. Raises
        StorageError."""
        assert self._last is not None, "begin comes first"
        with store.read() as connection:
            until = log.newest_id(connection)
            events = log.page(connection, Wanted(), self._last, until, MAX_EVENTS)
            for rollout in {event.rollout for event in events} - self._models.keys():
                self._models[rollout] = counting.model_of(connection, rollout)
        for event in events:
            _tell_event(event, self._models[event.rollout])
        self._last = events[-1].id if len(events) == MAX_EVENTS else until


class IgnoredJournal:
    """Logs which devices send messages that are ignored, or not proven: at the first one, and each
    time that the number has doubled."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], int] = {}

    def tell(self, ignored: Sequence[Ignored]) -> None:
        due = [one for one in ignored if one.number >= 2 * self._told.get(_key(one), 0)]
        if len(self._told) + len(due) > MAX_TOLD:
            self._told.clear()
        self._told.update({_key(one): one.number for one in due})
        for one in due[:MAX_NAMED]:
            _warn(
                f"device {one.device}: {plural(one.number, one.what)} {one.fate}: {one.reason}",
                device=one.device,
            )
        more = len(due) - MAX_NAMED
        if more > 0:
            told = f"messages of {plural(more, 'more device')} ignored, or not proven"
            _warn(f"{told}: `modelwave device list`")


def _key(ignored: Ignored) -> tuple[str, str]:
    return ignored.device, f"{ignored.what} {ignored.fate}"


def _tell_event(event: Event, model: str) -> None:
    line = line_of(event)
    by = f" by {line.actor}" if line.actor != SERVICE else ""
    reason = f": {line.reason}" if line.reason else ""
    where = f"rollout {event.rollout} ({model or 'unknown model'})"
    about: dict[str, Any] = {"rollout": event.rollout, "model": model}
    if event.rollout == FLEET:
        where, about = "fleet", {}
    about |= {"stage": line.stage, "device": line.device}
    level = logging.WARNING if _is_grave(event) else logging.INFO
    _log(level, f"{where}: {line.what}{by}{reason}", about)


def _is_grave(event: Event) -> bool:
    body = event.body
    if isinstance(body, Gated):
        return body.verdict != PASS
    if isinstance(body, Promoted):
        return body.forced
    return isinstance(body, FoundNewer | KeyAway | Held | Reverted | RevertAsked | NotUnderstood)


def _warn(message: str, **about: object) -> None:
    _log(logging.WARNING, message, about)


def _log(level: int, message: str, about: dict[str, Any]) -> None:
    known = {name: value for name, value in about.items() if value not in (None, "")}
    logger.log(level, "%s", message, extra={"about": known})
