"""Makes room in the log, most of which are the devices' answers: those to rollouts that were over
long ago are deleted, and their counts kept in their place.

A rollout is old if it is over, nothing was heard of it for a time, and no order names its release
any more: of those that are ordered, `retry`, `deployments` and the like want to know each device.

The counts are appended to the log first, with the names of the devices that rolled back. They are
what `rollout status` shows, and from then on it shows them. Then the answers are deleted, some at
a time, so that a running service can write between. If this is killed, the next one goes on.
"""

from collections.abc import Callable, Collection
from typing import NamedTuple

from sqlalchemy import Connection

from modelwave_controller.rollout import facts
from modelwave_controller.rollout.events import Condensed, WaveCounts, by
from modelwave_controller.rollout.state import Rollout, State, Wave
from modelwave_controller.storage import counting, devices, log
from modelwave_controller.storage.store import Store
from modelwave_shared.words import ROLLED_BACK

AT_ONCE = 5000  # answers that are deleted in a transaction


class Prunable(NamedTuple):
    """A rollout whose answers may be deleted, and how many the log has of it."""

    rollout: int
    model: str
    answers: int


def prunable(connection: Connection, before: float) -> list[Prunable]:
    """Returns the old rollouts, of which nothing was heard since `before` (Unix seconds), and those
    whose answers were counted already."""
    answers, newest = log.answers_by_rollout(connection), log.newest_by_rollout(connection)
    found = log.without_answers(connection)
    ordered = _ordered(found)
    return [
        Prunable(one.id, one.model, answers[one.id])
        for one in found.rollouts.values()
        if one.id in answers
        and (_is_condensed(one) or (_is_past(one, ordered) and newest[one.id] < before))
    ]


def _ordered(state: State) -> set[str]:
    """Returns the manifests of the releases that any order names now."""
    of_slots = (order for slots in state.desired.values() for order in slots.values())
    of_devices = (one.wanted for its in state.alone.values() for one in its.values())
    return {order.release.manifest for order in (*of_slots, *of_devices)}


def _is_past(rollout: Rollout, ordered: Collection[str]) -> bool:
    """Returns whether nobody asks any more which device gave which answer."""
    if not rollout.over or rollout.retry or rollout.not_understood:
        return False
    created = rollout.created
    back = created.previous.values() if rollout.back else ()
    return all(release.manifest not in ordered for release in (*created.releases.values(), *back))


def prune(
    store: Store,
    before: float,
    now: float,
    actor: str,
    tell: Callable[[int, int], None] = lambda _done, _of: None,
) -> list[Prunable]:
    """Deletes these rollouts' answers; returns what was deleted. `now`: Unix seconds. `tell` is
    called with the number of answers that are deleted, and of all that will be."""
    with store.read() as connection:
        found = prunable(connection, before)
    done, number = 0, sum(one.answers for one in found)
    for one in found:
        with store.write() as connection:
            _condense(connection, one, now, actor)
    with store.write() as connection:
        counting.drop_answers(connection, [one.rollout for one in found])
    for one in found:
        while True:
            with store.write() as connection:
                deleted = log.delete_answers(connection, one.rollout, AT_ONCE)
            done += deleted
            tell(done, number)
            if deleted < AT_ONCE:
                break
    return found


def _condense(connection: Connection, one: Prunable, now: float, actor: str) -> None:
    """Appends the counts, if they are not in the log."""
    rollout = log.folded(connection, reports_of=[one.rollout]).rollouts[one.rollout]
    if _is_condensed(rollout):
        return
    known = devices.known(connection, rollout.model)
    after_stages, after_back = facts.later(rollout)

    def counts(stage: int | None, wave: Wave, after: Wave | None) -> WaveCounts:
        found = facts.count_answers(wave, known, after)
        answers = facts.newest_answers(wave, facts.population_of(wave, known), after)
        names = sorted(d for d, answer in answers.items() if answer.outcome == ROLLED_BACK)
        return WaveCounts(
            stage=stage,
            devices=found.devices,
            answers=facts.answers_in(found),
            rolled_back=names,
        )

    waves = [counts(n, stage, after_stages) for n, stage in enumerate(rollout.stages)]
    if rollout.back:
        waves.append(counts(None, rollout.back, after_back))
    log.append(
        connection, rollout.id, now, [by(actor, Condensed(waves=waves, answers=one.answers))]
    )


def _is_condensed(rollout: Rollout) -> bool:
    return any(wave.counted is not None for wave in rollout.waves())
