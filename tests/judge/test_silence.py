"""Canaries that send nothing."""

import pytest
from scipy import stats

from modelwave_controller.judge.looks import Budget
from modelwave_controller.judge.silence import judge_silence

BUDGET = Budget(4, 3, 4, False)


@pytest.mark.parametrize(
    ("silent", "canaries", "silent_controls", "controls", "word"),
    [
        (0, 50, 5, 450, "PASS"),
        (3, 50, 27, 450, "PASS"),
        (12, 50, 20, 450, "FAIL"),
        (3, 3, 0, 9, "INCONCLUSIVE"),  # 1 of 220 choices: too few devices to prove it
        (3, 3, 9, 9, "INCONCLUSIVE"),
        (0, 0, 0, 9, "INCONCLUSIVE"),
        (1, 5, 0, 0, "INCONCLUSIVE"),
    ],
)
def test_silent_canaries(silent, canaries, silent_controls, controls, word):
    found = judge_silence(silent, canaries, silent_controls, controls, BUDGET, 0)
    assert found.word == word


def test_p_value_is_that_of_scipys_exact_test():
    found = judge_silence(5, 20, 3, 60, BUDGET, 0)
    theirs = stats.fisher_exact([[5, 15], [3, 57]], alternative="greater").pvalue
    assert found.p == pytest.approx(theirs)


def test_silence_that_controls_share_is_not_the_releases():
    """The broker was away: everybody is silent."""
    assert judge_silence(10, 20, 100, 200, BUDGET, 0).word == "PASS"


def test_reason_has_both_arms():
    reason = judge_silence(2, 5, 1, 45, BUDGET, 0).reason
    assert reason == "2 of 5 canaries sent no window, and 1 of 45 controls"
