"""The simulated fleets of `modelwave simulate judge` against those of `make judge`, and SciPy."""

from random import Random

import numpy as np
import pytest
from scipy import stats

from modelwave_controller.evidence import fleets, simulated
from modelwave_controller.evidence.fleets import Drift, SimulatedTarget, World
from modelwave_controller.evidence.simulated import FURTHER_LOOKS, Rollout
from modelwave_controller.judge.devices import SHARE, Quantity, arm
from modelwave_controller.judge.verdicts import FAIL, INCONCLUSIVE, PASS
from modelwave_controller.rollout.plan import make_plan
from tests.judge import worlds
from tests.judge.rollouts import Fleet, Plan, play, sizes

PERCENTS = (1, 10, 50, 100)
QUARTER = 900  # seconds: a window


def plan(percents=PERCENTS, soak=8, **settings):
    """A plan with the looks of `make judge`: 4 quantities, with silence."""
    stages = [{"percent": percent, "soak_seconds": soak * QUARTER} for percent in percents]
    return make_plan({"stages": stages} | settings)


@pytest.mark.parametrize(
    ("labels", "share"), [(1, 0.3), (25, 0.97), (100, 0.9), (100, 0.1), (800, 0.9)]
)
def test_right_ones_of_few_and_of_many_labels_are_binomial(labels, share):
    chance = Random(1)
    drawn = np.array([fleets.right_of(chance, labels, share) for _ in range(4000)])
    wanted = stats.binom(labels, share)
    assert ((drawn >= 0) & (drawn <= labels) & (drawn == drawn.round())).all()
    assert abs(drawn.mean() - wanted.mean()) < 4 * wanted.std() / 4000**0.5
    assert drawn.var() == pytest.approx(wanted.var(), rel=0.12)
    least = int(wanted.ppf(0.05))
    assert np.mean(drawn <= least) == pytest.approx(wanted.cdf(least), abs=0.02)


def test_drift_of_several_windows_is_the_mean_of_each():
    drift = Drift(Random(2), 40)
    each = [drift.mean(window, 1) for window in range(40)]
    for first, windows in ((0, 16), (16, 1), (17, 5), (0, 40), (30, 10)):
        assert drift.mean(first, windows) == pytest.approx(np.mean(each[first : first + windows]))
    assert max(each) - min(each) > 0.05
    same = drift.phase, drift.shock
    assert 0 <= same[0] < 2 * np.pi
    assert 0 <= same[1] < 40


@pytest.mark.parametrize("before", [0, 1, 16])
def test_arms_that_a_fleet_makes_at_once_are_those_of_the_product(before):
    chance, quantity = Random(3), Quantity("accuracy", SHARE, True, 0.02)
    fleet = SimulatedTarget(chance, World({"": 30}, before=before), 30, Drift(chance, 40))
    fleet.observe(before, 4, 10, harm=0.05)
    devices = fleet.observed()
    slow = [arm(part, quantity, fleet.frozen) for part in (devices[:10], devices[10:])]
    for one, other in zip(fleet.pair(10), slow, strict=True):
        assert one.z == pytest.approx(other.z)
        assert one.raw == pytest.approx(other.raw)
        assert one.counted == pytest.approx(other.counted)


def test_stages_open_what_the_product_opens():
    assert [s[""] for s in simulated.opened(plan(), {"": 10_000})] == [100, 1000, 5000, 10_000]
    assert [s[""] for s in simulated.opened(plan(), {"": 50})] == [*sizes(50), 50]
    two = simulated.opened(plan((10, 100)), {"a": 500, "b": 12})
    assert two == [{"a": 50, "b": 3}, {"a": 500, "b": 12}]


def test_canaries_by_name_are_opened_first():
    rows = [{"devices": ["d1", "d2"]}, {"tags": ["canary"]}, {"percent": 10}, {"percent": 100}]
    found = simulated.opened(make_plan({"stages": rows}), {"a": 20, "b": 100})
    assert found == [{"a": 0, "b": 2}, {"a": 0, "b": 5}, {"a": 3, "b": 10}, {"a": 20, "b": 100}]


def agree(ours, theirs, word):
    """Whether two numbers of rollouts that ended so differ by no more than chance explains."""
    counts = [sum(one.ended.word == word for one in them) for them in (ours, theirs)]
    rows = [[count, len(them) - count] for count, them in zip(counts, (ours, theirs), strict=True)]
    return stats.fisher_exact(rows).pvalue > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("harm", [0.0, 0.02, 0.05])
@pytest.mark.parametrize(("devices", "end"), [(12, "hold"), (50, "hold"), (50, "go on")])
def test_rollouts_end_as_those_of_make_judge_do(devices, end, harm):
    """The same world, and the same plan; the windows are drawn one by one there."""
    runs, settings, holds = 60, {"judge": {"inconclusive": end}}, end == "hold"
    of_product = [
        Rollout(plan(**settings), World({"": devices}), harm, f"{n}").play() for n in range(runs)
    ]
    further = FURTHER_LOOKS if holds else 0
    theirs = Plan(devices, quantities=4, margin=0.02, goes_on=not holds, extensions=further)
    rng = np.random.default_rng(devices)
    of_numpy = [play(Fleet(rng, theirs, worlds.World(), harm)) for _ in range(runs)]
    for word in (PASS, FAIL, INCONCLUSIVE):
        assert agree(of_product, of_numpy, word)
    shares = [[one.open for one in them] for them in (of_product, of_numpy)]
    error = np.sqrt(sum(np.var(them) for them in shares) / runs)
    assert abs(np.mean(shares[0]) - np.mean(shares[1])) <= 4 * error + 1e-9


def test_world_of_both_is_the_same():
    world = World({})
    assert (world.labels, world.spread, world.before) == (
        worlds.LABELS,
        worlds.SPREAD,
        worlds.BEFORE,
    )
    assert world.most_right == pytest.approx(0.99)


def test_plan_without_a_gate_about_accuracy_gets_the_default_one():
    chosen, added = simulated.with_accuracy(plan(gates=["failures <= 0.001"]))
    assert added == "accuracy >= baseline - 0.02"
    assert [gate.text for gate in chosen.gates_of(0)] == ["failures <= 0.001", added]
    for named in ({}, {"gates": ["accuracy >= 0.8"]}):
        assert simulated.with_accuracy(plan(**named)) == (plan(**named), "")


def test_gate_that_is_a_limit_is_judged_as_one_also_in_the_last_stage():
    limit = plan((50, 100), 4, gates=["accuracy >= 0.8"])
    good = Rollout(limit, World({"": 40}), 0.0, "1").play()
    bad = Rollout(limit, World({"": 40}), 0.3, "1").play()
    assert (good.ended.word, good.ended.stage) == (PASS, 1)
    assert (bad.ended.word, bad.ended.stage, bad.open) == (FAIL, 0, 0.5)


def test_harm_in_two_targets_is_found_and_a_good_release_finishes():
    world = World({"a": 60, "b": 20})
    wide = plan((20, 100), 4, gates=["accuracy >= baseline - 0.05"])
    assert Rollout(wide, world, 0.0, "1").play().ended.word == PASS
    assert Rollout(wide, world, 0.2, "1").play().ended.word == FAIL


def test_what_still_holds_after_the_further_looks_is_held():
    blind = plan((50, 100), 4, gates=["accuracy >= baseline - 0.0001"])
    held = Rollout(blind, World({"": 12}), 0.0, "1").play()
    assert (held.ended.word, held.ended.windows, held.open) == (INCONCLUSIVE, 16, 0.5)


def test_equal_seeds_give_equal_rollouts():
    def ends(seed):
        fleet = World({"": 20})
        return [Rollout(plan(), fleet, 0.05, f"{seed} {n}").play() for n in range(5)]

    assert ends(1) == ends(1)
    assert ends(1) != ends(2)
