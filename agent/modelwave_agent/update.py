"""One model on one device, as the agent has it all the time: what serves, what is reported.

The work is done by code that is there only meanwhile: an order is judged by checks.py, and
what is accepted is driven through the machine by driver.py.
"""

import asyncio

from modelwave_agent.record import clean, new_record, said, serving, spare
from modelwave_shared.digests import hexdigest
from modelwave_shared.lean import Phase
from modelwave_shared.words import REJECTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from modelwave_agent.banks import Banks
    from modelwave_agent.checks import Device, Refused
    from modelwave_agent.driver import Driver, Trial
    from modelwave_agent.journal import Journal
    from modelwave_agent.ports import Clock, Fetcher, Hooks, Runtime
    from modelwave_shared.fields import Document

    Order = tuple[Document, Document, str]  # an order, its manifest, the order's digest

JUDGING = Phase(
    "modelwave_agent.checks",
    "modelwave_shared.dsse",
    "modelwave_shared.documents",
    "modelwave_shared.roles",
)
WORKING = Phase("modelwave_agent.driver", "modelwave_agent.machine")
MAX_JUDGED = 8
FAULT_SECONDS = 60


class Live:
    """The model that serves: where its files are and what it is."""

    def __init__(
        self, model: str, entry: "Document", bank: int, banks: "Banks", on_trial: bool
    ) -> None:
        self.model = model
        self.release: int = entry["release"]
        self.version: str = entry["version"]
        self.on_trial = on_trial
        self.path = banks.path(bank, "model")
        roles = [file["role"] for file in entry["files"]]
        self.labels_path = banks.path(bank, "labels") if "labels" in roles else None


class Update:
    """At most one task is at work on it."""

    def __init__(
        self,
        model: str,
        device: "Device",
        root: "Document",
        journal: "Journal",
        banks: "Banks",
        runtime: "Runtime",
        fetcher: "Fetcher",
        hooks: "Hooks",
        clock: "Clock",
    ) -> None:
        """`device`: {fleet, device, target, slot}; `root`: the checked root document; the
        rest are ports."""
        self.model = model
        self.device = device
        self.root = root
        self.journal = journal
        self.banks = banks
        self.runtime = runtime
        self.fetcher = fetcher
        self.hooks = hooks
        self.clock = clock
        self.record = journal.read() or new_record()
        # Called when the report has something new to say.
        self.changed: "Callable[[], None]" = lambda: None
        self.note = ""  # what the report says beside outcomes
        # The accepted order, while there is something to do for it.
        self.order: "Order | None" = None
        self.trial: "Trial | None" = None
        # The last authentic order that was not for us: the check, the reason, the order.
        self.refused: "tuple[str, str, Document] | None" = None
        # Digests of payloads and messages that no time will make good, newest last.
        self.judged: "list[str]" = []
        # The last order that may be taken later, to be judged again.
        self.later: "bytes | None" = None
        self.turn = asyncio.Lock()  # one message at a time is judged
        self.task: "asyncio.Task[None] | None" = None
        self.newest = (0, 0)  # epoch and sequence of the order that was last begun
        self.served = True  # whether the program knows what serves
        self.ended = asyncio.Event()
        self.booted = asyncio.Event()

    # What the program asks and tells.

    def live(self) -> "Live | None":
        """The model that serves now, or None."""
        record = self.record  # once: a host's program asks from another thread
        bank = serving(record)
        entry = record["banks"][bank]
        if entry is None:
            return None
        return Live(self.model, entry, bank, self.banks, record["state"] == "trial")

    def observe(self, release: int, inferences: int, failures: int) -> None:
        """The program ran `release` so often; `failures` of the inferences failed."""
        live = self.live()
        if self.trial and live and live.on_trial and live.release == release:
            self.trial.observe(inferences, failures)

    # What the report says.

    def has(self) -> "Document":
        """What a release can be given here (modelwave_shared.fit)."""
        return {
            "flash": self.banks.room(spare(self.record)),
            "ram": self.runtime.free_ram(),
            "runtime": self.runtime.format,
            "runtime_version": self.runtime.version,
            "accelerator": self.runtime.accelerator,
            "kernels": self.runtime.kernels,
        }

    def state(self) -> "Document":
        """This model's part of the report."""
        record = self.record
        live = record["banks"][record["live"]]
        outcome, reason, about = record["outcome"], record["reason"], record["order"]
        if self.refused:
            outcome = REJECTED
            _, reason, about = self.refused
        return {
            "release": live["release"] if live else 0,
            "sha256": live["manifest"] if live else "",
            "state": record["state"],
            "epoch": about["epoch"],
            "seq": about["seq"],
            "outcome": outcome,
            "reason": reason,
        }

    # Orders.

    async def consider(self, message: bytes) -> None:
        """Judges the bytes of a desired topic, and acts if they are an order to be taken.
        What a reset left to do comes first: an order is judged by what is then true."""
        await self.booted.wait()
        async with self.turn:
            try:
                if hexdigest(message) in self.judged:
                    return
                with JUDGING:
                    order = await self._judge(message)
            except MemoryError as error:
                self.tell("judging: " + said(error))
                self.later = self.later or message  # perhaps the program needs less by then
                return
            if order:
                await self._take(order)

    async def _judge(self, message: bytes) -> "Order | None":
        """The order, if it is to be taken."""
        from modelwave_agent import checks

        while True:
            record = self.record
            case = checks.Case(
                message,
                self.model,
                self.device,
                self.root,
                record,
                self.has(),
                self.judged,
                self.clock.wall(),
            )
            try:
                await checks.judge(case, self.breathe)
            except checks.Judged:
                return None
            except checks.Refused as refusal:
                passing = refusal.check in checks.PASSING
                self._refuse(refusal, passing, case.digest if refusal.order else "", message)
                return None
            if record is self.record:  # else the device has moved on meanwhile
                return case.order, case.manifest, case.digest

    def _refuse(self, refusal: "Refused", passing: bool, digest: str, message: bytes) -> None:
        if passing:
            self.later = message
        else:
            self.judged = (self.judged + [digest or hexdigest(message)])[-MAX_JUDGED:]
            self.later = None if refusal.order else self.later
        if not refusal.order:
            self.tell(refusal.reason)
            return
        last = self.refused
        self.refused = (refusal.check, clean(refusal.reason), refusal.order)
        # A reason that only counts on, or down, is not told again and again.
        if not last or (last[0], last[2]) != (refusal.check, refusal.order):
            self.changed()

    def tell(self, problem: str) -> None:
        """What the report says beside outcomes."""
        problem = clean(problem)
        if problem != self.note:
            self.note = problem
            self.changed()

    async def _take(self, order: "Order") -> None:
        """An order that passed its checks. One that is under way already and has its task
        only goes on."""
        self.refused, self.note, self.later = None, "", None
        record = self.record
        if record["state"] != "idle" and record["order"]["sha256"] == order[2]:
            self.order = order
            if not self.busy():
                self.start("again")
            return
        # Its floor may not be durable yet, and another was judged by the one before.
        number = (order[0]["epoch"], order[0]["seq"])
        if number < self.newest or (number == self.newest and self.busy()):
            return
        self.newest = number
        await self.stop()
        self.start("ordered", order)

    # The work.

    def boot(self) -> None:
        """What a reset left to do; `booted` is set when it is done."""
        self.start("boot")

    def busy(self) -> bool:
        return self.task is not None and not self.task.done()

    async def stop(self) -> None:
        """Ends what is under way; the journal knows where it was."""
        await asyncio.sleep(0)  # what was only just started would never say that it ended
        if self.task is not None and not self.task.done():
            self.task.cancel()
            await self.ended.wait()

    def start(self, event: str, order: "Order | None" = None) -> "asyncio.Event":
        """Begins what follows from `event` (Driver.run); the event that it has ended. That is
        what others wait for: awaiting the task would tie their cancellation to its own."""
        self.ended = asyncio.Event()
        self.task = asyncio.create_task(self._work(event, order, self.ended))
        return self.ended

    async def _work(self, event: str, order: "Order | None", ended: "asyncio.Event") -> None:
        try:
            while not await self._worked(event, order):
                await self.clock.sleep(FAULT_SECONDS)
                if order and self.record["order"]["sha256"] == order[2]:
                    event, order = "again", None  # it was taken
                if event == "again" and self.record["state"] == "idle":
                    break
            if event == "boot":
                self.booted.set()
        finally:
            self.trial = None
            if self.record["state"] == "idle":
                self.order = None
            ended.set()

    async def _worked(self, event: str, order: "Order | None") -> bool:
        """Whether it came to its end. What it could not do, for want of memory or by a fault
        in it, is tried again: nobody else would."""
        try:
            with WORKING:
                await self._driver().run(event, order)
            return True
        except Exception as error:
            self.tell("fault: " + said(error))
            return False

    def _driver(self) -> "Driver":
        from modelwave_agent.driver import Driver

        return Driver(self)

    async def breathe(self) -> None:
        """Lets others run."""
        await self.clock.sleep(0)
