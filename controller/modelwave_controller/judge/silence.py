"""Judges canaries that send no window in a stage, against the controls that send none.

A model that crashes the worst devices looks better by every number that the others report. So
silence is a quantity of its own: Fisher's exact test, at the level that every quantity has. It sees
what many devices show; a fleet of a dozen must count a canary that is silent past its deadline as
rolled back (rollbacks.py).
"""

from typing import NamedTuple

from modelwave_controller.judge.looks import Budget
from modelwave_controller.judge.statistics import fisher_tail
from modelwave_controller.judge.verdicts import FAIL, INCONCLUSIVE, PASS


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


def judge_silence(
    silent: int, canaries: int, silent_controls: int, controls: int, budget: Budget, look: int
) -> Silence:
    """Returns FAIL where canaries are silent more often than chance explains, PASS where not, and
    INCONCLUSIVE where there is nothing to compare or no canary sent anything. Targets are added up.
    """
    level = budget.to_fail(look)
    if not canaries or not controls:
        return Silence(INCONCLUSIVE, silent, canaries, silent_controls, controls, 1.0, level)
    p = fisher_tail(silent, canaries, silent + silent_controls, canaries + controls)
    word = FAIL if p <= level else INCONCLUSIVE if silent == canaries else PASS
    return Silence(word, silent, canaries, silent_controls, controls, p, level)
