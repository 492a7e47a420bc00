"""What is shown of the log."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LogEntry:
    """An event, in words. `at` is in Unix seconds; `rollout` None: an act of an operator that
    belongs to none; `stage` counts from 1."""

    id: int
    at: float
    rollout: int | None
    model: str
    actor: str
    kind: str
    what: str
    reason: str
    stage: int | None
    device: str


@dataclass(frozen=True)
class LogPage:
    """older: whether wanted events were left out because of the limit
    hidden: answers of devices that are not in the log, because they are not wanted
    next: the cursor of the page after it; "": it is the last one
    """

    entries: list[LogEntry]
    older: bool
    hidden: int
    next: str
