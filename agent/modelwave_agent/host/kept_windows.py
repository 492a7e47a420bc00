"""Keeps windows that the broker does not have in a file, so that a reset does not lose them.

    waiting   A window that ends while there is no connection gets its numbers (boot, n) at once,
              and is written with them. From then on it does not change, and is not joined with
              another one: whatever a power cut leaves, the window is sent with these numbers, and
              the controller counts it once.
    full      The file holds LIMIT_BYTES. Windows that find no room wait in memory alone, as they
              do on a board (observations.py).
    sent      Windows that were sent are taken out of the file all at once, at the end. If the power
              is cut before that, they are sent again with their numbers.

While the broker takes each window nothing is written. The file is a journal (journal.py): two files
that are written in turn, so there is always a whole one.
"""

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from modelwave_agent.backlog import documents
from modelwave_agent.host.log import logger
from modelwave_agent.journal import Journal
from modelwave_agent.observations import Observations
from modelwave_agent.ports import Clock

if TYPE_CHECKING:
    from modelwave_agent.types import Document, Enrolment, Numbered

NAME = "windows"  # of the files
VERSION = 1  # of the record
LIMIT_BYTES = 32 * 1024  # of each file: about 55 windows with all measures, 160 with counts alone
HEAD_BYTES = 128  # of them, for what the journal writes before the record


class Waiting(NamedTuple):
    """A document that waits for the broker. `end`: of its window, by the clock of this life, or the
    begin of this life if it is of an earlier one. `date`: the same in Unix seconds, 0 if that is
    not known."""

    document: "Document"
    end: float
    date: int


class KeptObservations(Observations):
    """The windows of a device whose medium can be written as often as a window ends."""

    limit = LIMIT_BYTES  # of each file

    def __init__(self, seconds: float, clock: Clock, folder: str, device: "Enrolment") -> None:
        """`folder`: of the agent's own files. What another device has left in the file is not
        sent."""
        super().__init__(seconds, clock.now())
        self.clock = clock
        self.journal = Journal(folder, NAME, self.limit)
        self.whose = f"{device.fleet}/{device.name}"
        self.born = clock.now()
        self.trouble = ""  # why windows would not outlive a reset, or did not
        self.waiting: list[Waiting] = []
        self._is_read = False  # what earlier lives have left is in `waiting`
        self._stored: list[Any] | None = None  # what the file holds; None: that is not known
        self._began = 0.0  # Unix seconds when the clock said 0; 0: it was not right in this life
        try:
            self._read()
        except OSError as error:
            self._tell(f"those of before the start cannot be read: {error}")

    def _read(self) -> None:
        record = self.journal.read()
        self._is_read = True
        if record is None:
            if self.journal.is_lost:
                self._tell("the file is damaged, those of before the start are lost")
            self._stored = []
            return
        self._stored = record.get("windows")
        if (record.get("v"), record.get("of")) != (VERSION, self.whose):
            whose = f"{record.get('of')}, version {record.get('v')}"
            return self._tell(f"the file is of {whose}: what it holds is dropped")
        earlier = [Waiting(one, self.born, date) for one, date in record["windows"]]
        self.waiting = earlier + self.waiting

    def _tell(self, problem: str) -> None:
        problem = f"windows: {problem}" if problem else ""
        if problem and problem != self.trouble:
            logger.warning("%s", problem)
        self.trouble = problem

    def is_dated(self) -> bool:
        """Returns whether the age of what waits can be told now."""
        return self.clock.is_synchronised() or not any(one.date for one in self.waiting)

    def next(self, numbered: "Numbered", now: float) -> "Document | None":
        if not self.waiting:
            return super().next(numbered, now)
        document, end, date = self.waiting[0]
        age = int(now - end)
        if date and self.clock.is_synchronised():
            age = max(age, (self.clock.wall() or 0) - date)
        return {**document, "age_seconds": max(0, age)}

    def sent(self) -> None:
        if self.waiting:
            self.waiting.pop(0)
        else:
            super().sent()

    def keep(self, numbered: "Numbered") -> None:
        """Makes what waits durable, as far as there is room. `numbered`: as of `next`."""
        if self.clock.is_synchronised():
            self._began = (self.clock.wall() or 0) - self.clock.now()
        self.waiting += [self._dated(document, self.end) for document in self.sending]
        self.sending = []
        while self.unsent:
            window = self.unsent[0]
            found = [self._dated(one, window.end) for one in documents(window, numbered)]
            if (
                len(json.dumps(self._record(self.waiting + found)))
                > self.journal.limit - HEAD_BYTES
            ):
                break
            self.waiting += found
            self.unsent.pop(0)
        self._store()

    def _dated(self, document: "Document", end: float) -> Waiting:
        return Waiting(document, end, int(self._began + end) if self._began else 0)

    def _record(self, waiting: list[Waiting]) -> dict[str, Any]:
        windows = [[one.document, one.date] for one in waiting]
        return {"v": VERSION, "of": self.whose, "windows": windows}

    def _store(self) -> None:
        try:
            if not self._is_read:
                self._read()  # else it would be overwritten
            record = self._record(self.waiting)
            if record["windows"] != self._stored:
                self._stored = None
                self.journal.write(record)
                self._stored = record["windows"]
        except OSError as error:
            return self._tell(f"a reset would lose those that wait: {error}")
        self._tell("")
