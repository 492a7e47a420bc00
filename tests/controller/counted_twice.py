"""Counts answers by two ways: from the whole log and the devices' ids, and by the counters."""

from sqlalchemy import Connection, select

from modelwave_controller.rollout.state import Rollout
from modelwave_controller.storage import devices, log, recounting, tables
from modelwave_controller.storage.counted import Counted


def require_the_same(connection: Connection) -> None:
    """Both ways must come to the same for each rollout that this program understands."""
    for rollout in log.folded(connection).rollouts.values():
        if not rollout.not_understood:
            _compare(connection, rollout)


def _compare(connection: Connection, rollout: Rollout) -> None:
    known = devices.known(connection, rollout.model, timed=True)
    counted = Counted(connection, rollout.model)
    waves = [*range(len(rollout.stages)), *([None] if rollout.back else [])]
    where = f"rollout {rollout.id}"
    for target, release in rollout.created.releases.items():
        assert counted.counts(target) == known.counts(target), (where, target)
        slots = {target: set(range(1000))}
        both = [one.unreadable({target: release}, slots) for one in (counted, known)]
        assert len({(len(texts) + more, bool(texts)) for texts, more in both}) == 1, (where, both)
    for wave in waves:
        assert counted.answers(rollout, wave) == known.answers(rollout, wave), (where, wave)


def rows(connection: Connection) -> dict[str, list[tuple[object, ...]]]:
    """Returns all that the counters' tables have."""
    found = (tables.reporting, tables.wave_orders, tables.answered, tables.answer_counts)
    return {
        table.name: sorted(tuple(row) for row in connection.execute(select(table)))
        for table in found
    }


def recounted(connection: Connection) -> dict[str, list[tuple[object, ...]]]:
    """Returns what they would have if everything was counted anew."""
    with connection.begin_nested() as attempt:
        recounting.recount(connection)
        found = rows(connection)
        attempt.rollback()
    return found
