"""Runs the task that updates one model. There is at most one; a newer order cancels it."""

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

WORKING = Phase(
    "modelwave_agent.driver",
    "modelwave_agent.machine",
    "modelwave_agent.trial",
    "modelwave_agent.retries",
    "modelwave_agent.shadow",
    "modelwave_agent.upcoming",
)
AGAIN_SECONDS = (1, 5, 15, 60)  # pauses after a task that failed, before it is tried again


class Work:
    """Runs the driver in a task, and runs it again after an error."""

    def __init__(self, ledger: "Ledger", report: "ModelReport", ports: "Ports") -> None:
        self.ledger = ledger
        self.report = report
        self.ports = ports
        self.progress = Progress()
        self.task: "asyncio.Task[None] | None" = None
        self.stopping = False  # `stop` was called, and no task was started since
        self.newest = (0, 0)  # number of the last order that was begun
        self.ended = asyncio.Event()  # the task has ended
        self.tried = asyncio.Event()  # the work after a reset was tried once
        self.booted = asyncio.Event()  # the work after a reset is done
        self.pauses = False  # whether the task waits for its next try

    def boot(self) -> None:
        """Begins the work after a reset."""
        self._start("boot", None)

    async def take(self, order: "AcceptedOrder") -> None:
        """Begins the work for `order`. If it is in progress already, its task continues."""
        if is_under_way(self.ledger.record, order.digest):
            self.progress.order = order
            if self.pauses or not self.busy():
                await self.stop()
                self._start("again", None)
            return
        # The floor of `newest` may not be durable yet, so the checks may not have known it.
        if order.number < self.newest or (order.number == self.newest and self.busy()):
            return
        self.newest = order.number
        await self.stop()
        self._start("ordered", order)

    def busy(self) -> bool:
        """Whether a task is running."""
        return self.task is not None and not self.task.done()

    async def stop(self) -> None:
        """Cancels the task; the journal has the state that it reached."""
        self.stopping = True
        await asyncio.sleep(0)  # a task that is cancelled before its first step never sets `ended`
        if self.task is not None and not self.task.done():
            self.task.cancel()
            # Awaiting the task itself would raise its CancelledError here, which looks like
            # a cancellation of the caller.
            await self.ended.wait()

    async def stop_cleanly(self) -> None:
        """The same, where nothing follows: the program or the device ends in order."""
        await self.stop()
        # Before that the journal may still say what a reset ended.
        if self.booted.is_set() and not self.ports.hands_over:
            with WORKING:
                self.ledger.stopped()

    async def begin_anew(self) -> None:
        """Ends the work like a clean stop, and begins like after a reset: the order must come
        again, and be judged anew. What serves goes on serving."""
        await self.stop_cleanly()
        self.progress.order = None
        self.newest = (0, 0)
        self.tried.clear()
        self.booted.clear()
        self.boot()

    def _start(self, event: str, order: "AcceptedOrder | None") -> None:
        """Starts a task that handles `event` (Driver.run)."""
        self.stopping = False
        self.ended = asyncio.Event()
        self.task = asyncio.create_task(self._until_done(event, order, self.ended))

    async def _until_done(
        self, event: str, order: "AcceptedOrder | None", ended: "asyncio.Event"
    ) -> None:
        tries = 0
        try:
            while True:
                done = await self._tried(event, order)
                self.tried.set()
                if done and event == "boot":
                    self.booted.set()
                if done and self.progress.served:
                    break
                await self._pause(AGAIN_SECONDS[min(tries, len(AGAIN_SECONDS) - 1)])
                tries += 1
                if order and self.ledger.record["order"]["sha256"] == order.digest:
                    event, order = "again", None  # the journal has this order already
                if done or (event == "again" and self.ledger.record["state"] == "idle"):
                    if self.progress.served:
                        break
                    event, order = "verify", None
        finally:
            ended.set()

    async def _pause(self, seconds: float) -> None:
        self.pauses = True
        try:
            await self.ports.clock.sleep(seconds)
        finally:
            self.pauses = False

    async def _tried(self, event: str, order: "AcceptedOrder | None") -> bool:
        """Runs the driver; returns whether it ended without an error. After an error, such as a
        MemoryError, the caller tries again."""
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
            self.report.fault = None
            if self.ledger.record["state"] == "idle":
                self.progress.order = None
