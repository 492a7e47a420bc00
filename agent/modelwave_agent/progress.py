"""The state of the work on one model that is in RAM only, not in the journal."""

import asyncio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_agent.trial import TrialWatch
    from modelwave_agent.types import AcceptedOrder


class Progress:
    """A reset loses this state. The order then comes again; the rest follows from the journal."""

    def __init__(self) -> None:
        # The accepted order, while it is in progress.
        self.order: "AcceptedOrder | None" = None
        self.trial: "TrialWatch | None" = None  # while the new model is on trial
        # The program wants to be asked again whether the update may go on.
        self.update_now = asyncio.Event()
        self.served = True  # whether the program was told which model serves
        # The banks whose files were hashed since the reset and are those that were signed.
        self.whole: "set[int]" = set()
        # The live bank was found damaged after orders had come: they have to come again.
        self.lost = False
