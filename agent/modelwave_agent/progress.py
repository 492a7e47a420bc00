"""How far the work on one model has come, as far as the journal does not keep it."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_agent.trial import TrialWatch
    from modelwave_agent.types import AcceptedOrder


class Progress:
    """A reset loses it: the order comes again, and the rest follows from the journal."""

    def __init__(self) -> None:
        # The accepted order, while there is something to do for it.
        self.order: "AcceptedOrder | None" = None
        self.trial: "TrialWatch | None" = None  # while the new model is on trial
        self.served = True  # whether the program was told what serves
