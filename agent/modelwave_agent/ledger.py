"""The durable record of one model, and the only place that changes it."""

from modelwave_agent.record import clean, new_record, serving
from modelwave_agent.types import Live

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_agent.model_report import ModelReport
    from modelwave_agent.ports import Ports
    from modelwave_agent.types import Detail

JOURNAL_PAUSE_SECONDS = (1, 5, 25)  # after each failed write


class NotDurable(Exception):
    """The journal cannot be written now; the report says why."""


class Ledger:
    """`record` is what the journal says."""

    def __init__(self, model: str, ports: "Ports", report: "ModelReport") -> None:
        self.model = model
        self.journal = ports.journal
        self.banks = ports.banks
        self.clock = ports.clock
        self.report = report
        self.record = self.journal.read() or new_record()

    def live(self) -> "Live | None":
        """The model that serves now, or None."""
        record = self.record  # read once: a host's program asks from another thread
        bank = serving(record)
        entry = record["banks"][bank]
        if entry is None:
            return None
        roles = [file["role"] for file in entry["files"]]
        return Live(
            self.model,
            entry["release"],
            entry["version"],
            self.banks.path(bank, "model"),
            self.banks.path(bank, "labels") if "labels" in roles else None,
            record["state"] == "trial",
        )

    async def step(self, event: str, detail: "Detail") -> "list[str]":
        """Takes the step of machine.TABLE for `event`; returns its effects once the new record
        is durable. A journal that cannot be written is tried again; after the last try the
        record stays as it was, and it raises NotDurable: not durable is not done."""
        from modelwave_agent import machine  # only the driver asks, within its Phase

        if "reason" in detail:
            detail = {"reason": clean(detail["reason"])}
        record, effects = machine.step(self.record, event, detail)
        for pause in JOURNAL_PAUSE_SECONDS:
            try:
                if record != self.record:
                    self.journal.write(record)
            except OSError as error:
                self.report.tell("journal: %s" % error)
                await self.clock.sleep(pause)
            else:
                self.record = record
                return effects
        raise NotDurable()
