"""Counts answers by two ways: from the whole log and the devices' ids, and by the counters."""

from sqlalchemy import Connection, select

from modelwave_controller.operations.problems import problems_of
from modelwave_controller.operations.ways import after_the_end
from modelwave_controller.rollout.facts import later, newest_answers, population_of
from modelwave_controller.rollout.state import Rollout, State
from modelwave_controller.storage import (
    ahead,
    clock,
    devices,
    log,
    pruning,
    recounting,
    tables,
    unfinished,
)
from modelwave_controller.storage.counted import Counted
from modelwave_controller.storage.unfinished import Unfinished
from modelwave_shared.words import ROLLED_BACK


def require_the_same(connection: Connection) -> None:
    """Both ways must come to the same for each rollout that this program understands."""
    state, few = log.folded(connection), log.without_answers(connection)
    for number, rollout in state.rollouts.items():
        if not rollout.not_understood:
            known = _compare(connection, rollout)
            if known <= unfinished.MAX_NAMED:  # else the status names some, and counts the others
                told = _told(connection, state, number, True)
                assert _told(connection, few, number, False) == told


def _told(connection: Connection, found: State, number: int, whole: bool) -> object:
    """Returns what the status tells of single devices, by `whole` from all of the fleet."""
    rollout, seconds = found.rollouts[number], clock.stored(connection).seconds
    model, releases = rollout.model, rollout.created.releases
    refusals = devices.refusals(connection, model, releases)
    names = [one.device for one in refusals]
    counted = Counted(connection, model)
    few = Unfinished(devices.known(connection, model), 0)
    if not whole:
        few = unfinished.read(connection, rollout, counted, seconds, names)
    compared = ahead.compare(connection, model, ahead.newest_epoch(connection, model))
    problems = problems_of(found, rollout, few.known, refusals, compared, seconds)
    over = after_the_end(found, rollout, counted, few, seconds) if rollout.over else ""
    return sorted(problems, key=repr), over


def _compare(connection: Connection, rollout: Rollout) -> int:
    """Returns how many devices there are."""
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
        its = rollout.back if wave is None else rollout.stages[wave]
        assert its
        if its.counted is None:
            after = later(rollout)[1 if wave is None else 0]
            answers = newest_answers(its, population_of(its, known), after).items()
            back = sorted(device for device, answer in answers if answer.outcome == ROLLED_BACK)
            assert pruning.rolled_back(connection, rollout, wave) == back, (where, wave)
    return sum(sum(known.counts(target).values()) for target in known.devices)


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
