"""Tests the status of a rollout for people: status word, reason, next step, and a row for each
stage."""

import io
import json
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rollout_commands import Run
from rollout_world import World, quick, seen
from shown_status import STATUS

from modelwave_controller import cli
from modelwave_controller.cli import view
from modelwave_controller.cli.rollout import _changes, _until_end
from modelwave_controller.interruption import Interrupted
from modelwave_controller.operations import rollouts, status
from modelwave_controller.phrases import moment, seconds_of
from modelwave_controller.results.rollouts import Problem, Status
from modelwave_controller.rollout.state import FINAL

REASON = "golden set: 3 of 60 labels right"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=20)) as made:
        yield made


def step(world: World, outcome: str) -> None:
    world.tick()
    world.answer(outcome, world.devices.values(), REASON if outcome != "SUCCEEDED" else "")
    world.tick()


def drawn(found: Status, width: int = 100) -> str:
    screen = Console(file=io.StringIO(), width=width, color_system=None)
    screen.print(view.rollout(found))
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


def run(world: World, *arguments: str) -> int:
    return cli.run(["--home", str(world.home.path), *arguments])


def rows(found: Status) -> list[tuple[int, int, str]]:
    return [(row.devices, row.succeeded, row.gate) for row in found.rows]


# Why, and what next.


def test_before_the_service_has_looked_it_says_what_will_open(world: World) -> None:
    world.start(1)
    found = seen(world)
    assert (found.status, found.why) == ("NEW", "no stage has opened yet")
    assert found.next == "stage 1 (10 %) opens"
    assert found.warnings == ["no service has run yet: start `modelwave serve`"]


def test_under_way_it_says_what_it_waits_for_and_until_when(world: World) -> None:
    world.start(1)
    world.tick()
    world.answer("", list(world.devices.values()))
    found = seen(world)
    assert found.status == "RUNNING"
    assert found.why == "stage 1 (10 %): 0 of 2 devices succeeded, 2 in progress"
    assert found.next == "the gate decides when enough devices answered, in 100 s at the latest"
    assert rows(found) == [(2, 0, "pending"), (0, 0, ""), (0, 0, "")]


def test_a_service_that_ticks_no_more_is_told(world: World) -> None:
    world.start(1)
    world.tick()
    world.now += 90
    (warning,) = seen(world).warnings
    since = moment(world.now - 90)
    assert warning == f"no service has run for 90 s, since {since}: start `modelwave serve`"


def test_a_service_that_ticks_no_more_is_told_though_the_clock_was_set_back(world: World) -> None:
    world.start(1)
    world.tick()
    world.now -= 86_400
    world.tick()
    assert not any("service" in warning for warning in seen(world).warnings)
    world.now += 60
    assert any("no service has run for 60 s" in warning for warning in seen(world).warnings)


def test_what_the_broker_has_not_taken_is_told(world: World) -> None:
    world.acknowledges = False
    world.start(1)
    world.tick()
    assert seen(world).warnings == ["2 topics not yet acknowledged by the broker"]
    rollouts.abort(world.store, "1", "", world.now)
    [warning] = seen(world).warnings
    assert "opened slots get their order once it is back: `modelwave rollout revert 1`" in warning


def test_soaking_it_says_when_the_next_stage_opens(world: World) -> None:
    world.start(1, quick(stage={"soak_seconds": 90}))
    step(world, "SUCCEEDED")
    found = seen(world)
    assert found.next == "stage 2 (50 %) opens in 90 s"
    assert rows(found)[0] == (2, 2, "soaking")


def test_held_it_says_what_the_operator_may_do(world: World) -> None:
    world.start(1)
    step(world, "FAILED")
    found = seen(world)
    assert found.status == "HELD"
    assert "2 of 2 devices failed (100 %), the limit is 10 %" in found.why
    assert found.next.startswith(
        "it goes on by itself when later answers or looks let the gate pass; "
    )
    for word in ("`modelwave rollout resume 1`", "--accept REASON", "revert 1`", "abort 1`"):
        assert word in found.next
    assert found.problems[0].reason == REASON


def test_devices_that_are_not_named_are_counted_and_the_command_that_names_them_is_told(
    world: World,
) -> None:
    world.start(1, quick(100))
    step(world, "FAILED")
    found = seen(world)
    assert len(found.problems) == status.MAX_PROBLEMS
    assert found.more_problems == len(world.devices) - status.MAX_PROBLEMS
    said = f"and {found.more_problems} more; `modelwave rollout log 1 --answers` has all answers"
    assert said in drawn(found)


def test_of_silent_devices_that_are_not_named_the_command_that_finds_them_is_told(
    world: World, run: Run
) -> None:
    world.start(1, quick(100))
    world.tick()
    silent = [device.name for device in list(world.devices.values())[:8]]
    world.answer("SUCCEEDED", [d for d in world.devices.values() if d.name not in silent])
    world.now += 101
    world.tick()
    command = "device list --model digits --target linux-cpu --not-on 1"
    shown = " ".join(drawn(seen(world)).split())
    assert f"and 3 more; `modelwave {command}` names silent ones too" in shown
    assert "--answers" not in shown
    listed = run(*command.split(), "--json").json()
    assert {entry["device"] for entry in listed} >= set(silent)


def test_device_without_an_answer_after_the_deadline_is_named_with_its_last_report(
    world: World,
) -> None:
    world.start(1, quick(100))
    world.tick()
    seen_at = world.now
    world.answer("SUCCEEDED", [d for d in world.devices.values() if d.name != "d1"])
    assert seen(world).problems == []
    world.now += 101
    world.tick()
    (problem,) = seen(world).problems
    assert (problem.device, problem.outcome) == ("d1", "silent")
    assert problem.reason == "no answer by the deadline"
    assert problem.then.startswith("its last report is of ")
    assert moment(seen_at) >= problem.then.removeprefix("its last report is of ")


def test_device_that_tries_again_by_itself_says_why_and_when(world: World) -> None:
    world.start(1, quick(100))
    world.tick()
    device = world.devices["d1"]
    world.answer("", [device], "HTTP 503")
    device.models["digits"] |= {"state": "fetching", "tries": 2, "next_seconds": 40}
    world.hear([device])
    (problem,) = seen(world).problems
    assert (problem.device, problem.outcome) == ("d1", "IN_PROGRESS")
    assert problem.then == f"it tries again by itself at {moment(world.now + 40)}"
    assert f"HTTP 503; {problem.then}" in drawn(seen(world))
    world.now += 40
    assert [one.then for one in seen(world).problems] == ["it tries again by itself"]


def test_paused_it_says_why_and_how_to_go_on(world: World) -> None:
    world.start(1)
    world.tick()
    rollouts.pause(world.store, "1", "paused by the operator: lunch", world.now)
    found = seen(world)
    assert found.status == "PAUSED"
    assert found.why.startswith("paused by the operator: lunch; stage 1 (10 %): ")
    assert "`modelwave rollout resume 1`" in found.next


def test_until_the_service_has_ended_it_it_does_not_say_that_it_is_over(world: World) -> None:
    world.start(1, quick(100))
    world.tick()
    world.answer("SUCCEEDED", world.devices.values())
    found = seen(world)
    assert (found.status, found.next) == ("RUNNING", "it ends as FINISHED")


def test_finished_it_says_how_it_could_be_taken_back(world: World) -> None:
    world.start(1)
    for _ in range(4):
        step(world, "SUCCEEDED")
    found = seen(world)
    assert (found.status, found.final) == ("FINISHED", True)
    assert found.next == "nothing: it is over; `modelwave rollout revert 1` would revert it"
    assert [gate for _, _, gate in rows(found)] == ["PASS", "PASS", "PASS"]


def test_on_the_way_back_it_counts_who_is_back(world: World) -> None:
    world.start(1)
    for _ in range(4):
        step(world, "SUCCEEDED")
    world.start(2)
    step(world, "ROLLED_BACK")
    found = seen(world)
    assert found.status == "REVERTING"
    assert "2 of 2 devices rolled back" in found.why
    assert "on the way back 0 of 2 devices succeeded, 2 without an answer yet" in found.why
    assert found.rows[-1].name == "way back"
    assert found.rows[0].gate == "FAIL"
    step(world, "SUCCEEDED")
    assert "on the way back 2 of 2 devices succeeded" in seen(world).why


def test_taken_back_to_nothing_it_says_so(world: World) -> None:
    world.start(1)
    step(world, "ROLLED_BACK")
    assert "there is no earlier release, so its orders were withdrawn" in (seen(world).why)


def test_an_asked_revert_is_shown_before_the_service_has_seen_it(world: World) -> None:
    world.start(1)
    for _ in range(4):
        step(world, "SUCCEEDED")
    rollouts.revert(world.store, "1", "it drifts", world.now)
    found = seen(world)
    assert found.why == "it drifts"
    assert "the service orders its devices back at its next tick" in found.next


def test_after_the_deadline_the_silent_are_counted_as_silent(world: World) -> None:
    world.start(1)
    world.tick()
    world.answer("", world.devices.values())
    assert (seen(world).rows[0].in_progress, seen(world).rows[0].silent) == (2, 0)
    world.now += 100
    world.tick()
    assert (seen(world).rows[0].in_progress, seen(world).rows[0].silent) == (0, 2)


def test_an_aborted_rollout_shows_its_gates_as_they_were(world: World) -> None:
    world.start(1)
    step(world, "SUCCEEDED")
    rollouts.abort(world.store, "1", "aborted by the operator", world.now)
    assert [gate for _, _, gate in rows(seen(world))] == ["PASS", "", ""]
    assert "opened slots keep their order" in seen(world).next


def test_reading_again_is_reading_anew(world: World) -> None:
    world.start(1)
    with world.store.read() as connection:
        reader = status.StatusReader(connection, "digits")
    for _ in range(4):
        step(world, "SUCCEEDED")
        with world.store.read() as connection:
            assert reader.read(connection, world.now) == seen(world)


# Drawn.


def test_it_is_drawn_as_a_heading_and_a_row_a_stage() -> None:
    lines = drawn(STATUS).splitlines()
    assert [line.rstrip() for line in lines[:3]] == [
        "RUNNING  rollout 3: digits release 2 (v2) for rp2040",
        "  why   stage 1 (10 %): 1 of 2 devices succeeded, 1 in progress",
        "  next  the gate decides when enough devices answered, in 50 s at the latest",
    ]
    assert [" ".join(line.split()) for line in lines[3:]] == [
        "stage devices in progress succeeded rolled back failed rejected no answer gate",
        "stage 1 (10 %) 2 1 1 0 0 0 0 pending",
        "stage 2 (100 %) 0 0 0 0 0 0 0 –",
    ]


def test_canceled_orders_have_a_column_only_where_there_are_some() -> None:
    assert "canceled" not in drawn(STATUS)
    canceled = replace(STATUS, rows=[replace(STATUS.rows[0], canceled=1)])
    assert "canceled" in drawn(canceled, 110)
    assert "deferred" not in drawn(STATUS)
    deferred = replace(STATUS, rows=[replace(STATUS.rows[0], deferred=1)])
    assert "deferred" in drawn(deferred, 110)


def test_text_of_strangers_cannot_act_on_the_terminal_nor_as_markup() -> None:
    hostile = "[red]x[/red] \x1b[2J\r\nnew line \u202e"
    found = drawn(
        replace(
            STATUS,
            version=hostile,
            why=hostile,
            warnings=[hostile],
            problems=[Problem("d1", "FAILED", hostile)],
        )
    )
    for harmful in ("\x1b", "\r", "\u202e", "\nnew line"):
        assert harmful not in found
    assert found.count("[red]x[/red]") == 4


def test_it_can_be_exported_as_a_picture() -> None:
    screen = Console(record=True, width=100, file=io.StringIO())
    screen.print(view.rollout(STATUS))
    picture = screen.export_svg(title="modelwave rollout watch")
    assert picture.startswith("<svg")
    assert "RUNNING" in picture


# Followed.


def test_watching_ends_when_it_is_over() -> None:
    over = replace(STATUS, status="FINISHED")
    found = iter([STATUS, STATUS, over, over])
    drawings: list[Status] = []
    assert _until_end(lambda: next(found), 0, drawings.append) == over
    assert drawings == [STATUS, STATUS, over]


def test_where_nothing_can_be_drawn_over_each_change_is_printed_once() -> None:
    changed = replace(STATUS, why="more")
    counting_down = replace(STATUS, next="… in 49 s at the latest", warnings=["since 2 s"])
    drawings: list[Status] = []
    draw = _changes(drawings.append)
    for found in (STATUS, STATUS, counting_down, changed, changed, STATUS):
        draw(found)
    assert drawings == [STATUS, changed, STATUS]


@pytest.mark.parametrize(("outcome", "code"), [("SUCCEEDED", 0), ("ROLLED_BACK", 3)])
def test_its_exit_code_says_how_it_ended(world: World, outcome: str, code: int) -> None:
    world.start(1)
    while seen(world).status not in FINAL:
        step(world, outcome)
    assert run(world, "rollout", "watch", "1") == code
    assert run(world, "rollout", "watch") == code


def test_an_aborted_rollout_exits_with_4(world: World) -> None:
    world.start(1)
    rollouts.abort(world.store, "1", "", world.now)
    assert run(world, "rollout", "watch", "digits") == 4


def test_watching_ends_when_the_rollout_is_held(world: World) -> None:
    world.start(1)
    step(world, "FAILED")
    assert seen(world).status == "HELD"
    assert run(world, "rollout", "watch") == 5


def test_watching_right_after_a_revert_was_asked_for_does_not_end_as_finished(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.start(1)
    while seen(world).status not in FINAL:
        step(world, "SUCCEEDED")
    assert run(world, "rollout", "revert", "1") == 0
    monkeypatch.setattr(
        "modelwave_controller.cli.rollout.time.sleep", lambda _seconds: world.tick()
    )
    assert run(world, "rollout", "watch", "1") == 3


@pytest.mark.parametrize("timeout", ["0", "0s"])
def test_watching_ends_after_its_timeout(
    world: World, timeout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    world.start(1)
    assert run(world, "rollout", "watch", "--timeout", timeout) == 7
    told = "the time is over and rollout 1 is NEW: `modelwave rollout watch 1` follows it on\n"
    assert capsys.readouterr().err == told


def test_watching_sleeps_no_longer_than_its_timeout(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr("modelwave_controller.cli.rollout.time.sleep", sleep)
    monkeypatch.setattr("modelwave_controller.cli.rollout.time.monotonic", lambda: now[0])
    world.start(1)
    assert run(world, "rollout", "watch", "--interval", "50", "--timeout", "2m") == 7
    assert slept == [50, 50, 20]


@pytest.mark.parametrize("timeout", ["", "soon", "-1", "1w", "1h30m", "1" * 400])
def test_a_timeout_that_is_no_duration_is_one_line(
    world: World, timeout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    world.start(1)
    assert run(world, "rollout", "watch", "--timeout", timeout) == 2
    error = capsys.readouterr().err
    assert "--timeout" in error
    assert len(error.strip().splitlines()) == 1


def test_a_duration_is_read_in_each_unit() -> None:
    given = ("90", "90s", "15m", "15 min", "1h", "2d")
    assert [seconds_of(text) for text in given] == [90, 90, 900, 900, 3600, 172_800]


def test_ctrl_c_leaves_without_a_word_and_the_rollout_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_seconds: float) -> None:
        raise Interrupted(signal.SIGINT)

    monkeypatch.setattr("modelwave_controller.cli.rollout.time.sleep", interrupt)
    world.start(1)
    assert run(world, "rollout", "watch") == 130
    assert capsys.readouterr().err == ""
    assert seen(world).status == "NEW"


def test_on_a_terminal_it_is_drawn_over_itself(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=100)
    monkeypatch.setattr("modelwave_controller.cli.rollout.console", lambda: screen)
    world.start(1)
    rollouts.abort(world.store, "1", "", world.now)
    assert run(world, "rollout", "watch") == 4
    assert isinstance(screen.file, io.StringIO)
    assert "ABORTED" in screen.file.getvalue()


def test_with_json_each_change_is_one_line(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.start(1)
    rollouts.abort(world.store, "1", "changed our mind", world.now)
    assert run(world, "rollout", "watch", "--json") == 4
    (line,) = capsys.readouterr().out.splitlines()
    found: dict[str, Any] = json.loads(line)
    assert (found["status"], found["final"], found["why"]) == ("ABORTED", True, "changed our mind")
