"""What the device's report says of one model."""

from modelwave_agent.record import clean
from modelwave_shared.words import REJECTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from modelwave_agent.types import Document, Record, Refusal


class ModelReport:
    """Keeps what the report says beside the journal's record, and calls `changed` when there
    is something new to say."""

    def __init__(self) -> None:
        self.changed: "Callable[[], None]" = lambda: None  # the agent sets it
        self.note = ""  # a problem that is no order's outcome
        self.refusal: "Refusal | None" = None  # of the last authentic order that was refused

    def tell(self, problem: str) -> None:
        """Makes `problem` the note."""
        problem = clean(problem)
        if problem != self.note:
            self.note = problem
            self.changed()

    def refuse(self, refusal: "Refusal") -> None:
        """The order of `refusal` is REJECTED. A reason that only counts on, or down, is not
        told again and again."""
        last = self.refusal
        self.refusal = refusal
        if not last or (last.check, last.order) != (refusal.check, refusal.order):
            self.changed()

    def clear(self) -> None:
        """A new order was taken: what was said before it is out of date."""
        self.note, self.refusal = "", None

    def state(self, record: "Record") -> "Document":
        """The model's part of the report."""
        live = record["banks"][record["live"]]
        outcome, reason, order = record["outcome"], record["reason"], record["order"]
        if self.refusal:
            outcome, reason, order = REJECTED, self.refusal.reason, self.refusal.order
        return {
            "release": live["release"] if live else 0,
            "sha256": live["manifest"] if live else "",
            "state": record["state"],
            "epoch": order["epoch"],
            "seq": order["seq"],
            "outcome": outcome,
            "reason": reason,
        }
