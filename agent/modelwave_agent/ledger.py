"""Holds the durable record of one model; no other module changes it."""

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
    """The record of one model; `record` always equals what the journal holds."""

    def __init__(self, model: str, ports: "Ports", report: "ModelReport") -> None:
        self.model = model
        self.journal = ports.journal
        self.banks = ports.banks
        self.clock = ports.clock
        self.report = report
        self.record = self.journal.read() or new_record()

    def live(self) -> "Live | None":
        """Returns the model that serves now, or None."""
        record = self.record  # read once: a host's program calls this from another thread
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
        """Does the step of machine.TABLE for `event`: writes the new record, then returns its
        effects. A failed write is repeated. After the last failure it raises NotDurable and the
        record is unchanged, as nothing may be done before its record is durable."""
        from modelwave_agent import machine  # only the driver calls this, within its Phase

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
