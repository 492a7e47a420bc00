"""The part of the device's report about one model."""

from modelwave_agent.record import clean
from modelwave_shared.words import REJECTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from modelwave_agent.types import Document, Fault, Record, Refusal


class ModelReport:
    """Holds what the report says besides the journal's record, and calls `changed` when the
    device should send a new report."""

    def __init__(self) -> None:
        self.changed: "Callable[[], None]" = lambda: None  # the agent sets it
        self.note = ""  # a problem that is not the outcome of an order
        self.troubles: "dict[str, str]" = {}  # problems that last, by what has them
        self.refusal: "Refusal | None" = None  # of the last authentic order that was refused
        self.fault: "Fault | None" = None  # of the order in progress

    def tell(self, problem: str) -> None:
        """Sets the note to `problem`."""
        problem = clean(problem)
        if problem != self.note:
            self.note = problem
            self.changed()

    def trouble(self, part: str, problem: str) -> None:
        """`problem` lasts until `part` is told to have none (""), whatever is ordered."""
        problem = clean(problem)
        if problem != self.troubles.get(part, ""):
            self.troubles.pop(part, None)
            if problem:
                self.troubles[part] = problem
            self.changed()

    def notes(self) -> "list[str]":
        """All problems that are no order's outcome."""
        return list(self.troubles.values()) + ([self.note] if self.note else [])

    def refuse(self, refusal: "Refusal") -> None:
        """Sets the outcome REJECTED for the order of `refusal`. The same check and order do not
        trigger a report again, even if a number in the reason has changed."""
        last = self.refusal
        self.refusal = refusal
        if not last or (last.check, last.order) != (refusal.check, refusal.order):
            self.changed()

    def suffer(self, fault: "Fault") -> None:
        """Sets the fault of the order in progress, which will be tried again."""
        fault.reason = clean(fault.reason)
        self.fault = fault
        self.changed()

    def clear(self) -> None:
        """Removes note and refusal, which are out of date once a new order is accepted."""
        self.note, self.refusal = "", None

    def state(self, record: "Record", now: float) -> "Document":
        """Returns the model's part of the report; `now` is by Clock.now."""
        live = record["banks"][record["live"]]
        outcome, reason, order = record["outcome"], record["reason"], record["order"]
        if self.refusal:
            outcome, reason, order = REJECTED, self.refusal.reason, self.refusal.order
        found = {
            "release": live["release"] if live else 0,
            "sha256": live["manifest"] if live else "",
            "state": record["state"],
            "epoch": order["epoch"],
            "seq": order["seq"],
            "outcome": outcome,
            "reason": reason,
        }
        if self.fault and not self.refusal:
            found["outcome"] = self.fault.outcome
            found["reason"] = self.fault.reason
            found["tries"] = self.fault.tries
            found["next_seconds"] = max(0, int(self.fault.next_at - now))
        if live and live.get("saved"):
            found["saved"] = live["saved"]
        return found
