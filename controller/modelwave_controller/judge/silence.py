"""Judges canaries that send no window in a stage, against the controls that send none.

A model that crashes the worst devices looks better by every number that the others report. So
silence is a quantity of its own: Fisher's exact test, at the level that every quantity has. It sees
what many devices show; a fleet of a dozen must count a canary that is silent past its deadline as
rolled back (rollbacks.py).

Canaries are compared with the controls of their target. Of some targets no device sends windows,
and a stage opens at least a few of each: added up, their canaries would look silent.
"""

from collections.abc import Iterable
from typing import NamedTuple

from modelwave_controller.judge.looks import Budget
from modelwave_controller.judge.statistics import Group, fisher_tail
from modelwave_controller.judge.verdicts import FAIL, INCONCLUSIVE, PASS


class Heard(NamedTuple):
    """The devices of a target, and how many of them are silent."""

    silent: int
    canaries: int
    silent_controls: int
    controls: int

    @property
    def compares(self) -> bool:
        """Whether there are canaries, and a control that sends."""
        return self.canaries > 0 and self.silent_controls < self.controls


class Silence(NamedTuple):
    word: str
    silent: int
    canaries: int
    silent_controls: int
    controls: int
    p: float
    level: float

    @property
    def reason(self) -> str:
        return (
            f"{self.silent} of {self.canaries} canaries sent no window, and "
            f"{self.silent_controls} of {self.controls} controls"
        )


def judge_silence(targets: Iterable[Heard], budget: Budget, look: int) -> Silence | None:
    """Returns FAIL where canaries are silent more often than chance explains, PASS where not, and
    INCONCLUSIVE where no canary sent anything. Returns None if no target compares."""
    level = budget.to_fail(look)
    heard = [one for one in targets if one.compares]
    if not heard:
        return None
    silent, canaries, silent_controls, controls = (
        sum(column) for column in zip(*heard, strict=True)
    )
    groups = [
        Group(one.canaries, one.silent + one.silent_controls, one.canaries + one.controls)
        for one in heard
    ]
    p = fisher_tail(silent, groups)
    word = FAIL if p <= level else INCONCLUSIVE if silent == canaries else PASS
    return Silence(word, silent, canaries, silent_controls, controls, p, level)
