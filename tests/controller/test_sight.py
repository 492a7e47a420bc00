"""Tests that a start says what harm its stages see, and refuses a margin that they cannot judge."""

import random
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from observing_fleet import LABELS, NEW, WINDOW, ObservingFleet
from rollout_commands import Run, commands
from rollout_world import World

from modelwave_controller.operations import sight
from modelwave_controller.rollout.plan import DEFAULT_GATES
from modelwave_controller.rollout.planned_gates import parse_gate

DRY = ("rollout", "start", "digits", str(NEW), "--dry-run")
START = DRY[:-1]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A dozen devices, and a release that they could take."""
    with closing(World(tmp_path, devices=12)) as made:
        made.tick()
        made.shelve(NEW)
        yield made


@pytest.fixture
def run(world: World, capsys: pytest.CaptureFixture[str]) -> Run:
    return commands(world, capsys)


def observed(world: World, extra: Callable[[int], dict[str, Any]] = lambda _: {}) -> None:
    """Each device sends 16 windows of the release before."""
    fleet = ObservingFleet(world)
    fleet.extra = extra
    for window in range(16, 0, -1):
        fleet.observe(age=(window - 1) * WINDOW + 1)
    world.now += 1
    world.tick()


def plan(tmp_path: Path, *gates: str, more: str = "", stages: str = "25, 50, 100") -> list[str]:
    """The options of a plan whose stages with controls are looked at for 8 windows."""
    soaks = [f'{{ percent = {p}, soak = "8m" }}' for p in stages.split(", ")]
    file = tmp_path / "plan.toml"
    named = f"gates = {list(gates)}\n" if gates else ""
    judge = f'judge = {{ window = "1m", grace = "10s"{more} }}\ntrial = {{ time = "1s" }}\n'
    file.write_text(named + judge + f"stages = [{', '.join(soaks)}]")
    return ["--plan", str(file)]


def accuracy(margin: float) -> str:
    return f"accuracy >= baseline - {margin}"


def test_a_margin_that_a_stage_cannot_judge_is_refused_with_the_one_that_it_can(
    world: World, run: Run, tmp_path: Path
) -> None:
    observed(world)
    narrow = plan(tmp_path, accuracy(0.01))
    for command in (DRY, START):
        refused = run(*command, *narrow)
        assert refused.code == 2
        assert 'stage 1 (25 %) cannot judge "accuracy >= baseline - 0.01"' in refused.err
        assert "its 3 canaries and 9 controls" in refused.err
        for remedy in ("more devices", "longer soak", '"go on"', "--accept-blind REASON"):
            assert remedy in refused.err
    assert world.state().rollouts == {}
    least = re.search(r"a margin of at least ([\d.]+)", refused.err)
    assert least is not None
    assert 0.01 < float(least[1]) < 0.05
    assert run(*DRY, *plan(tmp_path, accuracy(float(least[1])))).code == 0
    assert run(*DRY, *plan(tmp_path, accuracy(round(0.9 * float(least[1]), 4)))).code == 2


def test_dry_run_shows_what_each_stage_sees_also_for_programs(
    world: World, run: Run, tmp_path: Path
) -> None:
    observed(world)
    options = plan(tmp_path, accuracy(0.05), "failures <= 0.01")
    first, second = run(*DRY, *options, "--json").json()["sees"]
    assert (first["stage"], first["canaries"], first["controls"]) == (0, 3, 9)
    assert (second["stage"], second["canaries"], second["controls"]) == (1, 6, 6)
    assert (first["allowed"], second["allowed"]) == (pytest.approx(0.1), 0.05)
    assert 0.05 < second["smallest_harm"] < first["smallest_harm"] < 0.15
    assert 0 < second["smallest_margin"] < first["smallest_margin"] < 0.05
    assert first["passes"] > 0.9
    shown = run(*DRY, *options).out
    row = next(line for line in shown.splitlines() if line.startswith("2 (50 %)  accuracy"))
    for number in (second["smallest_harm"], second["smallest_margin"], 0.05):
        assert f"{number:.3g}" in row.split()


def test_operator_who_accepts_it_starts_it_and_the_log_keeps_why(
    world: World, run: Run, tmp_path: Path
) -> None:
    observed(world)
    narrow = plan(tmp_path, accuracy(0.01))
    why = "we look at each picture"
    assert run(*START, *narrow, "--accept-blind", " ").code == 2
    shown = run(*DRY, *narrow, "--accept-blind", why)
    assert shown.code == 0
    assert f"--accept-blind '{why}'" in shown.out.splitlines()[-1]
    assert run(*START, *narrow, "--accept-blind", why).code == 0
    assert world.state().rollouts[1].created.accept_blind == why
    assert f"a gate that it cannot judge: {why}" in run("rollout", "log", "1").out


def test_plan_that_goes_on_and_gates_that_nobody_named_are_not_refused(
    world: World, run: Run, tmp_path: Path
) -> None:
    observed(world)
    shown = run(*DRY, *plan(tmp_path, accuracy(0.01), more=', inconclusive = "go on"'))
    assert shown.code == 0
    assert "else INCONCLUSIVE, which goes on" in shown.out
    seen = run(*DRY, *plan(tmp_path), "--json").json()["sees"]
    assert {one["gate"] for one in seen} == {g for g in DEFAULT_GATES if parse_gate(g).may_fail}
    assert not any(one["blind"] for one in seen)


def test_of_what_nobody_measures_nothing_is_said_and_nothing_refused(
    world: World, run: Run, tmp_path: Path
) -> None:
    options = plan(tmp_path, accuracy(0.001))
    shown = run(*DRY, *options)
    assert shown.code == 0
    words = (
        "accuracy >= baseline - 0.001, stage 1, 2: nobody measures it yet, so nothing can be said"
    )
    assert words in shown.out
    assert run(*START, *options).code == 0


def test_stage_that_leaves_no_controls_is_refused(world: World, run: Run, tmp_path: Path) -> None:
    observed(world)
    refused = run(*DRY, *plan(tmp_path, accuracy(0.2), stages="99, 100"))
    assert refused.code == 2
    assert "12 canaries and 0 controls that measure it are too few to compare" in refused.err


def test_canaries_that_would_reject_the_release_are_not_counted(
    world: World, run: Run, tmp_path: Path
) -> None:
    observed(world)
    for device in list(world.devices.values())[:6]:
        world.inbox.put(
            f"modelwave/1/meadow/reported/{device.name}",
            device.report(free={"flash": 1, "ram": 9**9}),
        )
    world.hear([])
    seen = run(*DRY, *plan(tmp_path, accuracy(0.2), stages="99, 100"), "--json")
    assert '"canaries": 6' in seen.out


@pytest.mark.parametrize(
    ("gate", "allowed"),
    [
        ("p95(latency_ms) <= 1.2 * baseline", (0.05, 0.4)),  # of inferences above an edge
        ("mean(latency_ms) <= 1.2 * baseline", (0.2, 0.2)),
        ("mean(power_mw) <= baseline + 20", (20, 20)),
    ],
)
def test_other_quantities_are_seen_in_the_units_of_their_gates(
    world: World, run: Run, tmp_path: Path, gate: str, allowed: tuple[float, float]
) -> None:
    chance = random.Random(1)

    def measured(_: int) -> dict[str, Any]:
        slow, power = chance.randrange(15, 25), chance.gauss(300, 5)
        numbers = [LABELS, *(round(1e6 * power * k) for k in (1, 0.01, 0.9, 1.1))]
        return {
            "latency": {"bins": [5, 40, 60 - slow, slow], "log": 1_900_000 + 10_000 * slow},
            "numbers": {"power_mw": numbers},
        }

    observed(world, measured)
    options = plan(tmp_path, gate, stages="50, 100")
    (seen,) = run(*DRY, *options, "--accept-blind", "a test", "--json").json()["sees"]
    assert allowed[0] <= round(seen["allowed"], 9) <= allowed[1]
    assert 0 < seen["smallest_margin"] < seen["smallest_harm"]
    assert seen["allowed"] < seen["smallest_harm"]


def test_numbers_that_do_not_differ_cannot_be_judged(
    world: World, run: Run, tmp_path: Path
) -> None:
    power = [LABELS, *(round(300e6 * k) for k in (1, 0.01, 0.9, 1.1))]
    observed(world, lambda _: {"numbers": {"power_mw": power}})
    refused = run(*DRY, *plan(tmp_path, "mean(power_mw) <= baseline + 20"))
    assert refused.code == 2
    assert "all devices measured the same, which no look can judge" in refused.err


def test_each_target_is_seen_by_itself_too(world: World, run: Run, tmp_path: Path) -> None:
    world.add(8, "rp2040")
    world.shelve(NEW, ("linux-cpu", "rp2040"))
    world.tick()
    observed(world)
    options = plan(tmp_path, accuracy(0.1), stages="50, 100")
    (seen,) = run(*DRY, *options, "--json").json()["sees"]
    assert (seen["canaries"], seen["controls"]) == (10, 10)
    assert set(seen["targets"]) == {"linux-cpu", "rp2040"}
    assert all(harm > seen["smallest_harm"] for harm in seen["targets"].values())


def test_large_fleet_is_judged_by_some_of_its_devices(
    world: World, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    observed(world)
    options = plan(tmp_path, accuracy(0.1), stages="50, 100")
    (every,) = run(*DRY, *options, "--json").json()["sees"]
    monkeypatch.setattr(sight, "LEAST_SAMPLED", 6)
    monkeypatch.setattr(sight, "MAX_SAMPLED", 6)
    (some,) = run(*DRY, *options, "--json").json()["sees"]
    assert (some["canaries"], some["controls"]) == (every["canaries"], every["controls"]) == (6, 6)
    assert some["smallest_margin"] != every["smallest_margin"]
    assert some["smallest_margin"] == pytest.approx(every["smallest_margin"], rel=0.5)
