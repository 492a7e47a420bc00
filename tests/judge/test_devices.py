"""One number a device: order, repetition and gaps of its windows."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwave_controller.judge import devices
from modelwave_controller.judge.devices import (
    NOTHING,
    NUMBER,
    RATIO,
    SHARE,
    Frozen,
    Observed,
    Quantity,
    Sums,
    Window,
)
from tests.judge.building import ACCURACY, observed

POWER = Quantity("power", NUMBER, higher_is_better=True, margin=0.0)
WINDOWS = st.lists(
    st.builds(Window, st.integers(-20, 20), st.floats(0, 1000), st.floats(-1e6, 1e6)), max_size=30
)


@given(WINDOWS, st.randoms())
def test_order_and_repetition_of_windows_do_not_matter(windows, chance):
    again = windows + chance.choices(windows, k=5) if windows else []
    chance.shuffle(again)
    assert devices.fold(again) == devices.fold(windows)
    assert devices.fold_before(again) == devices.fold_before(windows)


def test_window_that_came_twice_counts_with_the_labels_that_came_late():
    early, late = Window(3, 40, 30), Window(3, 100, 80)
    assert devices.fold([late, early]) == devices.fold([early, late]) == Sums(100, 80)


def test_mean_is_weighted_by_labels():
    assert devices.fold([Window(0, 300, 300), Window(1, 100, 0)]).mean == 0.75


def test_window_without_labels_adds_nothing():
    assert devices.fold([Window(0, 0, 5)]) == NOTHING


@pytest.mark.parametrize("weight", [1, math.inf, math.nan])
def test_window_that_is_no_number_adds_nothing(weight):
    bad = [Window(n, weight, total) for n, total in enumerate((math.nan, math.inf, -1e300))]
    assert devices.fold([*bad, Window(9, 10, 9)]) == Sums(10, 9)


def test_of_more_windows_before_only_the_last_16_count():
    odd, even = devices.fold_before(Window(n, 1, n) for n in range(-40, 0))
    assert odd == Sums(8, sum(range(-15, 0, 2)))
    assert even == Sums(8, sum(range(-16, 0, 2)))


def test_theta_is_1_where_devices_repeat_themselves_and_0_where_nothing_lasts():
    same = observed([[p] * 4 for p in (0.7, 0.8, 0.9)], [[0.9]] * 3)
    assert devices.freeze(same).theta == pytest.approx(1)
    opposed = observed([[0.7, 0.9] * 2, [0.9, 0.7] * 2, [0.8, 0.8] * 2], [[0.9]] * 3)
    assert devices.freeze(opposed).theta == 0


def test_two_devices_show_no_correlation():
    assert devices.freeze(observed([[0.7] * 4, [0.9] * 4], [[0.9]] * 2)).theta == 0


def test_device_without_windows_before_counts_as_the_mean_of_the_others():
    new = Observed(NOTHING, NOTHING, Sums(100, 90))
    (z,) = devices.arm([new], ACCURACY, Frozen(0.5, 0.8)).z
    bend = devices.SHARE.bend
    assert z == pytest.approx(bend(0.9) - 0.5 * bend(0.8))


def test_silent_device_has_no_number():
    silent = Observed(Sums(100, 90), Sums(100, 90), NOTHING)
    assert devices.arm([silent], ACCURACY, Frozen(0.5, 0.8)).z == []


def test_where_lower_is_better_the_number_is_turned():
    failures = ACCURACY._replace(higher_is_better=False)
    few, many = (
        devices.arm([Observed(NOTHING, NOTHING, Sums(100, n))], failures, Frozen(0, 0)).z[0]
        for n in (1, 50)
    )
    assert few > many == pytest.approx(-math.pi / 4)


def test_a_ratio_beyond_all_numbers_is_shown_as_the_largest():
    latency = Quantity("latency", RATIO, higher_is_better=False, margin=0.2)
    assert latency.shown(1e9) == latency.shown(700.0) == math.expm1(700.0)
    assert latency.shown(699.5) == math.expm1(699.5)


@pytest.mark.parametrize("window", [Window(0, devices.MAX_TOTAL, 1), Window(0, 1, -1e100)])
def test_the_largest_window_still_counts(window):
    assert devices.fold([window]) == Sums(window.weight, window.total)


@pytest.mark.parametrize(
    ("scale", "higher_is_better", "margin"),
    [
        (SHARE, True, 0.2),
        (NUMBER, False, 0.2),
        (RATIO, False, math.log(1.2)),
        (RATIO, True, -math.log(0.8)),
    ],
)
def test_the_margin_of_a_ratio_is_relative(scale, higher_is_better, margin):
    quantity = Quantity("x", scale, higher_is_better, margin=0.2)
    assert quantity.margin_on_scale == pytest.approx(margin)


def test_a_share_outside_of_0_and_1_is_the_nearest_one():
    assert [SHARE.bend(share) for share in (-0.1, 1.5)] == [0.0, math.pi / 2]


def twins(*means, weight=1.0):
    """Devices with the same mean in their odd and even windows before."""
    return [Observed(Sums(weight, weight * m), Sums(weight, weight * m), NOTHING) for m in means]


def test_the_mean_before_is_that_of_all_devices_also_of_a_single_label():
    half = Observed(Sums(1, 7), NOTHING, NOTHING)
    both = Observed(Sums(1, 2), Sums(3, 4), NOTHING)
    assert devices.freeze([half, both, Observed(NOTHING, NOTHING, NOTHING)]) == (0.0, 4.25)
    assert devices.freeze([]) == (0.0, 0.0)


def test_theta_is_of_the_devices_that_have_both_halves():
    both = twins(0.7, 0.8, 0.95)
    halves = [Observed(Sums(1, 5), NOTHING, NOTHING), Observed(NOTHING, Sums(1, 5), NOTHING)]
    assert devices.freeze([*both, *halves]).theta == devices.freeze(both).theta > 0.999
    assert devices.freeze([*both[:2], *halves]).theta == 0.0


def test_theta_of_devices_that_are_alike_is_0_and_never_above_1():
    assert devices.freeze(twins(0.5, 0.5, 0.5)).theta == 0.0
    chance = random.Random(1)
    for _ in range(200):
        pairs = [(x, 3 * x + 0.1) for x in (chance.random() for _ in range(5))]
        fleet = [Observed(Sums(1, x), Sums(1, y), NOTHING) for x, y in pairs]
        assert 1 - 1e-9 < devices.freeze(fleet).theta <= 1.0


def test_theta_does_not_depend_on_what_all_have_in_common():
    odd, even = (1.0, 2.0, 4.0), (1.0, 1.0, 5.0)

    def theta(common):
        pairs = zip(odd, even, strict=True)
        fleet = [Observed(Sums(1, x + common), Sums(1, y - common), NOTHING) for x, y in pairs]
        return devices.freeze(fleet).theta

    assert theta(1e9) == pytest.approx(theta(0.0), rel=1e-6)


def test_an_arm_has_each_devices_own_mean_before_and_what_was_counted():
    one = Observed(Sums(1, 0.25), NOTHING, Sums(4, 1))
    found = devices.arm([one, one._replace(now=NOTHING)], POWER, Frozen(0.5, 0.9))
    assert found == ([0.25 - 0.5 * 0.25], [0.25 - 0.5 * 0.25], (1, 4, 1))
