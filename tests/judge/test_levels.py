"""All devices and each target: strata, shares of the error, words."""

import numpy as np
import pytest

from modelwave_controller.judge import compare, contrast, levels
from modelwave_controller.judge.verdicts import FAIL, INCONCLUSIVE, PASS
from tests.judge.building import ACCURACY, observed, occasion, pair


def target(level=0.9, harm=0.0, devices=100, canaries=10, seed=1):
    rng = np.random.default_rng(seed)
    means = np.clip(level + 0.03 * rng.standard_normal((devices, 1)), 0, 1)
    opened = np.arange(devices) < canaries
    before = rng.binomial(100, np.repeat(means, 16, 1)) / 100
    now = rng.binomial(100, np.clip(np.repeat(means - harm * opened[:, None], 8, 1), 0, 1)) / 100
    return pair(observed(before, now), opened, ACCURACY)


def test_one_bad_target_among_good_ones_fails_by_its_name():
    pairs = {f"board{n}": target(seed=n) for n in range(9)} | {"poor": target(harm=0.1, seed=99)}
    judged = levels.judge(pairs, ACCURACY, occasion())
    assert judged.targets["poor"].word == FAIL
    assert [word for name, (word, *_) in judged.targets.items() if word == FAIL] == [FAIL]
    assert judged.word == FAIL
    assert judged.reason.startswith("poor: ") or judged.whole.word == FAIL


def test_error_is_halved_and_divided_among_the_targets():
    pairs = {f"board{n}": target(seed=n) for n in range(4)}
    judged = levels.judge(pairs, ACCURACY, occasion())
    whole = occasion().to_fail
    assert judged.whole.level == pytest.approx(whole / 2)
    assert [v.level for v in judged.targets.values()] == pytest.approx([whole / 8] * 4)


def test_one_target_has_all_of_the_error():
    judged = levels.judge({"only": target()}, ACCURACY, occasion())
    assert judged.whole.level == occasion().to_fail
    assert judged.targets == {}


def test_targets_that_differ_are_compared_within_themselves():
    """More canaries are of the poor kind of board: pooled, a good release would look bad."""
    pairs = {"good": target(0.95, canaries=5), "poor": target(0.6, canaries=60, seed=2)}
    judged = levels.judge(pairs, ACCURACY._replace(margin=0.02), occasion())
    assert abs(judged.whole.harm) < 0.01
    assert judged.word == PASS


def test_target_without_canaries_is_named_and_does_not_stop_a_pass():
    pairs = {"opened": target(), "later": target(canaries=0, seed=2)}
    judged = levels.judge(pairs, ACCURACY, occasion())
    assert judged.targets["later"].word == INCONCLUSIVE
    assert judged.word == PASS


def test_common_effect_is_the_least_squares_estimate_with_a_mean_for_each_target():
    rng = np.random.default_rng(4)
    groups = [(rng.normal(m, 1, a), rng.normal(m, 1, b)) for m, a, b in ((0, 3, 9), (5, 4, 20))]
    rows, values = [], []
    for number, (ours, others) in enumerate(groups):
        for value, canary in [*((v, 1) for v in ours), *((v, 0) for v in others)]:
            rows.append([canary, number == 0, number == 1])
            values.append(value)
    matrix = np.array(rows, float)
    effect, residual, *_ = np.linalg.lstsq(matrix, np.array(values), rcond=None)
    free = len(values) - 3
    found = contrast.contrast([(a.tolist(), b.tolist()) for a, b in groups])
    assert found.harm == pytest.approx(-effect[0])
    # one variance: that of the residuals, here of each arm and target around its own mean
    squares = sum(((a - a.mean()) ** 2).sum() + ((b - b.mean()) ** 2).sum() for a, b in groups)
    scale = np.sqrt(squares / (free - 1) * np.linalg.inv(matrix.T @ matrix)[0, 0])
    assert found.error == pytest.approx(scale)
    assert squares <= residual[0]


def test_permutation_keeps_the_number_of_canaries_of_each_target():
    """With one canary a target there are 4 x 3 choices of the two."""
    groups = [([0.0], [1.0, 2.0, 3.0]), ([10.0], [11.0, 12.0])]
    rarity = compare.rarity(groups, 1)
    assert rarity.p == pytest.approx(1 / 12)
    assert rarity.extreme


def test_a_table_of_few_examples_weighs_by_the_devices_of_its_target():
    """Both targets' estimates err by as much as their tables do; all together by the mean."""
    pairs = {"few": target(0.9, canaries=3, seed=1), "many": target(0.8, canaries=30, seed=2)}
    errors = {"few": 0.2, "many": 0.0}
    without = levels.judge(pairs, ACCURACY, occasion())
    judged = levels.judge(pairs, ACCURACY, occasion(), errors)
    width = {name: one.high - one.low for name, one in judged.targets.items()}
    assert width["few"] > 2 * (without.targets["few"].high - without.targets["few"].low)
    assert judged.targets["many"] == without.targets["many"]
    wider = (judged.whole.high - judged.whole.low) - (without.whole.high - without.whole.low)
    assert 0 < wider < width["few"] / 4
