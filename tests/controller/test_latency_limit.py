"""Tests of the limit of latency that a release signs, and of the gate about inferences above it."""

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from observing_fleet import LABELS, NEW, WINDOW, ObservingFleet, judging
from rollout_world import World, manifest, newest, seen

from modelwave_controller.errors import OperatorError
from modelwave_controller.releases import latency_limit
from modelwave_controller.rollout.plan import make_plan
from modelwave_controller.rollout.state import FINISHED, HELD

SHARE, DIFFERENCE = "over(latency_ms) <= 0.1", "over(latency_ms) <= baseline + 0.05"


@pytest.fixture
def dozen(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=12)) as made:
        yield made


def signed(limit_us: int) -> dict[str, Any]:
    return {"extra": latency_limit.recorded(limit_us)} if limit_us else {}


def judged(world: World, gate: str, slow: float, counting: bool = True, old: int = 50_000) -> str:
    """The status of a rollout; the old release has 3 % of slow inferences."""
    chance, fleet = random.Random(1), ObservingFleet(world)

    def measured(release: int) -> dict[str, Any]:
        share = slow if release == NEW else 0.03
        over = sum(chance.random() < share for _ in range(LABELS))
        counted = {"over": [over, LABELS]} if counting else {}
        return {"latency": {"bins": [8, LABELS], "log": 3_500_000} | counted}

    fleet.extra, fleet.signed = measured, signed(50_000)
    fleet.bring_old(**signed(old))
    plan = judging(gate, stages=(50, 100))
    first = plan.stages[0].model_copy(update={"soak_seconds": 4 * WINDOW})
    last = plan.stages[1]
    fleet.begin(plan.model_copy(update={"stages": (first, last)}), before=4)
    found = fleet.run(20)
    return "reverted" if found.back else found.status


@pytest.mark.parametrize("gate", [SHARE, DIFFERENCE])
def test_more_inferences_above_the_limit_are_a_fail_and_as_many_pass(
    tmp_path: Path, gate: str
) -> None:
    for slow, wanted in ((0.3, "reverted"), (0.03, FINISHED)):
        with closing(World(tmp_path / wanted, devices=12)) as world:
            assert judged(world, gate, slow) == wanted
            row = next(row for row in seen(world).judged if row.gate == gate)
            assert row.verdict == ("FAIL" if wanted == "reverted" else "PASS")


def test_agents_that_do_not_count_against_a_limit_hold_with_the_remedy(dozen: World) -> None:
    assert judged(dozen, DIFFERENCE, 0.3, counting=False) == HELD
    assert "it needs agents that count against a limit" in newest(dozen).reason


def test_a_fixed_limit_needs_none_of_the_release_before(dozen: World) -> None:
    assert judged(dozen, SHARE, 0.03, old=0) == FINISHED


@pytest.mark.parametrize(
    ("gate", "old", "new", "told"),
    [
        (SHARE, 50_000, 0, "release 2 of digits for linux-cpu has no limit of latency: sign one"),
        (DIFFERENCE, 0, 50_000, "release 1 of digits for linux-cpu has no limit of latency: sign"),
        (
            DIFFERENCE,
            20_500,
            50_000,
            "release 2 of digits for linux-cpu has a limit of 50 ms, and release 1 of digits for "
            "linux-cpu one of 20.5 ms: sign the same one, or give a fixed limit",
        ),
    ],
)
def test_releases_that_cannot_be_compared_are_refused_at_the_start(
    dozen: World, gate: str, old: int, new: int, told: str
) -> None:
    ObservingFleet(dozen).bring_old(**signed(old))
    with pytest.raises(OperatorError) as error:
        dozen.start(NEW, judging(gate), **signed(new))
    assert f'--plan: "{gate}" cannot be judged: {told}' in str(error.value)


def test_a_last_stage_may_have_it_as_a_limit() -> None:
    assert [gate.text for gate in make_plan({"gates": [SHARE]}).gates_of(3)] == [SHARE]


@pytest.mark.parametrize(
    ("ms", "us"), [(50, 50_000), (0.001, 1), (0.25, 250), (3_600_000, 3_600_000_000)]
)
def test_limit_is_given_in_milliseconds_and_signed_in_microseconds(ms: float, us: int) -> None:
    assert latency_limit.microseconds(ms) == us
    assert latency_limit.of_manifest(manifest(1, **signed(us))) == us


@pytest.mark.parametrize("ms", [0, -1, 0.0001, 3_600_001, float("nan"), float("inf")])
def test_limit_that_is_none_is_refused(ms: float) -> None:
    with pytest.raises(OperatorError, match=r"--latency-limit: .* milliseconds"):
        latency_limit.microseconds(ms)


@pytest.mark.parametrize("value", [0, -1, True, "50", [50], 2**53])
def test_what_is_no_limit_in_a_manifest_is_none(value: object) -> None:
    assert latency_limit.of_manifest({"extra": {"latency_limit_us": value}}) == 0
    assert latency_limit.of_manifest({}) == 0
