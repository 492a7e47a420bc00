"""A limit that needs no controls."""

import numpy as np
import pytest
from scipy import stats

from modelwave_controller.judge.devices import NUMBER, SHARE, Quantity
from modelwave_controller.judge.limit import judge_limit
from tests.judge.building import occasion, sums

FAILURES = Quantity("failures", SHARE, False, margin=0.0)


def test_mean_bounds_and_p_value_are_those_of_scipy():
    rng = np.random.default_rng(1)
    power = Quantity("power_mw", NUMBER, False, margin=0.0)
    values = rng.normal(310, 10, 8)
    found = judge_limit([sums(10, 10 * v) for v in values], power, 300, occasion())
    theirs = stats.ttest_1samp(values, 300, alternative="greater")
    assert found.mean == pytest.approx(values.mean())
    assert found.t_p == pytest.approx(theirs.pvalue)
    interval = stats.ttest_1samp(values, 300).confidence_interval(1 - 2 * occasion().to_pass)
    assert (found.low, found.high) == pytest.approx(tuple(interval))


@pytest.mark.parametrize(
    ("failures", "word"), [(0, "PASS"), (2, "PASS"), (10, "INCONCLUSIVE"), (40, "FAIL")]
)
def test_failures_against_one_in_a_thousand(failures, word):
    devices = [sums(10_000, failures + n % 3) for n in range(12)]
    assert judge_limit(devices, FAILURES, 0.001, occasion()).word == word


def test_no_failure_in_few_inferences_is_no_proof():
    assert judge_limit([sums(30, 0)] * 5, FAILURES, 0.001, occasion()).word == "INCONCLUSIVE"


def test_one_device_with_very_many_inferences_is_no_proof_for_the_others():
    """It is busy, or it lies: the mean is that of the devices, and two of them have seen few."""
    devices = [sums(30, 0), sums(30, 0), sums(10**9, 0)]
    assert judge_limit(devices, FAILURES, 0.001, occasion()).word == "INCONCLUSIVE"


def test_interval_of_a_share_is_one():
    found = judge_limit([sums(30, 0)] * 3, FAILURES, 0.001, occasion())
    assert (found.low, found.mean) == (0.0, 0.0)
    assert 0 < found.high <= 1
    accuracy = Quantity("accuracy", SHARE, True, margin=0.0)
    found = judge_limit([sums(10, 10), sums(10, 10), sums(10, 9)], accuracy, 0.8, occasion())
    assert found.high == 1.0
    assert 0 <= found.low < found.mean


def test_two_devices_are_too_few():
    found = judge_limit([sums(1000, 900)] * 2 + [sums(0, 0)], FAILURES, 0.001, occasion())
    assert (found.word, found.devices, found.mean) == ("INCONCLUSIVE", 2, None)


def test_where_higher_is_better_the_limit_is_the_lowest():
    accuracy = Quantity("accuracy", SHARE, True, margin=0.0)
    devices = [sums(1000, 900 + n) for n in range(10)]
    assert judge_limit(devices, accuracy, 0.8, occasion()).word == "PASS"
    assert judge_limit(devices, accuracy, 0.95, occasion()).word == "FAIL"


def test_failures_within_the_limit_seldom_fail():
    rng, runs, failed, passed = np.random.default_rng(2), 400, 0, 0
    for _ in range(runs):
        rates = 0.002 * rng.gamma(1, 1, 5)  # devices differ as much as they fail
        counts = rng.poisson(800 * rates)
        at = occasion(stages=1, looks=1)
        devices = [sums(800, int(count)) for count in counts]
        failed += judge_limit(devices, FAILURES, 0.002, at).word == "FAIL"
        passed += judge_limit(devices, FAILURES, 0.0005, at).word == "PASS"
    assert failed <= stats.binom.isf(1e-4, runs, 0.05)
    assert passed <= stats.binom.isf(1e-4, runs, 0.05)
