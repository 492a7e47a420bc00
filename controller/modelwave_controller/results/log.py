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
