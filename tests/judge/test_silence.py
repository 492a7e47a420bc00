"""Canaries that send nothing."""

import pytest
from scipy import stats

from modelwave_controller.judge.looks import Budget
from modelwave_controller.judge.silence import Heard, judge_silence

BUDGET = Budget(4, 3, 4, False)


@pytest.mark.parametrize(
    ("silent", "canaries", "silent_controls", "controls", "word"),
    [
        (0, 50, 5, 450, "PASS"),
        (3, 50, 27, 450, "PASS"),
        (12, 50, 20, 450, "FAIL"),
        (3, 3, 0, 9, "INCONCLUSIVE"),  # 1 of 220 choices: too few devices to prove it
        (3, 3, 8, 9, "INCONCLUSIVE"),
    ],
)
def test_silent_canaries(silent, canaries, silent_controls, controls, word):
    found = judge_silence([Heard(silent, canaries, silent_controls, controls)], BUDGET, 0)
    assert found.word == word


def test_p_value_is_that_of_scipys_exact_test():
    found = judge_silence([Heard(5, 20, 3, 60)], BUDGET, 0)
    theirs = stats.fisher_exact([[5, 15], [3, 57]], alternative="greater").pvalue
    assert found.p == pytest.approx(theirs)


def test_silence_that_controls_share_is_not_the_releases():
    """The broker was away: everybody is silent."""
    assert judge_silence([Heard(10, 20, 100, 200)], BUDGET, 0).word == "PASS"


def test_reason_has_both_arms():
    reason = judge_silence([Heard(2, 5, 1, 45)], BUDGET, 0).reason
    assert reason == "2 of 5 canaries sent no window, and 1 of 45 controls"


@pytest.mark.parametrize("nothing", [(3, 3, 9, 9), (0, 0, 0, 9), (1, 5, 0, 0)])
def test_without_canaries_or_a_control_that_sends_nothing_is_judged(nothing):
    assert judge_silence([Heard(*nothing)], BUDGET, 0) is None


def test_target_that_sends_no_windows_does_not_make_its_canaries_look_silent():
    """Three of its four devices are opened, as a stage opens a few of each target."""
    others = Heard(0, 12, 0, 100)
    for silent in (Heard(3, 3, 1, 1), Heard(3, 3, 0, 1), Heard(4, 5, 2, 3)):
        assert judge_silence([others, silent, silent], BUDGET, 0).word == "PASS"
    added_up = Heard(6, 18, 2, 102)
    assert judge_silence([added_up], BUDGET, 0).word == "FAIL"
    assert judge_silence([Heard(5, 12, 0, 100), Heard(3, 3, 1, 1)], BUDGET, 0).word == "FAIL"


def test_two_targets_prove_together_what_none_proves_alone():
    each = Heard(3, 6, 1, 20)
    assert judge_silence([each], BUDGET, 0).word == "PASS"
    assert judge_silence([each] * 3, BUDGET, 0).word == "FAIL"


def test_one_canary_is_compared_and_the_level_itself_fails():
    found = judge_silence([Heard(1, 1, 0, 3)], BUDGET, 0)
    assert (found.word, found.p) == ("INCONCLUSIVE", pytest.approx(0.25))
    at_level = Budget(1, 1, 1, False, alpha=found.p)
    assert judge_silence([Heard(1, 1, 0, 3)], at_level, 0).word == "FAIL"
    assert judge_silence([Heard(1, 1, 0, 3)], at_level._replace(alpha=0.24), 0).word != "FAIL"
