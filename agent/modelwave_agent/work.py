"""The task that is at work on one model: there is one at most, and a newer order ends it."""

import asyncio

from modelwave_agent.ledger import NotDurable
from modelwave_agent.progress import Progress
from modelwave_agent.record import is_under_way, said
from modelwave_shared.lean import Phase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_agent.ledger import Ledger
    from modelwave_agent.model_report import ModelReport
    from modelwave_agent.ports import Ports
    from modelwave_agent.types import AcceptedOrder

WORKING = Phase("modelwave_agent.driver", "modelwave_agent.machine", "modelwave_agent.trial")
FAULT_SECONDS = 60  # until work that broke is tried again


class Work:
    """Has the driver do it, and do it again when that broke."""

    def __init__(self, ledger: "Ledger", report: "ModelReport", ports: "Ports") -> None:
        self.ledger = ledger
        self.report = report
        self.ports = ports
        self.progress = Progress()
        self.task: "asyncio.Task[None] | None" = None
        self.stopping = False  # `stop` has ended the task
        self.newest = (0, 0)  # number of the order that was last begun
        self.ended = asyncio.Event()  # the task has ended
        self.booted = asyncio.Event()  # what a reset left to do is done

    def boot(self) -> None:
        """Begins what a reset left to do."""
        self._start("boot", None)

    async def take(self, order: "AcceptedOrder") -> None:
        """Begins the work for `order`. One that is under way already and has its task only
        goes on."""
        if is_under_way(self.ledger.record, order.digest):
            self.progress.order = order
            if not self.busy():
                self._start("again", None)
            return
        # Its floor may not be durable yet, and another was judged by the one before.
        if order.number < self.newest or (order.number == self.newest and self.busy()):
            return
        self.newest = order.number
        await self.stop()
        self._start("ordered", order)

    def busy(self) -> bool:
        """Whether a task is at work."""
        return self.task is not None and not self.task.done()

    async def stop(self) -> None:
        """Ends what is under way; the journal knows where it was."""
        await asyncio.sleep(0)  # what was only just started would never say that it ended
        if self.task is not None and not self.task.done():
            self.stopping = True
            self.task.cancel()
            # Not the task is awaited: that would tie its cancellation to the caller's own.
            await self.ended.wait()

    def _start(self, event: str, order: "AcceptedOrder | None") -> None:
        """Begins what follows from `event` (Driver.run)."""
        self.stopping = False
        self.ended = asyncio.Event()
        self.task = asyncio.create_task(self._until_done(event, order, self.ended))

    async def _until_done(
        self, event: str, order: "AcceptedOrder | None", ended: "asyncio.Event"
    ) -> None:
        try:
            while not await self._tried(event, order):
                await self.ports.clock.sleep(FAULT_SECONDS)
                if order and self.ledger.record["order"]["sha256"] == order.digest:
                    event, order = "again", None  # it was taken
                if event == "again" and self.ledger.record["state"] == "idle":
                    break
            if event == "boot":
                self.booted.set()
        finally:
            ended.set()

    async def _tried(self, event: str, order: "AcceptedOrder | None") -> bool:
        """Whether the driver came to its end. What it could not do, for want of memory or by
        a fault in it, is tried again: nobody else would."""
        try:
            with WORKING:
                await self._drive(event, order)
            return True
        except NotDurable:
            pass
        except asyncio.CancelledError as error:
            if self.stopping:
                raise
            # A hook of the program awaited what the program has cancelled.
            self.report.tell("fault: " + said(error))
        except Exception as error:
            self.report.tell("fault: " + said(error))
        return False

    async def _drive(self, event: str, order: "AcceptedOrder | None") -> None:
        from modelwave_agent.driver import Driver

        try:
            await Driver(self.ledger, self.progress, self.report, self.ports).run(event, order)
        finally:
            self.progress.trial = None
            if self.ledger.record["state"] == "idle":
                self.progress.order = None
