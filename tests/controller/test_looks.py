"""Tests that rollouts are judged by the windows that devices send, through the real ingestion."""

import io
import json
import math
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from observing_fleet import LABELS, NEW, WINDOW, ObservingFleet, judging
from rich.console import Console
from rollout_world import World, newest, seen

from modelwave_controller.cli import view
from modelwave_controller.operations import rollouts
from modelwave_controller.rollout.events import Looked
from modelwave_controller.rollout.state import FINISHED, HELD, Rollout
from modelwave_controller.service.tick import Ticker
from modelwave_controller.storage import log

ACCURACY = "accuracy >= baseline - 0.02"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=50)) as made:
        yield made


def looks(world: World) -> list[Looked]:
    with world.store.read() as connection:
        found = [event.body for event in log.events_after(connection, 0, reports_of=[])]
    return [body for body in found if isinstance(body, Looked)]


def verdicts(world: World) -> list[tuple[int, int, str, str]]:
    return [
        (look.stage, look.look, found.gate, found.verdict)
        for look in looks(world)
        for found in look.findings
    ]


@pytest.mark.slow
def test_a_release_that_is_five_points_worse_is_reverted_at_a_canary_stage(world: World) -> None:
    fleet = ObservingFleet(world, worse=0.05)
    fleet.begin(judging(ACCURACY))
    found = fleet.run()
    assert found.back is not None
    assert len(found.stages) < 3
    assert ACCURACY in found.reason
    assert "harm" in found.reason


@pytest.mark.slow
def test_a_good_release_finishes(world: World) -> None:
    fleet = ObservingFleet(world)
    fleet.begin(judging(ACCURACY))
    assert fleet.run().status == FINISHED


def short(world: World, *gates: str, windows: int = 4, **changes: Any) -> ObservingFleet:
    """A fleet of which a half is opened in a first stage of so many windows."""
    plan = judging(*gates, stages=(50, 100), **changes)
    first = plan.stages[0].model_copy(update={"soak_seconds": windows * WINDOW})
    fleet = ObservingFleet(world)
    fleet.plan = plan.model_copy(update={"stages": (first, plan.stages[1])})
    return fleet


def finished_looks(world: World, fleet: ObservingFleet, windows: int = 20) -> Rollout:
    fleet.begin(fleet.plan, before=4)
    return fleet.run(windows)


@pytest.fixture
def dozen(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=12)) as made:
        yield made


@pytest.mark.slow
def test_a_service_that_restarts_all_the_time_gives_the_same_verdicts(tmp_path: Path) -> None:
    found = []
    for number, restarts in enumerate((False, True)):
        with closing(World(tmp_path / str(number), devices=12)) as world:
            fleet = short(world, ACCURACY, judge={"inconclusive": "go on"})
            if restarts:
                fleet.before_step = lambda world=world: restart(world)
            finished_looks(world, fleet)
            found.append(looks(world))
    assert found[0] == found[1]
    assert [look.windows for look in found[0]] == [1, 2, 4]


def restart(world: World) -> None:
    world.ticker = Ticker(world.store, world.issuer)
    world.tick()


def test_a_service_killed_while_it_looks_computes_the_look_anew(
    dozen: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = short(dozen, ACCURACY)
    fleet.begin(fleet.plan, before=4)

    def killed(*_: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("modelwave_controller.service.tick.is_still_due", killed)
        with pytest.raises(KeyboardInterrupt):
            fleet.run(3)
    assert looks(dozen) == []
    restart(dozen)
    assert [look.windows for look in looks(dozen)] == [1]


def test_a_window_that_comes_late_counts_at_the_next_look(dozen: World) -> None:
    fleet = short(dozen, ACCURACY)
    fleet.begin(fleet.plan, before=4)
    kept: list[tuple[str, bytes]] = []
    late = next(iter(dozen.devices))

    def hold_back(sent: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        kept.extend(one for one in sent if one[0].endswith(f"/{late}"))
        return [one for one in sent if one not in kept]

    fleet.arrange = hold_back
    fleet.run(3)
    counted = [f.canaries + f.controls for look in looks(dozen) for f in look.findings[:1]]
    assert counted[-1] == 11
    fleet.arrange = list
    fleet.send(aged(kept))
    fleet.run(3)
    before, after = looks(dozen)[1], looks(dozen)[2]
    assert before.findings[0].canaries + before.findings[0].controls == 11
    assert after.findings[0].canaries + after.findings[0].controls == 12


def test_a_window_that_began_before_the_stage_does_not_count(dozen: World) -> None:
    fleet = short(dozen, ACCURACY)
    fleet.begin(fleet.plan, before=4)
    dozen.answer("SUCCEEDED", dozen.devices.values())
    control = next(d for d in dozen.devices.values() if fleet.release_of(d) != NEW)

    def lengthen(sent: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        return [
            (topic, json.dumps(json.loads(payload) | {"seconds": WINDOW + 20}).encode())
            if topic.endswith(f"/{control.name}")
            else (topic, payload)
            for topic, payload in sent
        ]

    fleet.arrange = lengthen
    fleet.run(2)
    assert [(f.canaries, f.controls) for f in looks(dozen)[0].findings[:1]] == [(6, 5)]


def aged(messages: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """The windows as a device sends them later: each a minute older than the next one."""
    found = []
    for place, (topic, payload) in enumerate(reversed(messages)):
        document = json.loads(payload)
        found.append((topic, json.dumps(document | {"age_seconds": 1 + place * WINDOW}).encode()))
    return found


def test_inconclusive_holds_with_what_it_needs_and_further_looks_come(dozen: World) -> None:
    fleet = short(dozen, "accuracy >= baseline - 0.0001")
    found = finished_looks(dozen, fleet)
    assert found.status == HELD
    assert "accuracy >= baseline - 0.0001: accuracy: harm" in found.reason
    status = seen(dozen)
    row = next(row for row in status.judged if row.gate.startswith("accuracy"))
    assert (row.verdict, row.canaries, row.controls, row.look) == ("INCONCLUSIVE", 6, 6, "3 of 3")
    assert row.needs
    assert row.low is not None
    assert row.harm is not None
    assert row.low < row.harm
    assert status.next_look.startswith("after 8 windows of stage 1, in ")
    for _ in range(5):
        fleet.step()
    assert [look.windows for look in looks(dozen)] == [1, 2, 4, 8]
    assert newest(dozen).status == HELD
    assert json.loads(json.dumps(status.json()))["judged"][0]["gate"] == row.gate
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(view.rollout(status))
    text = console.export_text()
    assert "judged in stage 1, look 3 of 3" in text
    assert row.needs in text
    assert "next look after 8 windows" in text


def test_a_hold_by_a_look_is_overruled_by_the_operator(dozen: World) -> None:
    fleet = short(dozen, "accuracy >= baseline - 0.0001")
    assert finished_looks(dozen, fleet).status == HELD
    rollouts.resume(dozen.store, "1", "it is good enough", dozen.now)
    assert fleet.run().status == FINISHED


def test_inconclusive_goes_on_if_the_plan_says_so_with_that_word(dozen: World) -> None:
    fleet = short(dozen, "accuracy >= baseline - 0.0001", judge={"inconclusive": "go on"})
    found = finished_looks(dozen, fleet)
    assert found.status == FINISHED
    assert "INCONCLUSIVE, and the plan goes on" in found.stages[0].verdict_reason


def test_without_any_windows_a_rollout_goes_on_and_says_so(dozen: World) -> None:
    dozen.start(2, judging(ACCURACY))
    fleet = ObservingFleet(dozen)
    fleet.observe = lambda age: None  # type: ignore[method-assign]
    assert fleet.run().status == FINISHED
    assert not any(look.observed or look.findings for look in looks(dozen))
    assert "no observations" in newest(dozen).stages[0].verdict_reason


def test_canaries_that_fall_silent_beside_controls_that_send_are_a_fail(dozen: World) -> None:
    fleet = short(dozen)
    fleet.silent = True
    found = finished_looks(dozen, fleet)
    assert found.back is not None
    assert "silence: 6 of 6 canaries sent no window, and 0 of 6 controls" in found.reason


def test_a_fail_that_holds_is_final_and_no_further_look_is_told(dozen: World) -> None:
    fleet = short(dozen, on_fail="hold")
    fleet.silent = True
    found = finished_looks(dozen, fleet)
    assert (found.status, found.stages[-1].verdict) == (HELD, "FAIL")
    assert seen(dozen).next_look == ""


def test_silent_canaries_hold_also_where_they_are_too_few_for_a_fail(tmp_path: Path) -> None:
    with closing(World(tmp_path, devices=4)) as world:
        fleet = short(world)
        fleet.silent = True
        found = finished_looks(world, fleet)
        assert found.status == HELD
        assert "silence: 3 of 3 canaries sent no window, and 0 of 1 controls" in found.reason
        assert seen(world).next_look
        fleet.silent = False
        for _ in range(6):
            fleet.step()
        assert newest(world).status == FINISHED  # a further look has heard them


def test_a_fleet_that_stopped_to_observe_is_not_held(dozen: World) -> None:
    fleet = short(dozen)
    fleet.begin(fleet.plan, before=4)
    fleet.observe = lambda age: None  # type: ignore[method-assign]
    assert fleet.run().status == FINISHED
    assert "no observations" in newest(dozen).stages[0].verdict_reason


def test_a_plan_that_names_nothing_judges_what_devices_measure(dozen: World) -> None:
    fleet = short(dozen)
    chance = random.Random(1)

    def measured(release: int) -> dict[str, Any]:
        failures = chance.randint(25, 35) if release == NEW else chance.randint(0, 2)
        return {"failures": failures, "labelled": 0, "correct": 0}

    fleet.extra = measured
    found = finished_looks(dozen, fleet)
    assert found.back is not None
    assert "failures <= baseline + 0.01: failures: harm 0." in found.reason
    assert {gate for _, _, gate, _ in verdicts(dozen)} == {"failures <= baseline + 0.01", "silence"}


@pytest.mark.parametrize(
    ("gate", "worse"),
    [
        ("mean(latency_ms) <= 1.2 * baseline", 1.5),
        ("p95(latency_ms) <= 1.2 * baseline", 1.5),
        ("mean(power_mw) <= baseline + 20", 1.5),
        ("mean(power_mw) <= 1.2 * baseline", 1.5),
        ("mean(power_mw) <= 350", 1.5),
    ],
)
@pytest.mark.parametrize("harmed", [False, True])
def test_each_kind_of_gate_fails_what_is_worse_and_passes_what_is_not(
    dozen: World, gate: str, worse: float, harmed: bool
) -> None:
    fleet = short(dozen, gate)
    chance = random.Random(1)

    def measured(release: int) -> dict[str, Any]:
        times = worse if harmed and release == NEW else 1.0
        times *= chance.gauss(1.0, 0.02)
        slow = round(20 * (times**3))
        power = [LABELS, *(round(300e6 * times * k) for k in (1, 0.01, 0.9, 1.1))]
        return {
            "latency": {
                "bins": [5, 40, 60 - slow if slow < 60 else 0, slow],
                "log": round(2e6 * times),
            },
            "numbers": {"power_mw": [*power, round(1e6 * math.log(300 * times))]},
        }

    fleet.extra = measured
    found = finished_looks(dozen, fleet)
    assert (found.back is not None) is harmed, found.reason
    assert harmed or found.status == FINISHED, found.reason


def test_one_bad_target_is_named(tmp_path: Path) -> None:
    with closing(World(tmp_path, devices=20)) as world:
        world.add(10, "rp2040")
        fleet = short(world, ACCURACY)
        fleet.worse_target = "rp2040"
        fleet.worse = 0.3
        fleet.targets = ("linux-cpu", "rp2040")
        found = finished_looks(world, fleet)
        assert found.back is not None
        rows = {row.target: row.verdict for row in seen(world).judged if row.gate == ACCURACY}
        assert (rows["rp2040"], rows["linux-cpu"]) == ("FAIL", "INCONCLUSIVE")


def test_only_windows_of_its_release_within_the_stage_count(dozen: World) -> None:
    fleet = short(dozen, ACCURACY)
    fleet.begin(fleet.plan, before=4)
    canary = next(name for name, device in dozen.devices.items() if dozen.ordered(device))
    fleet.idle = {canary}
    dozen.now += WINDOW / 2
    dozen.tick()
    fleet.observe(age=1)  # began before the stage
    for _ in range(3):
        fleet.step()
    first, second = (look.findings for look in looks(dozen))
    # No window lies within the first minute; of the canary without the release none counts at all.
    assert [(f.canaries, f.controls) for f in first] == [(0, 0), (6, 6)]
    assert [(f.canaries, f.controls) for f in second] == [(5, 6), (6, 6)]


def test_a_look_that_is_not_the_next_one_is_not_understood(dozen: World) -> None:
    fleet = short(dozen, ACCURACY)
    fleet.begin(fleet.plan, before=4)
    fleet.run(2)
    with dozen.store.write() as connection:
        log.append(connection, 1, dozen.now, looks(dozen)[:1])
    assert "look 0 of stage 0 is not the next one" in newest(dozen).not_understood
