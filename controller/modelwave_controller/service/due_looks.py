"""Finds the looks of rollouts that are due: their watermark has passed (rollout/course.py)."""

from collections.abc import Mapping
from typing import NamedTuple

from modelwave_controller.rollout import course
from modelwave_controller.rollout.events import Release
from modelwave_controller.rollout.state import ACTIVE, HELD, NEW, Rollout, State, failed


class DueLook(NamedTuple):
    """Look `look` of a stage (both from 0), which was opened at `opened` and lasts until `end`, by
    the rollout clock; `first` is when the first stage was, for a look at a shadow since when its
    windows count. `releases`: by target and number, those of the model that rollouts have
    ordered."""

    rollout: Rollout
    stage: int
    look: int
    windows: int
    first: float
    opened: float
    end: float
    releases: Mapping[tuple[str, int], Release]

    @property
    def is_shadow(self) -> bool:
        return self.rollout.created.plan.stages[self.stage].shadow


def due_look(state: State, seconds: float) -> DueLook | None:
    """Returns a look whose watermark has passed at `seconds` of the rollout clock, if there is
    one."""
    for rollout in state.rollouts.values():
        found = _due(state, rollout, seconds)
        if found is not None and not state.obstacle(rollout.model, rollout.id):
            return found
    return None


def is_still_due(look: DueLook, state: State) -> bool:
    """Returns whether nothing about the stage has changed, in a state that is newer."""
    rollout = state.rollouts.get(look.rollout.id)
    if rollout is None or not _may_look(rollout) or len(rollout.stages) != look.stage + 1:
        return False
    return len(rollout.stages[-1].looks) == look.look


def _may_look(rollout: Rollout) -> bool:
    return rollout.status in ACTIVE and rollout.status != NEW and rollout.revert_asked is None


def _due(state: State, rollout: Rollout, seconds: float) -> DueLook | None:
    if not _may_look(rollout) or not rollout.stages or failed(rollout.stages[-1]):
        return None
    plan, number, stage = rollout.created.plan, len(rollout.stages) - 1, rollout.stages[-1]
    done = len(stage.looks)
    after = course.next_look(plan, number, done, held=rollout.status == HELD)
    times, first = course.course_of(plan, stage), rollout.stages[0].soaking_since
    if after is None or times is None or first is None or seconds < times.watermark(after):
        return None
    if plan.stages[number].shadow and rollout.stages[0].opened is not None:
        # Shadows of the first part, or of who did not wait for a maintenance window, may have
        # ended before the soak began.
        first = rollout.stages[0].opened
    end, releases = times.end(after), _releases(state, rollout.model)
    return DueLook(rollout, number, done, after, first, times.opened, end, releases)


def _releases(state: State, model: str) -> dict[tuple[str, int], Release]:
    """Returns the releases of the model by target and number."""
    return {
        (target, release.release): release
        for rollout in state.rollouts.values()
        if rollout.model == model
        for by_target in (rollout.created.previous, rollout.created.releases)
        for target, release in by_target.items()
    }
