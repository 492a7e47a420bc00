"""Holds the durable record of one model; no other module changes it."""

from modelwave_agent.banks import NAMES
from modelwave_agent.record import clean, new_record, serving
from modelwave_agent.types import Live

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_agent.model_report import ModelReport
    from modelwave_agent.ports import Ports
    from modelwave_agent.types import Detail, Record

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
        self.record = new_record()
        self.is_loaded = False
        # Why the journal cannot be read or written. Meanwhile no order is taken.
        self.problem = ""
        try:
            self.load()
        except OSError as error:
            self._is_failing(str(error))

    def load(self) -> None:
        """Reads the record. Raises OSError, and then nothing is known: it may be complete."""
        record = self.journal.read()
        self.record = record or new_record()
        self.is_loaded = True
        self._is_failing("")
        banks = [bank for bank in (0, 1) if self.banks.size(bank, "model")]
        if self.journal.is_lost or (record is None and banks):
            told = "journal: no whole record was found, this device starts from nothing"
            if banks:
                told += "; the files in bank %s are not used" % " and ".join(
                    NAMES[bank] for bank in banks
                )
            self.report.trouble("lost", told)

    def live(self, record: "Record | None" = None) -> "Live | None":
        """Returns the model that serves now by `record` (None: the present one), or None."""
        record = record or self.record  # read once: a host's program asks from another thread
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
            if record == self.record or self._write(record):
                self.record = record
                return effects
            if event in machine.AFTER_A_RESET:
                # The next reset finds the same record and does the same, so the model that was
                # confirmed serves from here on without it.
                self.record = record
                return effects
            await self.clock.sleep(pause)
        raise NotDurable()

    def try_again(self) -> bool:
        """Looks whether the journal can be written, without a write as long as it could be.
        True if it could not be before and can be now."""
        failed = self.problem
        if not failed:
            self._is_failing(self.journal.problem())
        return bool(self.problem) and self._write(self.record)

    def _write(self, record: "Record") -> bool:
        """Whether `record` is durable now."""
        try:
            self.journal.write(record)
        except OSError as error:
            self._is_failing(str(error))
            return False
        self._is_failing("")
        return True

    def _is_failing(self, problem: str) -> None:
        self.problem = problem
        self.report.trouble("journal", "journal: " + problem if problem else "")
