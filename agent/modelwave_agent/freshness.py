"""Whether the device's view of its orders is of now, found without a clock that is right.

Who has the broker can keep orders from a device, or show it the orders of last year. So the device
asks: it puts a nonce into its report, and the controller answers with a heartbeat, which is signed
by the order key and names the nonce, the newest root and the highest order of each model.

    word         what it means
    -----------  ----------------------------------------------------------------------------------
    asked        no answer has come since the reset
    fresh        the last answer came, and all that it names
    withheld     the last answer names an order or a root that has not come for WITHHELD_SECONDS
    unanswered   no answer came for `frozen_seconds` with a connection: the view may be frozen

Rules:

  1. A nonce is drawn at each reset, a day after the last answer, and an hour after one that
     named what has not come. It is in all reports until it is answered.
  2. When an answer names what has not come, the device subscribes anew, which makes a broker send
     what it retains.
  3. A heartbeat that is no answer to the nonce (heartbeat.py) changes nothing, and is told once. At
     most one a minute is judged.
  4. An order has come if it was authentic, also if it was refused for what it says. Where a message
     came that could not be read or judged, nothing is said of that model's orders.
  5. Whatever the word, inference and updates go on.
"""

import binascii
import os
import random

from modelwave_agent.inbox import JUDGING
from modelwave_agent.record import clean, said
from modelwave_shared.words import ASKED, FRESH, UNANSWERED, WITHHELD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_agent.ports import Clock
    from modelwave_agent.types import Document, Enrolment
    from modelwave_agent.update import Update

NONCE_BYTES = 8
ASK_SECONDS = 86400
JITTER = 0.2
DOUBT_SECONDS = 3600
WITHHELD_SECONDS = 600
FROZEN_SECONDS = 2 * 86400
JUDGE_SECONDS = 60  # between two heartbeats that are judged, after a wrong one


class View:
    """What the device knows of its view. `look` is to be called every minute."""

    def __init__(self, device: "Enrolment", updates: "dict[str, Update]", clock: "Clock") -> None:
        self.device = device
        self.updates = updates
        self.clock = clock
        self.frozen_seconds: float = FROZEN_SECONDS
        self.word = ASKED
        self.nonce = ""  # that waits for its answer; "": none
        self.answer: "Document | None" = None  # the last one
        self.waited = 0.0  # seconds with a connection for which the nonce has waited
        self.looked = self.asks_at = self.judges_at = clock.now()
        self.since: "float | None" = None  # when an answer named what has not come since
        self.seeks = False  # the device should subscribe anew
        self.wrong = ""  # what was wrong with the last heartbeat
        self.denied = ""  # the broker does not let the device hear heartbeats
        self._ask()

    def extra(self) -> "Document":
        """Returns what the report's `extra` says of it: nothing on a board without randomness."""
        if not hasattr(os, "urandom"):
            return {}
        found = {"view": self.word}
        if self.nonce:
            found["nonce"] = self.nonce
        return found

    def notes(self) -> "list[str]":
        """Returns what the report's `refused` says of it."""
        found = [self.denied, self.wrong]
        if self.word == WITHHELD:
            found.append("withheld: %s" % self._missing())
        if self.word == UNANSWERED and not self.denied:
            told = "the view may be frozen: no heartbeat came for %d h"
            found.append(told % (self.waited / 3600))
        return [note for note in found if note]

    def look(self, connected: bool) -> bool:
        """Asks anew if that is due; returns whether the report says something else now."""
        now, before = self.clock.now(), (self.word, self.nonce)
        if connected and self.nonce:
            self.waited += now - self.looked
        self.looked = now
        if not self.nonce and now >= self.asks_at:
            self._ask()
        self._judge(now)
        return before != (self.word, self.nonce)

    async def take(self, data: bytes) -> bool:
        """Takes the heartbeat in `data`, if it is the answer; returns whether the report says
        something else now."""
        now, before = self.clock.now(), self.wrong
        if not self.nonce or now < self.judges_at:
            return False
        await self.clock.breathe()
        try:
            with JUDGING:
                self._take(data)
        except Exception as error:  # no memory, or what the heartbeat says
            self.wrong = clean("heartbeat: %s" % _problem(error))
            self.judges_at = now + JUDGE_SECONDS
            return self.wrong != before
        self.wrong = self.nonce = ""
        self._judge(now)
        self.seeks = self.since is not None
        jitter = 1 + JITTER * (2 * random.random() - 1)
        self.asks_at = now + (DOUBT_SECONDS if self.seeks else ASK_SECONDS * jitter)
        return True

    def heard(self, granted: bool) -> None:
        """Notes whether the broker lets the device hear heartbeats."""
        self.denied = ""
        if not granted:
            self.denied = "the broker denies heartbeat/%s: allow it to read" % self.device.name
        self._judge(self.clock.now())

    def _ask(self) -> None:
        if hasattr(os, "urandom"):
            self.nonce = binascii.hexlify(os.urandom(NONCE_BYTES)).decode()
            self.waited = 0.0

    def _take(self, data: bytes) -> None:
        from modelwave_agent.heartbeat import judge

        updates, clock = list(self.updates.values()), self.clock
        records = [update.record for update in updates]
        self.answer, times = judge(
            data, self.device, self.nonce, records, clock.wall(), clock.is_synchronised()
        )
        for update, time in zip(updates, times):
            if time is not None:
                update.ledger.learn_time(time)

    def _judge(self, now: float) -> None:
        is_missing = bool(self._missing())
        if not is_missing:
            self.since = None
        elif self.since is None:
            self.since = now
        if self.since is not None and now - self.since >= WITHHELD_SECONDS:
            self.word = WITHHELD
        elif self.denied or (self.nonce and self.waited >= self.frozen_seconds):
            self.word = UNANSWERED
        else:
            self.word = FRESH if self.answer else ASKED

    def _missing(self) -> str:
        """Returns what the last answer names and has not come, for people; "": nothing."""
        answer, root = self.answer, self.device.root
        if not answer:
            return ""
        if answer["root"] > self.device.root_version:
            return "root %d has not come" % answer["root"]
        if answer["epoch"] != root["epoch"]:
            return ""  # of before the present root
        for model in answer["models"]:
            update, seq = self.updates.get(model), answer["models"][model]
            if update and not update.has_seen(root["epoch"], seq):
                return "order %d of %s has not come" % (seq, model)
        return ""


def _problem(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) else said(error)
