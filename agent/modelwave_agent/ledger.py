"""Holds the durable record of one model; no other module changes it."""

from modelwave_agent.banks import NAMES
from modelwave_agent.record import clean, new_record, serving
from modelwave_agent.types import Live
from modelwave_shared.words import SUCCEEDED, TFLITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_agent.model_report import ModelReport
    from modelwave_agent.ports import Ports
    from modelwave_agent.types import Detail, Record

JOURNAL_PAUSE_SECONDS = (1, 5, 25)  # after each failed write
# Between two writes for orders that change nothing but the floor: flash wears out, and whoever
# signs orders must not be able to make a device write at will.
FLOOR_SECONDS = 60
# How far a signed time that is learnt may be from the one in the journal before it is written.
LEARNT_SECONDS = 86400


class NotDurable(Exception):
    """The journal cannot be written now; the report says why."""


class Ledger:
    """The record of one model. `record` is what the journal holds, but for a floor that may wait
    (`is_ahead`) and for what a reset ended while the journal cannot be written (`step`)."""

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
        self.written: "float | None" = None  # when, by the clock's `now`
        self.is_ahead = False  # `record` has a floor that the journal does not have yet
        self.written_time = 0  # the latest signed time in the journal
        try:
            self.load()
        except OSError as error:
            self._is_failing(str(error))

    def load(self) -> None:
        """Reads the record. Raises OSError, and then nothing is known: it may be complete."""
        record = self.journal.read("banks")
        self.record = record or new_record()
        self.is_loaded = True
        self.written_time = self.record["time"]
        self._is_failing("")
        if record is not None:
            return
        banks = [bank for bank in (0, 1) if self.banks.size(bank, "model")]
        if self.journal.is_lost or banks:
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
            entry.get("format", TFLITE),  # a record from before there were others has none
            entry.get("loading"),
        )

    async def step(self, event: str, detail: "Detail") -> "list[str]":
        """Does the step of machine.TABLE for `event`: writes the new record, then returns its
        effects. A failed write is repeated. After the last failure it raises NotDurable and the
        record is unchanged, as nothing may be done before its record is durable.

        The step after a reset does not wait for the journal: the next reset finds the same record
        and does the same, so the model that was confirmed serves from here on without it."""
        from modelwave_agent import machine  # only the driver calls this, within its Phase

        if "reason" in detail:
            detail = {"reason": clean(detail["reason"])}
        record, effects = machine.step(self.record, event, detail)
        for pause in JOURNAL_PAUSE_SECONDS:
            if (
                record == self.record
                or self._may_wait(event)
                or self._write(record)
                or event in machine.AFTER_A_RESET
            ):
                self.record = record
                return effects
            await self.clock.sleep(pause)
        raise NotDurable()

    def _may_wait(self, event: str) -> bool:
        """Whether the new floor may be written later: with the next record, at a clean stop, or
        after FLOOR_SECONDS (`try_again`).

        An order for the release that is live, on a device that has SUCCEEDED already, changes
        nothing but the floor. A reset that loses this floor leaves the device as if that order
        had not come yet. So an order between the two floors can be taken then, but only one that
        is signed, for this device and not expired; and whoever can replay it must be able to
        keep the newer one, which is retained, from the device. They could have done that
        before, with the same end. Nothing else is lost: what serves and what is reported of it
        is durable already."""
        if event != "running" or self.record["outcome"] != SUCCEEDED or self.written is None:
            return False
        if self.clock.now() - self.written >= FLOOR_SECONDS:
            return False
        self.is_ahead = True
        return True

    def learn_time(self, time: int) -> None:
        """Takes `time`, which the controller has signed, for the latest signed time. To spare the
        flash it is written with the next record, or when it is LEARNT_SECONDS off."""
        if not self.is_loaded or time == self.record["time"]:
            return
        self.record = dict(self.record)
        self.record["time"] = time
        if abs(time - self.written_time) >= LEARNT_SECONDS and not self.problem:
            self._write(self.record)

    def stopped(self) -> None:
        """A clean stop: what waits is written, and a trial that it cuts short is not counted. It
        is tried once, as nobody waits for a device that is going down."""
        from modelwave_agent import machine  # only work.py asks, within its Phase

        if self.record["state"] in machine.ATTEMPTS:
            record, _ = machine.step(self.record, "stopped", {})
            if self._write(record):
                self.record = record
        elif self.is_ahead:
            self._write(self.record)

    def try_again(self) -> bool:
        """Looks whether the journal can be written, without a write as long as it could be.
        True if it could not be before and can be now."""
        if not self.problem:
            self._is_failing(self.journal.problem())
        if self.is_ahead and not self._may_wait("running"):
            self._write(self.record)
        return bool(self.problem) and self._write(self.record)

    def _write(self, record: "Record") -> bool:
        """Whether `record` is durable now."""
        try:
            self.journal.write(record)
        except OSError as error:
            self._is_failing(str(error))
            return False
        self._is_failing("")
        self.written = self.clock.now()
        self.written_time = record["time"]
        self.is_ahead = False
        return True

    def _is_failing(self, problem: str) -> None:
        self.problem = problem
        self.report.trouble("journal", "journal: " + problem if problem else "")
