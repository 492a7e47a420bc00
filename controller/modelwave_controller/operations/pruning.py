"""Makes room in the log at once, as the service does little by little (storage/pruning.py)."""

from collections.abc import Callable

from sqlalchemy import Connection

from modelwave_controller.results.upkeep import PrunedRollout
from modelwave_controller.storage import log, pruning
from modelwave_controller.storage.store import Store


def prunable(connection: Connection, before: float) -> list[PrunedRollout]:
    """Returns the old rollouts, of which nothing was heard since `before` (Unix seconds), and those
    whose answers were counted already."""
    found = pruning.due(connection, log.without_answers(connection), before)
    return [PrunedRollout(one.id, one.model, log.answers_of(connection, one.id)) for one in found]


def prune(
    store: Store,
    before: float,
    now: float,
    actor: str,
    tell: Callable[[int, int], None] = lambda _done, _of: None,
) -> list[PrunedRollout]:
    """Deletes what is old; returns the rollouts whose answers were deleted. `now`: Unix seconds.
    `tell` is called with the number of answers that are deleted, and of all that will be."""
    with store.read() as connection:
        found = prunable(connection, before)
        state = log.without_answers(connection)
    done, number = 0, sum(one.answers for one in found)
    for deleted in pruning.steps(store, state, before, now, actor, set()):
        done += deleted.answers
        tell(done, number)
    return found
