"""Judges the reports of one device by their install and number, beside what is stored of it."""

import logging
from typing import Any

from modelwave_controller.phrases import clones
from modelwave_controller.storage import installs
from modelwave_controller.storage.installs import SAME, Installs
from modelwave_controller.storage.last_heard import LastHeard
from modelwave_controller.storage.messages import ReportMessage

# Of `devices`, as Standing.columns() returns them.
COLUMNS = ("boot", "n", "install", "installs", "stale", "replaced_at", "clones", "clone_clock")

logger = logging.getLogger(__name__)


class Standing:
    """What is stored about the installs of one device, while its reports are judged."""

    def __init__(
        self, row: Any | None, heard: LastHeard | None, seconds: float, now: float
    ) -> None:
        """`row`: of the table devices, None for a new device; `heard`: newer than that row.
        `seconds`: the rollout clock."""
        self.seconds, self.now = seconds, now
        newest: Any = heard or row
        self.held = row and installs.load(row.install, newest.boot, newest.n, row.installs)
        self.seen_clock: float = heard.clock if heard else row.seen_clock if row else seconds
        self.stale: int = row.stale if row else 0
        self.replaced_at: float = row.replaced_at if row else 0
        self.clones: int = row.clones if row else 0
        self.clone_clock: float = row.clone_clock if row else 0
        self.taken: ReportMessage | None = None  # the newest report that is to be stored
        self.same: ReportMessage | None = None  # it has the number of the newest one
        self.has_changed = False
        self.is_replaced = False

    def hear(self, message: ReportMessage) -> None:
        device, report = message.device, message.report
        heard = installs.Heard(report.install, report.boot, report.n)
        if self.held is None:
            self.held, self.taken = Installs(heard), message
            return
        if message.proven in installs.TAKEN:  # whatever the numbers of reports without proof
            word, self.held = message.proven, self.held.after(heard)
        else:
            word, self.held = installs.judge(self.held, heard, self.seconds - self.seen_clock)
        if word in installs.TAKEN:
            self.taken, self.stale, self.seen_clock = message, 0, self.seconds
        elif word == SAME:
            self.same = message
        if word == installs.REPLACED:
            self.replaced_at, self.clones = self.now, 0
            self.is_replaced = True
            logger.info("device %s was replaced, or its state was deleted", device)
        elif word == installs.OLDER:
            self.stale += 1
            self.has_changed = True
        elif word == installs.CLONE:
            if not self.clones:
                logger.warning("%s", clones([device]))
            self.clones, self.clone_clock = self.clones + 1, self.seconds
            self.has_changed = True

    def columns(self) -> tuple[Any, ...]:
        assert self.held is not None, "a report was heard"
        install, boot, n = self.held.current
        others = self.held.dump_others()
        return boot, n, install, others, self.stale, self.replaced_at, self.clones, self.clone_clock
