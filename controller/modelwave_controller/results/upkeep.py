"""What is shown of the clock, of the log's upkeep, and of order numbers."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ClockState:
    """now: what the clock of the controller's machine shows, in Unix seconds
    seconds: the rollout clock, on which a service has run for so long
    doubt: why the clock is in doubt, so that no order is signed; "": it is not
    accepted: why it is right, as a person said at accepted_at, in Unix seconds; 0: nobody did
    """

    now: float
    seconds: float
    doubt: str
    accepted: str
    accepted_at: float


@dataclass(frozen=True)
class VerifiedLog:
    """whole: whether it is as it was written
    events, deleted_answers: that are there, and that pruning deleted; 0 if it is not whole
    head: the newest event that stays, and the hash over all up to it, as ID:HASH; None: there is
        none, or the log is not whole
    kept_head: that of the question
    event, problem: the first event that is wrong, and what is
    """

    whole: bool
    events: int = 0
    deleted_answers: int = 0
    head: str | None = None
    kept_head: str | None = None
    event: int | None = None
    problem: str = ""


@dataclass(frozen=True)
class PrunedRollout:
    """How many answers to it were deleted, or would be."""

    rollout: int
    model: str
    answers: int


@dataclass(frozen=True)
class Running:
    """The release that most devices of a target run, though this controller did not order it."""

    target: str
    release: int
    sha256: str
    devices: int


@dataclass(frozen=True)
class Numbers:
    """The order numbers of one model: the controller's and the devices'.

    ahead: devices whose number is above the controller's newest
    highest: of those, as `device` reports it; 0: there is none
    believed: the highest that is not more than a bounded jump ahead; 0: none
    at_broker: the highest of our orders found there and not recovered yet; 0: none
    restored_at: Unix seconds of the backup, until its numbers are recovered
    first: what has to be done before a rollout of the model can start; "": nothing
    next: the next order's number if they are recovered; None: there is nothing to recover, or it
        needs a number, as `problem` says
    under_way: rollouts that go on once the numbers are recovered, as they stand in the database
    """

    model: str
    given: int
    devices: int
    ahead: int
    highest: int
    device: str
    believed: int
    at_broker: int
    restored_at: float | None
    runs: list[Running]
    first: str = ""
    next: int | None = None
    problem: str = ""
    under_way: list[int] = field(default_factory=list)

    @property
    def due(self) -> bool:
        return self.ahead > 0 or self.at_broker > 0 or self.restored_at is not None

    @property
    def proved(self) -> int:
        """The highest number that one of our orders is known to have."""
        return max(self.given, self.at_broker)


@dataclass(frozen=True)
class RecoveredNumbers:
    """`next`: the number of the next order."""

    next: int
    numbers: Numbers
