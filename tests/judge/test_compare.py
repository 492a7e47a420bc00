"""The verdict of one comparison: its rows, its boundaries, what it carries."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from modelwave_controller.judge import compare, levels, needs
from modelwave_controller.judge.compare import Pair
from modelwave_controller.judge.contrast import counting_variance
from modelwave_controller.judge.devices import NUMBER, RATIO, SHARE, Frozen, Quantity
from modelwave_controller.judge.devices import arm as made_arm
from modelwave_controller.judge.verdicts import FAIL, HOLD, INCONCLUSIVE, PASS
from tests.judge.building import ACCURACY, observed, occasion, pair, sums


def fleet(devices=50, canaries=5, harm=0.0, windows=8, seed=1):
    rng = np.random.default_rng(seed)
    means = np.clip(0.9 + 0.04 * rng.standard_normal((devices, 1)), 0.5, 0.99)
    opened = np.arange(devices) < canaries
    before = rng.binomial(100, np.repeat(means, 16, 1)) / 100
    now = rng.binomial(100, np.repeat(means - harm * opened[:, None], windows, 1)) / 100
    return observed(before, now), opened


def found(harm, quantity=ACCURACY, **at):
    devices, opened = fleet(harm=harm)
    return compare.compare([pair(devices, opened, quantity)], quantity, occasion(**at))


def test_harm_beyond_the_margin_fails_with_estimate_interval_and_p_values():
    verdict = found(0.1)
    assert verdict.word == FAIL
    assert (verdict.canaries, verdict.controls) == (5, 45)
    assert verdict.margin < verdict.low < verdict.harm < verdict.high
    assert verdict.harm == pytest.approx(0.1, abs=0.03)
    assert verdict.t_p <= verdict.level
    assert verdict.permutation_p <= verdict.level
    assert verdict.reason.startswith("accuracy: harm 0.0959 (0.08 to 0.112); ")
    assert verdict.reason.endswith("5 canaries, 45 controls; the margin is 0.02")


def test_proven_harm_within_the_margin_does_not_fail():
    assert found(0.1, ACCURACY._replace(margin=0.2)).word == PASS
    assert found(0.1, ACCURACY._replace(margin=0.0)).word == FAIL


def test_harm_proven_beyond_the_margin_fails_also_where_a_stage_allows_three():
    verdict = found(0.06, ACCURACY._replace(margin=0.03), allowance=3)
    assert verdict.word == FAIL
    assert verdict.margin < verdict.harm < verdict.high < verdict.allowed


def test_no_harm_passes_an_early_stage_and_needs_more_canaries_in_the_last():
    assert found(0.0, allowance=3).word == PASS
    verdict = found(0.0, ACCURACY._replace(margin=0.01), allowance=1)
    assert verdict.word == INCONCLUSIVE
    assert verdict.need.canaries > 0
    assert f"it needs {verdict.need.canaries} more canaries" in verdict.reason


def test_so_many_canaries_more_and_it_passes():
    quantity = ACCURACY._replace(margin=0.012)
    passed, asked = 0, 0
    for seed in range(30):
        devices, opened = fleet(200, 6, seed=seed)
        verdict = compare.compare([pair(devices, opened, quantity)], quantity, occasion())
        if verdict.word != INCONCLUSIVE or verdict.need.canaries is None or verdict.harm > 0.006:
            continue
        asked += 1
        more, opened = fleet(200, 6 + verdict.need.canaries, seed=seed + 100)
        passed += compare.compare([pair(more, opened, quantity)], quantity, occasion()).word == PASS
    assert asked >= 10
    assert passed >= asked / 4  # half of the later estimates are above the first one


def test_margin_below_the_estimate_is_beyond_any_number_of_canaries():
    verdict = found(0.02, ACCURACY._replace(margin=0.001))
    assert verdict.need == (None, None)
    assert "cannot prove" in verdict.reason


def test_quantity_that_may_not_fail_holds_and_does_not_pass():
    careful = ACCURACY._replace(may_fail=False)
    assert found(0.1, careful).word == HOLD
    assert found(0.0, careful, allowance=3).word == INCONCLUSIVE


def test_arm_without_a_window_is_inconclusive_with_the_numbers():
    devices, _ = fleet()
    nobody = made_arm([], ACCURACY, Frozen(0, 0))
    everybody = made_arm(devices, ACCURACY, Frozen(0, 0))
    for arms in (Pair(nobody, everybody), Pair(everybody, nobody)):
        verdict = compare.compare([arms], ACCURACY, occasion())
        assert verdict.word == INCONCLUSIVE
        assert "too few" in verdict.reason
        assert verdict.harm is None


def test_one_canary_against_one_control_is_too_few():
    devices, opened = fleet(2, 1)
    verdict = compare.compare([pair(devices, opened, ACCURACY)], ACCURACY, occasion())
    assert verdict.word == INCONCLUSIVE


def test_no_failure_in_few_inferences_is_no_proof():
    """All devices have none, so there is no spread at all."""
    failures = Quantity("failures", SHARE, False, margin=0.001)
    few, many = ([sums(n, 0)] * 20 for n in (10, 10_000))
    opened = [True] * 5 + [False] * 15
    assert compare.compare([pair(few, opened, failures)], failures, occasion()).word == INCONCLUSIVE
    assert compare.compare([pair(many, opened, failures)], failures, occasion()).word == PASS


@pytest.mark.parametrize("targets", [1, 4])
def test_one_canary_with_very_many_inferences_is_no_proof_for_the_others(targets):
    failures, opened = Quantity("failures", SHARE, False, margin=0.001), [True] * 3 + [False] * 17
    arms = [pair([sums(10, 0)] * 20, opened, failures)] * (targets - 1)
    arms.append(
        pair([sums(10**9, 0), *[sums(10, 0)] * 2, *[sums(10**6, 0)] * 17], opened, failures)
    )
    assert compare.compare(arms, failures, occasion()).word == INCONCLUSIVE


def test_a_failure_in_each_canary_of_few_inferences_is_no_proof_of_harm():
    """Only one control has some: devices that are nearly alike have next to no spread."""
    failures, opened = Quantity("failures", SHARE, False, margin=0.0), [True] * 3 + [False] * 9
    for labels, word in ((50, INCONCLUSIVE), (10_000, FAIL)):
        shares = (0.02, 0.02, 0.02, 0.019, *[0.0] * 8)
        arms = [pair([sums(labels, labels * share) for share in shares], opened, failures)]
        assert compare.compare(arms, failures, occasion()).word == word


@pytest.mark.parametrize("devices", [50, 500])
def test_one_device_among_others_that_are_alike_does_not_fail_a_release(devices):
    """By chance it is among the canaries: broken, or lying about its power."""
    power = Quantity("power_mw", NUMBER, False, margin=20)
    opened = [True] * 3 + [False] * (devices - 3)
    for bad, word in ((1, INCONCLUSIVE), (3, FAIL)):
        numbers = [sums(10, 1e10 + n) for n in range(bad)] + [sums(10, 3100)] * (devices - bad)
        verdict = compare.compare([pair(numbers, opened, power)], power, occasion())
        assert verdict.t_p <= verdict.level
        assert verdict.word == word


def test_equal_numbers_without_counts_are_no_proof():
    power = Quantity("power_mw", NUMBER, False, margin=20)
    devices, opened = [sums(10, 3100)] * 20, [True] * 5 + [False] * 15
    assert compare.compare([pair(devices, opened, power)], power, occasion()).word == INCONCLUSIVE


@pytest.mark.parametrize(("higher_is_better", "harm"), [(False, 0.25), (True, -0.25)])
def test_harm_of_a_ratio_is_relative(higher_is_better, harm):
    """Canaries take 10 ms, controls 8: as latency a quarter worse, as a yield a quarter better."""
    quantity = Quantity("latency", RATIO, higher_is_better, margin=0.2)
    devices = [sums(1, math.log(10 + x)) for x in (-0.1, 0, 0.1)]
    devices += [sums(1, math.log(8 + x)) for x in (-0.1, 0, 0.1)]
    verdict = compare.compare(
        [pair(devices, [True] * 3 + [False] * 3, quantity)], quantity, occasion()
    )
    assert verdict.harm == pytest.approx(harm, abs=0.01)
    assert verdict.word == (FAIL if harm > 0 else PASS)


@pytest.mark.parametrize(("canaries", "is_needed"), [(99, True), (100, False)])
def test_many_devices_are_judged_without_a_permutation(canaries, is_needed):
    devices, opened = fleet(250, canaries, harm=0.1)
    verdict = compare.compare([pair(devices, opened, ACCURACY)], ACCURACY, occasion())
    assert (verdict.word, verdict.permutation_p is not None) == (FAIL, is_needed)


def test_error_that_all_canaries_share_widens_the_interval():
    devices, opened = fleet(harm=0.1)
    arms = [pair(devices, opened, ACCURACY)]
    alone = compare.compare(arms, ACCURACY, occasion())
    shared = compare.compare(arms, ACCURACY, occasion(), common_error=0.1)
    assert shared.high - shared.low > 2 * (alone.high - alone.low)
    assert (alone.word, shared.word) == (FAIL, INCONCLUSIVE)


@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from([0.0, 0.05, 0.1]))
def test_order_of_devices_does_not_matter(chance, harm):
    devices, opened = fleet(30, 6, harm)
    rows = list(zip(devices, opened, strict=True))
    before = levels.judge({"a": pair(devices, opened, ACCURACY)}, ACCURACY, occasion())
    chance.shuffle(rows)
    again = pair([row[0] for row in rows], [row[1] for row in rows], ACCURACY)
    assert levels.judge({"a": again}, ACCURACY, occasion()) == before


def test_harm_within_the_margin_needs_no_permutation_however_certain_it_is():
    verdict = found(0.1, ACCURACY._replace(margin=0.2))
    assert verdict.t_p <= verdict.level
    assert (verdict.word, verdict.permutation_p) == (PASS, None)


def numbers(canaries, controls):
    """One target of devices with these numbers, on a scale of its own."""
    frozen = Frozen(0.0, 0.0)
    arms = (made_arm([sums(1, n) for n in side], POWER, frozen) for side in (canaries, controls))
    return [Pair(*arms)]


POWER = Quantity("power", NUMBER, higher_is_better=True, margin=1.0)


def test_harm_of_exactly_the_margin_does_not_fail_and_needs_no_permutation():
    pairs = numbers([0.0, 0.25, -0.25] * 4, [1.0, 1.25, 0.75] * 10)
    verdict = compare.compare(pairs, POWER, occasion())
    assert (verdict.harm, verdict.word, verdict.permutation_p) == (1.0, INCONCLUSIVE, None)
    assert verdict.t_p < verdict.level
    beyond = compare.compare(pairs, POWER._replace(margin=0.99), occasion())
    assert (beyond.word, beyond.permutation_p) == (FAIL, pytest.approx(0, abs=0.001))


def test_a_p_value_of_exactly_the_level_is_proof_if_the_permutation_says_so_too():
    pairs = numbers([0.0, 0.5, 1.0, 1.5], [1.5, 2.0, 2.5, 3.0, 3.5])
    quantity = POWER._replace(margin=0.5)
    p = compare.compare(pairs, quantity, occasion()).t_p
    budget = occasion().budget._replace(stages=1, looks=1, alpha=p)
    verdict = compare.compare(pairs, quantity, occasion()._replace(budget=budget))
    assert verdict.t_p == verdict.level
    assert p < verdict.permutation_p  # 2 of 126 choices
    assert verdict.word == INCONCLUSIVE
    apart = numbers([0.0, 0.5, 1.0, 1.5], [1.75, 2.0, 2.5, 3.0, 3.5])
    p = compare.compare(apart, quantity, occasion()).t_p
    budget = budget._replace(alpha=p)
    assert compare.compare(apart, quantity, occasion()._replace(budget=budget)).word == FAIL


def test_a_bound_of_exactly_what_is_allowed_passes():
    pairs = numbers([0.0, 0.25, 0.5], [0.25, 0.5, 0.0, 0.25])
    high = compare.compare(pairs, POWER, occasion()).high
    assert compare.compare(pairs, POWER._replace(margin=high), occasion()).word == PASS
    below = POWER._replace(margin=math.nextafter(high, 0))
    assert compare.compare(pairs, below, occasion()).word == INCONCLUSIVE


def test_two_margins_are_said_where_a_stage_allows_them():
    assert found(0.0, allowance=2).reason.endswith("the margin is 0.02, in this stage 0.04")


def test_devices_that_are_alike_have_the_error_of_counting_in_both_arms():
    frozen = Frozen(0.0, 0.0)
    pairs = [
        Pair(
            made_arm([sums(10, 8)] * 4, ACCURACY, frozen),
            made_arm([sums(1000, 900)] * 6, ACCURACY, frozen),
        )
    ]
    verdict = compare.compare(pairs, ACCURACY, occasion(number=3))
    harm = SHARE.bend(0.9) - SHARE.bend(0.8)
    error = math.sqrt(0.25 / 40 + 0.25 / 6000)
    assert verdict.t_p == pytest.approx(stats.t.sf(harm / error, 8))
    shown = math.sqrt(counting_variance(40, 32) + counting_variance(6000, 5400))
    assert verdict.high - verdict.harm == pytest.approx(
        stats.t.isf(occasion(number=3).to_pass, 8) * shown
    )


@pytest.mark.parametrize("scale", [SHARE, NUMBER])
def test_what_of_the_variance_is_counting_is_known_of_shares_only(scale):
    quantity = ACCURACY._replace(scale=scale, margin=0.1)
    frozen, chance = Frozen(0.0, 0.0), np.random.default_rng(6)
    shares = 0.85 + 0.07 * chance.standard_normal(12)
    arms = [
        made_arm([sums(10, 10 * s) for s in side], quantity, frozen)
        for side in (shares[:4], shares[4:])
    ]
    verdict = compare.compare([Pair(*arms)], quantity, occasion(windows=3))
    assert verdict.word == INCONCLUSIVE
    noise = 4 * counting_variance(40, 10 * sum(shares[:4])) if scale is SHARE else None
    tail = occasion().to_pass
    error = (verdict.high - verdict.harm) / stats.t.isf(tail, 10)
    room = 0.1 - verdict.harm
    needed = needs.need(needs.Arms(4, 8, error, 10), room, tail, 3, noise)
    assert verdict.need == needed
    assert (needed.windows is not None) == (scale is SHARE)
