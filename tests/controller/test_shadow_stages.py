"""Tests of stages in which devices run a release beside the live one, through the real service."""

import io
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from observing_fleet import WINDOW
from rich.console import Console
from rollout_commands import Run
from rollout_world import TARGET, World, newest, quick, seen
from shadow_fleet import SHADOW_WINDOWS, ShadowFleet, shadowing

from modelwave_controller.cli import view
from modelwave_controller.errors import OperatorError
from modelwave_controller.operations import rollouts
from modelwave_controller.rollout import wanted
from modelwave_controller.rollout.events import Expected, Release
from modelwave_controller.rollout.state import (
    ABORTED,
    FINISHED,
    HELD,
    REVERTED,
    RUNNING,
    Rollout,
    State,
    Wanted,
)
from modelwave_controller.storage import floors
from modelwave_controller.storage.answers import NO_SHADOW
from modelwave_shared.limits import SLOTS

AGREES = "agreement >= 0.9"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=12)) as made:
        yield made


def live(world: World) -> ShadowFleet:
    """A fleet on which release 1 is live."""
    world.tick()
    world.start(1, quick(100))
    world.tick()
    world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    assert newest(world).status == FINISHED
    return ShadowFleet(world)


def in_shadow(world: World) -> list[str]:
    ordered = {name: world.ordered(device) for name, device in world.devices.items()}
    return [name for name, order in ordered.items() if order and order["shadow"]]


def finding(rollout: Rollout, gate: str) -> Any:
    return next(f for f in rollout.stages[0].looks[-1].findings if f.gate == gate)


def test_shadow_comes_first_and_then_all_stages_begin_with_no_open_slot(world: World) -> None:
    fleet = live(world)
    fleet.begin(shadowing(AGREES), before=4)
    six = in_shadow(world)
    assert len(six) == 6
    order = world.ordered(world.devices[six[0]])
    assert order is not None
    assert order["extra"]["shadow"]["seconds"] == SHADOW_WINDOWS * WINDOW
    live_ones = {device.models["digits"]["sha256"] for device in world.devices.values()}
    while len(newest(world).stages) == 1:
        fleet.step()
        assert {d.models["digits"]["sha256"] for d in world.devices.values()} == live_ones
        assert newest(world).status == RUNNING
    # The first of the others opens 3 of the same devices; the rest of the six stay SHADOWED.
    assert newest(world).stages[0].verdict == "PASS"
    opened = [name for name in six if name not in in_shadow(world)]
    assert len(opened) == 3
    assert {world.devices[n].models["digits"]["outcome"] for n in six} == {"SHADOWED"}
    found = fleet.run(20)
    assert found.status == FINISHED
    assert in_shadow(world) == []
    assert "12 of 12 devices succeeded" in seen(world).why


def test_agreement_is_judged_and_shown_before_the_first_answer(world: World, run: Run) -> None:
    fleet = live(world)
    fleet.agreed = 88
    fleet.begin(shadowing(AGREES), before=4)
    while not newest(world).stages[0].verdict:
        fleet.step()
    rollout = newest(world)
    found = finding(rollout, AGREES)
    assert (found.verdict, found.canaries, found.controls) == ("PASS", 6, 0)
    assert found.harm == pytest.approx(88 / 90)
    assert found.low < 88 / 90 < found.high
    assert finding(rollout, "failures").verdict == "SHOWN"
    assert finding(rollout, "mean(latency_ms)").harm == pytest.approx(7.389, abs=0.01)
    status = seen(world)
    assert (status.rows[0].name, status.rows[0].shadowed) == ("stage 1 (50 % in shadow)", 6)
    assert "agreement is 0.978" in status.rows[0].reason
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(view.rollout(status))
    text = console.export_text()
    assert "shadowed" in text
    assert "50 % in shadow" in text
    judged = run("rollout", "status", "--json").json()["judged"]
    assert [row["verdict"] for row in judged if row["stage"] == 1] == ["PASS", "SHOWN", "SHOWN"]
    assert "agreement is 0.978" in run("rollout", "report").out


@pytest.mark.parametrize(
    ("gate", "changes"),
    [
        (AGREES, {"shadow": {"compared": 90, "agreed": 60}}),
        ("failures <= 0.01", {"failures": 10, "shadow": {"compared": 90, "agreed": 90}}),
        ("p95(latency_ms) <= 0.5", {}),
        ("mean(latency_ms) <= 5", {}),
    ],
)
def test_a_shadow_that_is_bad_is_reverted_and_no_device_stays_in_shadow(
    world: World, gate: str, changes: dict[str, Any]
) -> None:
    fleet = live(world)
    fleet.shadow_extra = changes
    fleet.begin(shadowing(gate), before=4)
    found = fleet.run(20)
    assert found.back is not None
    assert gate in found.reason
    assert in_shadow(world) == []
    fleet.step()
    assert newest(world).status == REVERTED
    assert {d.models["digits"]["release"] for d in world.devices.values()} == {1}


@pytest.mark.parametrize("gate", ["p95(latency_ms) <= 100", "mean(latency_ms) <= 20"])
def test_limits_of_latency_pass_what_is_fast_enough(world: World, gate: str) -> None:
    fleet = live(world)
    fleet.begin(shadowing(gate), before=4)
    while not newest(world).stages[0].verdict:
        fleet.step()
    assert newest(world).stages[0].verdict == "PASS"


def test_without_a_release_before_what_is_reverted_is_withdrawn(world: World) -> None:
    fleet = ShadowFleet(world, agreed=10)
    fleet.begin(shadowing(AGREES), before=4)
    found = fleet.run(20)
    assert found.back is not None
    assert all(world.ordered(device) is None for device in world.devices.values())


def test_nothing_compared_holds_with_words_and_goes_on_if_the_plan_says_so(tmp_path: Path) -> None:
    for number, word in enumerate(("hold", "go on")):
        with closing(World(tmp_path / str(number), devices=12)) as world:
            fleet = live(world)
            fleet.shadow_extra = {"shadow": {"compared": 0, "agreed": 0}}
            fleet.begin(shadowing(judge={"inconclusive": word}), before=4)
            found = fleet.run(20)
            assert found.status == (HELD if word == "hold" else FINISHED)
            reason = found.reason if word == "hold" else found.stages[0].verdict_reason
            assert "nothing was compared with the live model" in reason


def expecting(world: World, share_ppm: int, n: int) -> Any:
    metrics = {"agreement_ppm": share_ppm, "agreement_n": n}
    lineage = {"dataset": "digits", "metrics": metrics, "quantisation": "int8"}
    return world.release(2, lineage=lineage)


@pytest.mark.parametrize(("agreed", "verdict"), [(88, "PASS"), (87, "INCONCLUSIVE"), (70, "FAIL")])
def test_agreement_is_judged_against_what_the_release_signs(
    world: World, agreed: int, verdict: str
) -> None:
    fleet = live(world)
    fleet.agreed = agreed
    releases = expecting(world, 980_000, 3600)
    request = rollouts.Request("digits", releases, (), shadowing(), 0)
    rollouts.start(world.store, request, world.now)
    assert newest(world).created.expected == {TARGET: Expected(share=0.98, n=3600)}
    world.tick()
    for _ in range(7):
        fleet.step()
    found = finding(newest(world), "agreement >= expected - 0.02")
    assert found.verdict == verdict, found
    assert found.harm == pytest.approx(0.98 - agreed / 90)
    assert "0.98 is expected" in found.reason
    # The default margin is nobody's word: only its FAIL stops the rollout.
    assert (newest(world).back is not None) is (verdict == "FAIL")
    assert newest(world).status != HELD


def test_an_expectation_that_no_release_signs_is_refused_at_the_start(world: World) -> None:
    live(world)
    with pytest.raises(OperatorError, match="signs no agreement; create it with --metric"):
        world.start(2, shadowing("agreement >= expected - 0.01"))


def test_devices_that_cannot_shadow_are_counted_and_hold_or_go_on_trial(tmp_path: Path) -> None:
    with closing(World(tmp_path / "rejected", devices=12)) as world:
        fleet = live(world)
        fleet.outcomes = dict.fromkeys(world.devices, "REJECTED")
        fleet.begin(shadowing(AGREES), before=4)
        assert fleet.run(20).status == HELD
        assert "6 of 6 devices rejected" in seen(world).why
    with closing(World(tmp_path / "trial", devices=12)) as world:
        fleet = live(world)
        fleet.outcomes = dict.fromkeys(world.devices, "SUCCEEDED")
        fleet.begin(shadowing(AGREES), before=4)
        found = fleet.run(20)
        assert found.status == FINISHED
        assert "they went straight on trial" in found.stages[0].verdict_reason
        assert "6 of 6 devices succeeded" in found.stages[0].verdict_reason


def test_an_abort_ends_shadows_and_leaves_no_order_of_them(world: World) -> None:
    fleet = live(world)
    fleet.begin(shadowing(AGREES), before=4)
    before = {str(device.models["digits"]["sha256"]) for device in world.devices.values()}
    rollouts.abort(world.store, "2", "not now", world.now)
    world.tick()
    assert newest(world).status == ABORTED
    assert in_shadow(world) == []
    orders = [world.ordered(device) for device in world.devices.values()]
    assert [order and {order["manifest"]} for order in orders] == [before] * 12
    assert "shadows end" in seen(world).next
    fleet.step()
    assert {d.models["digits"]["outcome"] for d in world.devices.values()} == {"SUCCEEDED"}


def test_a_retry_in_a_shadow_stage_orders_a_shadow(world: World) -> None:
    fleet = live(world)
    fleet.begin(shadowing(AGREES), before=4)
    one = in_shadow(world)[0]
    fleet.outcomes = {one: "FAILED"}
    fleet.step()
    rollouts.retry(world.store, "2", [one], [], "again", world.now)
    world.tick()
    order = world.ordered(world.devices[one])
    assert order is not None
    assert (order["shadow"], order["device"]) == (True, one)
    fleet.outcomes = {}
    while newest(world).status != FINISHED:  # the hold ends when the device has answered
        fleet.step()


def test_orders_that_pass_a_floor_stay_shadow_orders(world: World) -> None:
    fleet = live(world)
    fleet.begin(shadowing(AGREES), before=4)
    six = in_shadow(world)
    with world.store.write() as connection:
        floors.raise_to(connection, "digits", 500, 0)
    world.tick()
    assert in_shadow(world) == six
    order = world.ordered(world.devices[six[0]])
    assert order is not None
    assert order["seq"] > 500


def test_shadowed_without_such_an_order_is_no_success(world: World) -> None:
    live(world)
    world.start(2, quick(100))
    world.tick()
    world.answer("SHADOWED", world.devices.values())
    world.tick()
    assert newest(world).status == RUNNING
    assert {a.reason for a in newest(world).stages[0].answers.values()} == {NO_SHADOW}


def test_a_dry_run_and_lint_show_the_shadow_stage(world: World, run: Run, tmp_path: Path) -> None:
    live(world)
    world.shelve(2)
    start = ("rollout", "start", "digits", "2", "--shadow", "1h", "--stages", "50,100")
    out = run(*start, "--dry-run").out
    assert "1 (50 % in shadow)" in out
    shown = run(*start, "--dry-run", "--json").json()
    assert sum(place["shadow_stage"] == 0 for place in shown["devices"]) == 6
    assert "--shadow" in shown["command"]
    file = tmp_path / "plan.toml"
    file.write_text("[shadow]\n[[stages]]\nshadow = true\npercent = 5\n[[stages]]\npercent = 100\n")
    out = run("rollout", "lint", "--plan", str(file)).out
    assert "stage 1 (5 % in shadow), soak 75m" in out
    assert "judged: agreement >= expected - 0.02" in out
    assert "it holds where nothing was compared" in out


def test_shadow_orders_are_not_put_together_to_one_by_which_the_release_answers() -> None:
    release = Release(release=2, version="v2", manifest="m", envelope="e")
    slots = {slot: Wanted(1 + slot % 2, 1, release) for slot in range(SLOTS)}
    state = State()
    state.desired["digits", TARGET] = slots
    assert [(one.model, one.target) for one in wanted.settled(state)] == [("digits", TARGET)]
    slots[500] = Wanted(3, 1, release, shadow=True)
    assert list(wanted.settled(state)) == []
