"""Answers the nonces in devices' reports with heartbeats (modelwave_shared.heartbeats).

The writer puts a report in when it has stored it; the leading thread signs and sends the answers
between two ticks, outside of any transaction. An answer says the highest order that the log of the
last tick has for the device. Nothing is answered while the clock is in doubt, as the answer has the
time.

A device asks once a day and repeats its nonce in its reports, so an answer that is lost or not
given does no harm. Forged reports cost little: a device is answered every AGAIN_SECONDS at most,
MAX_WAITING devices wait, and MAX_AT_ONCE answers are sent in a turn of SIGN_SECONDS at most.
"""

import logging
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator

from modelwave_controller.rollout import wanted
from modelwave_controller.rollout.state import State
from modelwave_controller.service.sending import Issuer
from modelwave_controller.storage.handover import Ask
from modelwave_controller.storage.messages import Incoming, ReportMessage
from modelwave_controller.trust import keys
from modelwave_controller.trust.documents import of_our_format
from modelwave_shared import fields, topics
from modelwave_shared.errors import DocumentError
from modelwave_shared.slots import slot
from modelwave_shared.words import HEARTBEAT

AGAIN_SECONDS = 10
MAX_WAITING = 20_000
MAX_AT_ONCE = 200
SIGN_SECONDS = 0.1  # with a key in hardware a signature takes a tenth of that, or more

logger = logging.getLogger(__name__)

Send = Callable[[str, bytes], None]


def asks_in(stored: Iterable[Incoming]) -> Iterator[tuple[str, Ask]]:
    """Yields each device that asks in one of these messages, and what it asks with."""
    for message in stored:
        if isinstance(message, ReportMessage) and "nonce" in message.report.extra:
            report = message.report
            nonce = report.extra["nonce"]
            if _is_nonce(nonce):
                yield message.device, Ask(nonce, report.target, tuple(report.models))


class Heartbeats:
    """The devices that wait for a heartbeat. Any thread may put; one thread answers."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` returns seconds."""
        self.counts: Counter[str] = Counter()  # answered, early, dropped
        self._clock = clock
        self._waiting: OrderedDict[str, Ask] = OrderedDict()  # by device, longest waiting first
        self._answered: OrderedDict[str, float] = OrderedDict()  # by device: when, oldest first
        self._lock = threading.Lock()

    def put(self, stored: Iterable[Incoming]) -> None:
        """Takes the nonces in messages that were stored."""
        for device, ask in asks_in(stored):
            self.ask(device, ask)

    def answer(self, issuer: Issuer, state: State, now: float, send: Send) -> None:
        """Signs and sends answers to those who wait; the rest waits for the next call. `now` is in
        Unix seconds."""
        end = self._clock() + SIGN_SECONDS
        for _ in range(MAX_AT_ONCE):
            found = self._take() if self._clock() <= end else None
            if found is None:
                return
            device, ask = found
            heartbeat = _signed(issuer, state, now, device, ask)
            send(topics.heartbeat(issuer.root.fleet, device), heartbeat)
            self.counts["answered"] += 1

    def __len__(self) -> int:
        with self._lock:
            return len(self._waiting)

    def ask(self, device: str, ask: Ask) -> None:
        """Lets the device wait for an answer."""
        with self._lock:
            self._forget()
            if device in self._answered:
                self.counts["early"] += 1
            elif device in self._waiting or len(self._waiting) < MAX_WAITING:
                self._waiting[device] = ask  # the newest nonce, at the place of the first
            else:
                self.counts["dropped"] += 1
                if self.counts["dropped"] == 1:
                    logger.warning("%d devices wait for a heartbeat: more are dropped", MAX_WAITING)

    def _take(self) -> tuple[str, Ask] | None:
        with self._lock:
            if not self._waiting:
                return None
            device, ask = self._waiting.popitem(last=False)
            self._answered[device] = self._clock()
            self._answered.move_to_end(device)
            return device, ask

    def _forget(self) -> None:
        """Forgets the devices that may be answered again."""
        due = self._clock() - AGAIN_SECONDS
        while self._answered and next(iter(self._answered.values())) <= due:
            self._answered.popitem(last=False)


def _signed(issuer: Issuer, state: State, now: float, device: str, ask: Ask) -> bytes:
    """Returns the heartbeat. An order of an earlier epoch is none: devices take it no more."""
    root = issuer.root
    place = slot(root.fleet, device)
    found = {model: wanted.of(state, model, ask.target, place, device) for model in ask.models}
    document = {
        "fleet": root.fleet,
        "device": device,
        "nonce": ask.nonce,
        "time": int(now),
        "epoch": root.epoch,
        "root": root.version,
        "models": {
            model: order.seq if order and order.epoch == root.epoch else 0
            for model, order in found.items()
        },
    }
    payload = keys.canonical(of_our_format(HEARTBEAT, document))
    return keys.sign(HEARTBEAT, payload, [issuer.key])


def _is_nonce(value: object) -> bool:
    try:
        fields.nonce(value, "report.extra.nonce")
    except DocumentError:
        return False
    return True
