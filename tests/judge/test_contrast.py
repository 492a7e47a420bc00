"""The difference of two arms: from how many devices on which formula is taken, and shares."""

from math import sqrt

import pytest

from modelwave_controller.judge.contrast import (
    Contrast,
    Counted,
    bent_counting_variance,
    contrast,
    counting_variance,
    pooled,
)


def alternating(number: int, middle: float, by: float) -> list[float]:
    return [middle + (by if n % 2 else -by) for n in range(number)]


def test_arms_differ_in_variance_from_ten_devices_in_each_on():
    few = contrast([(alternating(9, 1, 1), alternating(20, 2, 3))])
    assert few.freedom == 9 + 20 - 2
    enough = contrast([(alternating(10, 1, 1), alternating(20, 2, 3))])
    one, two = 10 / 9 / 10, 180 / 19 / 20  # the variances of the means
    assert enough.error == pytest.approx(sqrt(one + two))
    assert enough.freedom == pytest.approx((one + two) ** 2 / (one**2 / 9 + two**2 / 19))


def test_few_devices_share_one_variance():
    found = contrast([([1.0, 3.0], [4.0, 5.0, 6.0])])
    assert found.harm == 3.0
    assert found.error == pytest.approx(sqrt((2 + 2) / 3 * (1 / 2 + 1 / 3)))
    assert found.freedom == 3


def test_targets_weigh_by_their_devices():
    found = contrast([([0.0], [1.0, 1.0]), ([0.0, 0.0], [2.0] * 6)])
    weights = (1 * 2 / 3, 2 * 6 / 8)
    assert found.harm == pytest.approx((weights[0] * 1 + weights[1] * 2) / sum(weights))


@pytest.mark.parametrize("devices", [2, 10])
def test_devices_that_are_alike_have_no_error_and_prove_nothing(devices):
    found = contrast([([1.0] * devices, [2.0] * devices)])
    assert found == (1.0, 0.0, 2 * devices - 2)
    assert found.p == 1.0


def test_two_devices_and_controls_without_a_second_one_are_too_few():
    assert contrast([([1.0], [2.0])]) is None
    assert contrast([([1.0, 1.5, 2.0], [2.0])]) is None
    assert contrast([([1.0], [2.0, 3.0])]).freedom == 1
    assert contrast([([1.0], [2.0]), ([1.0], [2.0, 3.0])]).freedom == 1


def test_a_common_error_adds_to_the_variance():
    assert Contrast(1.0, 3.0, 9).widened(4.0) == (1.0, 5.0, 9)


def test_a_mean_of_devices_is_worth_the_harmonic_mean_of_their_weights():
    assert pooled([]) == (0, 0.0, 0.0)
    assert pooled([Counted(0, 5.0, 1.0)]) == (0, 0.0, 0.0)
    weight = 3**2 / (1 / 10 + 2**2 / 40)
    share = (1 * 0.5 + 2 * 0.25) / 3
    found = pooled([Counted(1, 10, 5), Counted(2, 40, 10)])
    assert found == (3, pytest.approx(weight), pytest.approx(weight * share))


def test_counting_has_a_variance_also_where_nothing_was_counted():
    assert counting_variance(8, 0) == pytest.approx(0.1 * 0.9 / 8)
    assert counting_variance(8, 8) == pytest.approx(0.9 * 0.1 / 8)
    assert counting_variance(8, 1e9) == 0.0  # more were counted than there are
    assert bent_counting_variance(8) == 0.25 / 8


def test_arms_of_one_variance_have_an_error():
    found = contrast([(alternating(10, 1, 1), alternating(10, 2, 1))])
    assert (found.error, found.freedom) == (pytest.approx(sqrt(2 * 10 / 9 / 10)), pytest.approx(18))


def test_an_error_does_not_depend_on_how_large_the_numbers_are():
    near, far = (contrast([([n, n + 1, n + 1], [n, n, n + 2])]) for n in (0.0, 1e9))
    assert far == pytest.approx(near, rel=1e-6)


def test_variances_of_several_targets_weigh_by_the_squares_of_their_parts():
    sizes = [(12, 30), (20, 10)]
    groups = [(alternating(a, 0, 1), alternating(b, 1, 2)) for a, b in sizes]
    weights = [a * b / (a + b) for a, b in sizes]
    parts = [weight / sum(weights) for weight in weights]
    one, two = (
        variance * sum(part**2 / size[side] for part, size in zip(parts, sizes, strict=True))
        for side, variance in ((0, 32 / 30), (1, 4 * 40 / 38))
    )
    found = contrast(groups)
    assert found.error == pytest.approx(sqrt(one + two))
    assert found.freedom == pytest.approx((one + two) ** 2 / (one**2 / 30 + two**2 / 38))
