"""One model on one device.

A message on a desired topic goes this way, and each part keeps what is its own:

    inbox    judges it by checks.py; keeps what was judged, and what may       inbox.py
             be taken later
    work     keeps the one task that is at work on an accepted order, and      work.py
             its progress; the task is driver.py, which goes through the
             states of machine.py
    ledger   keeps the durable record: what serves, what is under way          ledger.py
    report   keeps what the report says beside the record                      model_report.py
"""

import asyncio

from modelwave_agent.inbox import OrderInbox
from modelwave_agent.ledger import Ledger
from modelwave_agent.model_report import ModelReport
from modelwave_agent.record import spare
from modelwave_agent.work import Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_agent.ports import Ports
    from modelwave_agent.types import Document, Enrolment, Live, Record


class Update:
    """What the agent and the program around it ask and tell of one model."""

    def __init__(self, model: str, device: "Enrolment", ports: "Ports") -> None:
        self.model = model
        self.ports = ports
        self.report = ModelReport()
        self.ledger = Ledger(model, ports, self.report)
        self.inbox = OrderInbox(model, device, ports, self.ledger, self.report)
        self.work = Work(self.ledger, self.report, ports)
        self.turn = asyncio.Lock()  # one message at a time is judged and taken

    # Orders.

    async def consider(self, message: bytes) -> None:
        """Judges the bytes of a desired topic, and acts if they are an order to be taken.
        What a reset left to do comes first: an order is judged by what is then true."""
        await self.work.booted.wait()
        async with self.turn:
            order = await self.inbox.judge(message)
            if order:
                await self.work.take(order)

    async def consider_again(self) -> None:
        """Judges again the last order that may be taken later, if there is one."""
        if self.inbox.later:
            await self.consider(self.inbox.later)

    # What the program asks and tells.

    @property
    def record(self) -> "Record":
        """What the journal says."""
        return self.ledger.record

    def live(self) -> "Live | None":
        """The model that serves now, or None."""
        return self.ledger.live()

    def observe(self, release: int, inferences: int, failures: int) -> None:
        """The program ran `release` so often; `failures` of the inferences failed."""
        live, trial = self.live(), self.work.progress.trial
        if trial and live and live.on_trial and live.release == release:
            trial.observe(inferences, failures)

    # What the report says.

    def has(self) -> "Document":
        """What a release can be given here (modelwave_shared.fit)."""
        return self.ports.has(spare(self.record))

    def state(self) -> "Document":
        """This model's part of the report."""
        return self.report.state(self.record)
