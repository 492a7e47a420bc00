"""The formulas of what a verdict needs, number by number."""

from math import asin, ceil, pi, sin, sqrt
from random import Random

import pytest
from scipy import stats

from modelwave_controller.judge.contrast import bent_counting_variance, counting_variance
from modelwave_controller.judge.devices import NOTHING, Frozen, Observed, Sums
from modelwave_controller.judge.needs import (
    Ahead,
    Arms,
    Crowd,
    Need,
    ahead,
    need,
    smallest_harm,
    spread_ahead,
)

TAIL = 0.0125


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Need(None, None), "this fleet cannot prove that it is within the margin"),
        (Need(1, None), "it needs 1 more canary if the estimate stays"),
        (Need(2, 1), "it needs 2 more canaries or 1 more window if the estimate stays"),
        (Need(None, 2), "it needs 2 more windows if the estimate stays"),
    ],
)
def test_what_is_needed_is_said_in_words(found, words):
    assert found.words == words


def room_for(arms, canaries, freedom):
    """As much as so many canaries of all devices are just enough for."""
    controls = arms.canaries + arms.controls - canaries
    reach = stats.t.isf(TAIL, freedom) * sqrt(arms.variance * (1 / canaries + 1 / controls))
    return reach * (1 + 1e-9)


@pytest.mark.parametrize("more", [1, 2, 5])
def test_more_canaries_have_the_freedom_of_all_devices_at_least(more):
    for freedom in (3.0, 18.0):
        arms = Arms(4, 16, 1.0, freedom)
        room = room_for(arms, 4 + more, 18)
        assert need(arms, room, TAIL, 1, None).canaries == more
        assert need(arms, room * (1 - 1e-4), TAIL, 1, None).canaries == more + 1
    wide = Arms(4, 16, 1.0, 30.0)  # Welch's may be more
    assert need(wide, room_for(wide, 6, 30), TAIL, 1, None).canaries == 2


def test_one_more_canary_may_be_the_last_that_there_is_and_half_of_all_need_none():
    last = Arms(9, 11, 1.0, 18.0)
    assert need(last, room_for(last, 10, 18), TAIL, 1, None).canaries == 1
    assert need(Arms(10, 10, 1.0, 18.0), 1e9, TAIL, 1, None).canaries is None


@pytest.mark.parametrize(("variance", "noise"), [(4.0, 1.0), (1.0, 1.0), (1.0, 2.0)])
def test_windows_shrink_the_noise_alone_which_is_no_more_than_all(variance, noise):
    both = 1 / 10 + 1 / 10
    arms = Arms(10, 10, sqrt(variance * both), 18.0)
    lasting = max(variance - noise, 0)
    wanted = lasting + 0.1
    room = stats.t.isf(TAIL, 18) * sqrt(wanted * both)
    more = ceil(noise * 8 / 0.1 - 1e-6) - 8
    assert need(arms, room, TAIL, 8, noise).windows in (more, more + 1)
    assert need(arms, 100 * room, TAIL, 8, noise).windows == 1  # it would pass as it is


def observed(odd, even, weight=1):
    return Observed(Sums(weight, weight * odd), Sums(weight, weight * even), NOTHING)


@pytest.mark.parametrize("theta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("evens", [(1.5, 2.0, 4.5), (4.5, 2.0, 1.5)])
def test_spread_is_what_lasts_and_the_noise_of_both_times(theta, evens):
    odds = (1.0, 2.0, 4.0)
    middles = sum(odds) / 3, sum(evens) / 3
    both = list(zip(odds, evens, strict=True))
    lasting = max(sum((a - middles[0]) * (b - middles[1]) for a, b in both) / 2, 0)
    squares = sum((a - middles[0]) ** 2 + (b - middles[1]) ** 2 for a, b in both)
    half = max(squares / 4 - lasting, 0)  # the noise of a weight of 1
    found = spread_ahead([observed(*one) for one in both], Frozen(theta, 0), 8)
    spread = lasting * (1 - theta) ** 2 + half / 8 + theta**2 * half / 2
    assert found == pytest.approx(sqrt(spread))


def test_two_devices_have_a_spread_and_one_has_none():
    two = [observed(1, 2), observed(3, 5)]
    assert spread_ahead(two, Frozen(0.0, 0), 8) is not None
    assert spread_ahead(two[:1], Frozen(0.0, 0), 8) is None
    for half in (Observed(Sums(9, 9), NOTHING, NOTHING), Observed(NOTHING, Sums(9, 9), NOTHING)):
        assert spread_ahead([*two, half], Frozen(0.0, 0), 8) == spread_ahead(two, Frozen(0, 0), 8)


def test_equal_halves_have_no_noise():
    """Rounding may leave a little less than nothing of it."""
    devices = [observed(n / 7, n / 7) for n in range(3)]
    assert spread_ahead(devices, Frozen(1.0, 0), 8) == pytest.approx(0.0, abs=1e-7)


def test_numbers_ahead_have_the_error_of_their_spread_alone():
    crowd = Crowd(1, 2, 3.0)
    assert crowd[3:] == (0.0, 0.0)
    assert ahead([crowd]) == (pytest.approx(3 * sqrt(1 + 1 / 2)), 1, 0.0, 0.0)
    assert ahead([Crowd(1, 1, 3.0)]) is None
    assert ahead([crowd, Crowd(0, 9, 1.0)]) == ahead([crowd])


@pytest.mark.parametrize("weight", [1.0, 50.0])
def test_shares_ahead_have_the_error_of_counting_at_least(weight):
    crowds = [Crowd(2, 8, 0.0, 0.1, weight), Crowd(4, 6, 0.0, 0.4, 3 * weight)]
    weights = (2 + 4 * 3) * weight, (8 + 6 * 3) * weight
    totals = (2 * 0.1 + 4 * 3 * 0.4) * weight, (8 * 0.1 + 6 * 3 * 0.4) * weight
    found = ahead(crowds)
    assert found.error == pytest.approx(sqrt(sum(map(counting_variance, weights, totals))))
    assert found.bent == pytest.approx(sqrt(sum(map(bent_counting_variance, weights))))
    assert (found.freedom, found.share) == (16, pytest.approx(sum(totals) / sum(weights)))


@pytest.mark.parametrize("rises", [True, False])
@pytest.mark.parametrize("share", [-0.5, 0.0, 0.001, 0.1, 0.3, 0.9, 0.999, 1.0, 1.5])
def test_a_share_moves_by_its_arcsine_and_stays_one(rises, share):
    found = Ahead(error=1e-12, freedom=50, bent=0.05, share=share)
    reach = (stats.t.isf(0.01, 50) + stats.t.isf(0.2, 50)) * 0.05
    within = min(max(share, 0.0), 1.0)
    angle = asin(sqrt(within))
    moved = min(angle + reach, pi / 2) if rises else max(angle - reach, 0.0)
    harm = smallest_harm(found, 0.01, 0.0, rises)
    assert harm == pytest.approx(abs(sin(moved) ** 2 - within), abs=1e-10)


def test_without_room_nothing_is_enough_though_no_device_differs():
    assert need(Arms(4, 16, 0.0, 18.0), 0.0, TAIL, 1, 0.0) == Need(None, None)


def test_room_that_is_next_to_nothing_needs_more_windows_than_there_are():
    assert need(Arms(10, 10, 1.0, 18.0), 1e-200, TAIL, 1, 5.0) == Need(None, None)


def test_devices_that_repeat_themselves_have_no_noise_but_for_rounding():
    chance = Random(1)
    for _ in range(300):
        halves = [Sums(1, chance.random()) for _ in range(3)]
        fleet = [Observed(half, half, NOTHING) for half in halves]
        found = spread_ahead(fleet, Frozen(1.0, 0.0), 1)
        assert found == pytest.approx(0.0, abs=1e-7)
