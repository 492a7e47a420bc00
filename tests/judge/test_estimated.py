"""Accuracy without labels."""

import numpy as np
import pytest

from modelwave_controller.judge import compare, estimated
from modelwave_controller.judge.devices import Observed, fold, fold_before
from modelwave_controller.judge.estimated import Bin
from tests.judge.building import occasion, pair

TABLE = tuple(Bin(1000, round(1000 * (b + 0.5) / 16)) for b in range(16))


def test_window_holds_the_expected_right_ones():
    window = estimated.window(3, [0] * 15 + [100], TABLE)
    assert (window.number, window.weight) == (3, 100)
    assert window.total == pytest.approx(100 * 970 / 1002)


def test_histogram_with_other_bins_than_the_table_is_refused():
    with pytest.raises(ValueError, match="take the table of the release"):
        estimated.window(0, [1, 2], TABLE)


def test_bin_that_no_example_fell_into_is_worth_a_half_and_much_doubt():
    empty, full = Bin(0, 0), Bin(1000, 500)
    assert empty.accuracy == full.accuracy == 0.5
    assert empty.variance > 100 * full.variance


def test_small_table_has_a_larger_error():
    small, large = (Bin(10, 9),) * 16, (Bin(1000, 900),) * 16
    histogram = [10] * 16

    def error(table):
        return estimated.common_error({table: histogram}, {})

    assert error(small) > 5 * error(large)
    assert estimated.common_error({small: [0] * 16}, {}) == 0
    both = estimated.common_error({small: histogram}, {large: histogram})
    assert both == pytest.approx((error(small) ** 2 + error(large) ** 2) ** 0.5)


def test_one_table_for_both_arms_errs_only_where_they_differ():
    table = (Bin(10, 9),) * 16
    canaries, controls = [10] * 16, [20] * 16
    assert estimated.common_error({table: canaries}, {table: controls}) == 0
    other = [40, *[0] * 15]
    assert estimated.common_error({table: canaries}, {table: other}) > 0


def test_controls_of_two_releases_count_with_the_table_of_each():
    one, other = (Bin(10, 9),) * 16, (Bin(11, 9),) * 16
    canaries, half = {TABLE: [10] * 16}, [5] * 16
    mixed = estimated.common_error(canaries, {one: half, other: half})
    assert mixed < estimated.common_error(canaries, {one: [10] * 16})


def fleet(fall):
    rng = np.random.default_rng(1)
    quantity, devices, opened = estimated.estimated_accuracy(0.0), [], []
    for number in range(50):
        level, canary = 12 + rng.normal(0, 0.5), number < 5

        def histogram(mean):
            bins = np.clip(rng.normal(mean, 2, 100).astype(int), 0, 15)
            return np.bincount(bins, minlength=16).tolist()

        before = [estimated.window(n, histogram(level), TABLE) for n in range(-16, 0)]
        now = [estimated.window(n, histogram(level - fall * canary), TABLE) for n in range(8)]
        devices.append(Observed(*fold_before(before), fold(now)))
        opened.append(canary)
    return pair(devices, opened, quantity), quantity


def test_fall_of_confidence_holds_and_equal_confidence_proves_nothing():
    for fall, word in ((1.0, "HOLD"), (0.0, "INCONCLUSIVE")):
        arms, quantity = fleet(fall)
        assert compare.compare([arms], quantity, occasion(allowance=3)).word == word
