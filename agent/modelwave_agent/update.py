"""The updates of one model on one device.

A message on a desired topic goes through these parts; each holds its own state:

    inbox    judges the message by checks.py; holds which messages were        inbox.py
             judged, and which may be accepted later
    work     holds the task for the accepted order, and its progress; the      work.py
             task runs driver.py, which goes through the states of machine.py
    ledger   holds the durable record: what serves, which order is in          ledger.py
             progress
    report   holds what the report says besides the record                     model_report.py
"""

import asyncio

from modelwave_agent.inbox import OrderInbox
from modelwave_agent.ledger import Ledger
from modelwave_agent.model_report import ModelReport
from modelwave_agent.record import is_under_way, serving, spare
from modelwave_agent.work import Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from modelwave_agent.ports import Ports
    from modelwave_agent.types import AcceptedOrder, Document, Enrolment, Live, Record

# Orders for other releases that a device begins in a while: flash wears out.
MAX_ORDERS = 16
ORDERS_SECONDS = 600


class Update:
    """One model: the methods that the agent and the program call."""

    def __init__(self, model: str, device: "Enrolment", ports: "Ports") -> None:
        self.model = model
        self.ports = ports
        self.report = ModelReport()
        self.ledger = Ledger(model, ports, self.report)
        self.inbox = OrderInbox(model, device, ports, self.ledger, self.report)
        self.work = Work(self.ledger, self.report, ports)
        self.turn = asyncio.Lock()  # messages are handled one after the other
        self.missed = False  # whether messages came that could not be judged, or not be taken
        self.taken: "list[float]" = []  # when the last orders were taken that make it work

    # Orders.

    async def consider(self, message: bytes, again: bool = False) -> None:
        """Judges `message` (bytes on a desired topic), and begins its order if it is accepted.
        Waits first until the work after a reset was tried, as it changes the device's state. If
        that cannot be done now, or the journal cannot be written, the message is passed over.
        `again`: it is the one that may be accepted later, unless another order came meanwhile."""
        await self.work.tried.wait()
        if self.ledger.problem or not self.work.booted.is_set():
            self.missed = True
            return
        async with self.turn:
            if again and message is not self.inbox.later:
                return
            order = await self.inbox.judge(message)
            self.missed = self.missed or self.inbox.unjudged
            if order and self._has_time_for(order):
                await self.work.take(order)
            elif order:
                self.missed = True
                self.report.tell(
                    "%d orders came in %d minutes: the next is taken later"
                    % (MAX_ORDERS, ORDERS_SECONDS // 60)
                )

    def _has_time_for(self, order: "AcceptedOrder") -> bool:
        """Whether `order` may begin now: only so many make the device write in a while. One for
        what is live, or under way, makes it write next to nothing (Ledger.step)."""
        record, manifest = self.record, order.document["manifest"]
        bank = record["live"]
        live = record["banks"][bank] if bank in self.work.progress.whole else None
        if is_under_way(record, order.digest) or (live and live["manifest"] == manifest):
            return True
        now = self.ports.clock.now()
        self.taken = [since for since in self.taken if now - since < ORDERS_SECONDS]
        if len(self.taken) >= MAX_ORDERS:
            return False
        self.taken.append(now)
        return True

    async def consider_again(self) -> None:
        """Judges again the last order that may be accepted later, if there is one."""
        if self.inbox.later:
            await self.consider(self.inbox.later, again=True)

    async def begin_anew(self) -> None:
        """Judges all orders anew, also the one under way: the device has another root of trust."""
        async with self.turn:
            self.inbox.forget()
            self.report.clear()
            if self.work.busy() or self.record["state"] != "idle":
                await self.work.begin_anew()

    def heal(self) -> bool:
        """Tries again what the medium has refused. True if messages were passed over meanwhile
        and can be judged now, or were judged before the live bank was lost: they are retained, so
        whoever asks for them gets them again."""
        progress = self.work.progress
        if self.work.booted.is_set():
            self.missed = self.ledger.try_again() or progress.lost or self.missed
            progress.lost = False
        if not self.missed or self.ledger.problem or not self.work.booted.is_set():
            return False
        self.missed = False
        return True

    def has_seen(self, epoch: int, seq: int) -> bool:
        """Whether the order of that number came, or a newer one; also if a message came that could
        not be judged, which may have been it."""
        taken = self.record["order"]
        number = max(self.inbox.seen, (taken["epoch"], taken["seq"]))
        is_unknown = self.missed or self.inbox.unjudged or self.inbox.unread
        return number >= (epoch, seq) or seq == 0 or is_unknown

    # Calls of the program.

    @property
    def record(self) -> "Record":
        """The durable record."""
        return self.ledger.record

    def live(self) -> "Live | None":
        """The model that serves now, or None. Its files were hashed since the reset."""
        record = self.record  # read once: a host's program asks from another thread
        return self.ledger.live(record) if serving(record) in self.work.progress.whole else None

    def observe(self, release: int, inferences: int, failures: int, reason: str = "") -> None:
        """Counts `inferences` of the program with `release`, of which `failures` failed, the last
        for `reason` ("": not known)."""
        trial = self.work.progress.trial
        live = self.live() if trial else None
        if trial and live and live.on_trial and live.release == release:
            trial.observe(inferences, failures, reason)

    # Parts of the report.

    def has(self) -> "Document":
        """Returns what the device has for a release (modelwave_shared.fit), as far as it can tell:
        else 0 bytes."""
        ports, bank = self.ports, spare(self.record)
        flash = _told(lambda: ports.banks.room(bank))
        return ports.has(bank, flash, _told(ports.runtime.free_ram))

    def state(self) -> "Document":
        """Returns this model's part of the report."""
        return self.report.state(self.record, self.ports.clock.now())


def _told(ask: "Callable[[], int]") -> int:
    """Returns the answer of the medium or of the runtime, which may be the program's; 0 if there is
    none."""
    try:
        return ask()
    except MemoryError:
        raise  # it passes, and the report is repeated
    except Exception:
        return 0
