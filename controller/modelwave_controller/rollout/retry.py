"""Finds the devices of a rollout that can be ordered its release anew. Pure.

Only a device whose newest order still names the release is asked: a later rollout may want
another one there.
"""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from modelwave_controller.rollout import wanted
from modelwave_controller.rollout.answer_words import (
    AFTER_A_HOLD as AFTER_A_HOLD,
)
from modelwave_controller.rollout.answer_words import (
    BY_DEFAULT as BY_DEFAULT,
)
from modelwave_controller.rollout.answer_words import (
    IN_PROGRESS as IN_PROGRESS,
)
from modelwave_controller.rollout.answer_words import (
    QUEUED as QUEUED,
)
from modelwave_controller.rollout.answer_words import (
    TIMED_OUT as TIMED_OUT,
)
from modelwave_controller.rollout.answer_words import (
    WORDS as WORDS,
)
from modelwave_controller.rollout.decide import overdue
from modelwave_controller.rollout.events import Release
from modelwave_controller.rollout.facts import Known, later, newest_answers, population_of
from modelwave_controller.rollout.state import REVERTED, Rollout, State, Wave


class Place(NamedTuple):
    """The wave that a device belongs to (`stage` None: the revert), and its release there, which
    runs beside the live one in a `shadow` stage."""

    stage: int | None
    release: Release
    shadow: bool = False


def outcomes(
    state: State, rollout: Rollout, known: Known, clock: float, newest_only: bool = False
) -> dict[str, str]:
    """Returns {device: one of WORDS} of the known devices that the rollout has ordered its release,
    or back, and whose newest order still says so; `newest_only`: those of its newest wave. `clock`
    is in seconds of the rollout clock. Of a wave whose answers were deleted there are none."""
    found: dict[str, str] = {}
    for wave, late in waves(rollout, clock):
        if wave.counted or (newest_only and wave is not rollout.newest_wave):
            continue
        after = later(rollout)[1 if rollout.back else 0]
        answers = newest_answers(wave, population_of(wave, known), after)
        for target, slot, device in _inside(wave, known):
            if place(state, rollout, target, slot, device) is not None:
                held = answers.get(device)
                found[device] = _word(held.outcome if held else "", late, rollout.over)
    return found


def place(state: State, rollout: Rollout, target: str, slot: int, device: str) -> Place | None:
    """Returns which orders of the rollout the device belongs to; None if its newest order names
    another release, or the rollout has none for it."""
    created = rollout.created
    releases = created.previous if rollout.back else created.releases
    order = wanted.of(state, rollout.model, target, slot, device)
    release = releases.get(target)
    if order is None or release is None or order.release.manifest != release.manifest:
        return None
    if rollout.back:
        return Place(None, release) if _names(rollout.back, target, slot, device) else None
    for number, stage in enumerate(rollout.stages):
        is_its = created.plan.stages[number].shadow == order.shadow
        if is_its and _names(stage, target, slot, device):
            return Place(number, release, order.shadow)
    return None


def waves(rollout: Rollout, clock: float) -> Iterator[tuple[Wave, bool]]:
    """Yields the waves that count, and whether the deadline of each has passed."""
    if rollout.back:
        yield rollout.back, rollout.over
        return
    for number, stage in enumerate(rollout.stages):
        yield stage, is_late(rollout, number, clock)


def is_late(rollout: Rollout, number: int, clock: float) -> bool:
    """Returns whether devices of stage `number` that have not answered are silent: its deadline has
    passed, or the way back that is over has replaced its orders."""
    planned, stage = rollout.created.plan.stages[number], rollout.stages[number]
    return rollout.status == REVERTED or overdue(planned, stage.waiting_since, clock)


def _inside(wave: Wave, known: Known) -> Iterator[tuple[str, int, str]]:
    """Yields (target, slot, device) of the known devices in the wave's slots."""
    for order in wave.orders:
        for slot, device in known.inside(order):
            yield order.target, slot, device


def _names(wave: Wave, target: str, slot: int, device: str) -> bool:
    return any(order.names(target, slot, device) for order in wave.orders)


def _word(outcome: str, late: bool, over: bool) -> str:
    if outcome in ("", IN_PROGRESS) and late:
        return TIMED_OUT
    if not outcome:
        return TIMED_OUT if over else QUEUED
    return outcome


def chosen(found: dict[str, str], words: Collection[str]) -> list[str]:
    """Returns the devices whose outcome is one of `words`, sorted."""
    return sorted(device for device, word in found.items() if word in words)
