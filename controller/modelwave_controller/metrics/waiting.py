"""Says how long messages have waited for the broker. The outbox has no times, as it is state and no
queue: so it is noted at each scrape which messages wait."""

from sqlalchemy import Connection

from modelwave_controller.storage import outbox

MAX_NOTED = 5000  # messages; more wait only if the broker has lost all, and then these do as well


class Waiting:
    """One thread uses it at a time."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, int], float] = {}

    def oldest(self, connection: Connection, steady: float) -> float:
        """Returns for how many seconds the oldest message has waited, as far as this process has
        seen; 0: none does. `steady` is in seconds of a clock that cannot be set."""
        found = outbox.waiting(connection, MAX_NOTED)
        self._since = {message: self._since.get(message, steady) for message in found}
        return max(0.0, steady - min(self._since.values(), default=steady))
