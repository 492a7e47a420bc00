"""Plays a rollout from look to look, as the service does, until it ends or is held for good."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from modelwave_controller.judge.verdicts import FAIL, INCONCLUSIVE, PASS
from modelwave_controller.rollout import course
from modelwave_controller.rollout.events import Finding, Looked
from modelwave_controller.rollout.plan import Plan

# (stage, look, windows) -> what the look finds; stages and looks are counted from 0.
Judged = Callable[[int, int, int], Sequence[Finding]]


class Ended(NamedTuple):
    """How a rollout ended: PASS after its last stage, or FAIL or INCONCLUSIVE (held) in `stage`,
    from 0, after so many windows of it."""

    word: str
    stage: int
    windows: int


def play(plan: Plan, judged: Judged, further: int) -> Ended:
    """Plays the looks of each stage, and at most so many `further` ones where it is held."""
    ended = Ended(PASS, 0, 0)
    for number in range(len(plan.stages)):
        ended = _stage(plan, number, judged, further)
        if ended.word != PASS:
            return ended
    return ended


def _stage(plan: Plan, number: int, judged: Judged, further: int) -> Ended:
    looks: list[Looked] = []
    most = len(course.planned_looks(plan, number)) + further
    held, windows = False, 0
    while len(looks) < most:
        after = course.next_look(plan, number, len(looks), held)
        if after is None:
            break
        windows, look = after, len(looks)
        findings = list(judged(number, look, windows))
        looks.append(
            Looked(stage=number, look=look, windows=windows, observed=True, findings=findings)
        )
        found = course.looked(plan, number, looks)
        if found is not None and found.verdict in (FAIL, PASS):
            return Ended(found.verdict, number, windows)
        held = found is not None
    return Ended(INCONCLUSIVE if held else PASS, number, windows)
