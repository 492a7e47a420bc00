"""Tests the commands for rollouts, the fleet and devices, as a user types them."""

import shlex
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rollout_commands import Run
from rollout_world import FLEET, NO_RELEASE, TARGET, Device, World, newest, quick
from test_service_reports import window
from typer.main import get_command

from modelwave_controller import cli
from modelwave_controller.interruption import Interrupted
from modelwave_controller.operations.device_entries import SILENT_SECONDS
from modelwave_controller.storage import outbox
from modelwave_shared import topics

QUICK = ("--stages", "10,50,100", "--soak", "0", "--deadline", "100", "--trial-seconds", "1")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=20)) as made:
        made.shelve(1)
        yield made


def test_start_says_the_status_why_and_what_happens_next(run: Run) -> None:
    ran = run("rollout", "start", "digits", "v1")
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0] == "NEW  rollout 1: digits release 1 (v1) for linux-cpu"
    assert lines[1] == "  why   no stage has opened yet"
    assert lines[2] == "  next  stage 1 (1 %) opens"
    assert "start `modelwave serve`" in lines[3]


def test_start_keeps_the_reason_to_lift_a_ban_and_refuses_one_of_two_lines(
    world: World, run: Run
) -> None:
    assert run("rollout", "start", "digits", "v1", "--lift-ban", "two\nlines").code == 2
    assert run("rollout", "start", "digits", "v1", "--lift-ban", "a loose sensor").code == 0
    assert world.state().rollouts[1].created.lift_ban == "a loose sensor"
    assert ": bans are lifted: a loose sensor" in run("rollout", "log").out


def test_start_waits_for_a_first_device_that_reports_the_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(World(tmp_path)) as world:
        world.shelve(1)
        # They come while it sleeps; only the last is one that it waits for.
        coming = [("letters", TARGET), ("digits", "esp32"), ("digits", TARGET)]

        def sleep(_seconds: float) -> None:
            model, target = coming.pop(0)
            device = Device(f"{target}-{model}", target)
            device.models = {model: dict(NO_RELEASE)}
            world.hear([device])

        monkeypatch.setattr("modelwave_controller.cli.start.time.sleep", sleep)
        start = ["--home", str(world.home.path), "rollout", "start", "digits", "1"]
        assert cli.run([*start, "--wait-devices", "30"]) == 0
        out, err = capsys.readouterr()
        assert coming == []
        assert out.startswith("NEW  rollout 1")
        assert err.splitlines() == [
            "no device of target linux-cpu has reported digits yet: waiting up to 30 s for the "
            "first (Ctrl-C ends it)"
        ]


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_start_gives_up_when_no_device_comes_in_time(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    more: tuple[str, ...],
) -> None:
    slept = [0.0]  # time passes while it waits, however slow the machine is
    clock = SimpleNamespace(monotonic=lambda: sum(slept), sleep=slept.append, time=time.time)
    monkeypatch.setattr("modelwave_controller.cli.start.time", clock)
    with closing(World(tmp_path)) as world:
        world.shelve(1)
        start = ["--home", str(world.home.path), "rollout", "start", "digits", "1", *more]
        assert cli.run([*start, "--wait-devices", "0"]) == 2
        assert "has reported digits: start `modelwave serve`" in capsys.readouterr().err
        assert cli.run([*start, "--wait-devices", "0.2"]) == 2
        assert "waiting up to 0.2 s" in capsys.readouterr().err
        assert sum(slept) >= 0.2
        assert world.state().rollouts == {}


def test_ctrl_c_ends_the_wait_and_nothing_is_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_seconds: float) -> None:
        raise Interrupted(signal.SIGINT)

    monkeypatch.setattr("modelwave_controller.cli.start.time.sleep", interrupt)
    with closing(World(tmp_path)) as world:
        world.shelve(1)
        assert cli.run(["--home", str(world.home.path), "rollout", "start", "digits", "1"]) == 130
        assert "interrupted; no rollout was started" in capsys.readouterr().err
        assert world.state().rollouts == {}


def test_start_takes_number_or_version_and_options_for_the_plan(world: World, run: Run) -> None:
    started = run("rollout", "start", "digits", "1", *QUICK, "--seed", "42", "--json").json()
    assert (started["status"], started["seed"]) == ("NEW", 42)
    plan = world.state().rollouts[1].created.plan
    assert [stage.percent for stage in plan.stages] == [10, 50, 100]
    assert {stage.soak_seconds for stage in plan.stages} == {0}


def test_the_number_of_a_release_wins_over_the_same_version_of_another(
    world: World, run: Run
) -> None:
    for number, version in ((3, "v3"), (4, "2024"), (5, "3")):
        world.shelve(number, version=version)
    for wanted, number in (("3", 3), ("2024", 4)):
        assert run("rollout", "start", "digits", wanted).code == 0
        release = newest(world).release
        assert release is not None
        assert release.release == number
        run("rollout", "abort", "digits")


def test_start_takes_durations_with_units(world: World, run: Run) -> None:
    durations = ("--soak", "90s", "--deadline", "1.5h", "--trial", "10m", "--expires", "90d")
    assert run("rollout", "start", "digits", "1", *durations, "--wait-devices", "1m").code == 0
    plan = world.state().rollouts[1].created.plan
    assert {stage.soak_seconds for stage in plan.stages} == {90}
    assert {stage.deadline_seconds for stage in plan.stages} == {5400}
    assert (plan.trial.seconds, plan.expires_seconds) == (600, 90 * 86400)


def test_start_takes_a_plan_from_a_file(world: World, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "plan.toml"
    file.write_text("stages = [{ percent = 100, max_failed_percent = 3 }]")
    assert run("rollout", "start", "digits", "1", "--plan", str(file)).code == 0
    assert world.state().rollouts[1].created.plan.stages[0].max_failed_percent == 3


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("digits", "9"), "RELEASE"),
        (("digits", ""), "RELEASE"),
        (("letters", "1"), "MODEL"),
        (("../digits", "1"), "MODEL"),
        (("", "1"), "MODEL"),
        (("x" * 5000, "1"), "MODEL"),
        (("digits", "1", "--target", "esp32"), "--target"),
        (("digits", "1", "--stages", "10,5,100"), "rise"),
        (("digits", "1", "--stages", ""), "--stages"),
        (("digits", "1", "--max-failed", "nan"), "max_failed_percent"),
        (("digits", "1", "--max-silent", "101"), "max_silent_percent"),
        (("digits", "1", "--soak", "-1"), "--soak"),
        (("digits", "1", "--soak", "1" * 400), "--soak"),
        (("digits", "1", "--soak", "999d"), "soak_seconds"),
        (("digits", "1", "--deadline", "1y"), "--deadline"),
        (("digits", "1", "--trial", "0.5s"), "--trial"),
        (("digits", "1", "--expires", "x"), "--expires"),
        (("digits", "1", "--wait-devices", "2h"), "--wait-devices"),
        (("digits", "1", "--wait-devices", "soon"), "--wait-devices"),
        (("digits", "1", "--soak", "soon"), "--soak"),
        (("digits", "1", "--on-fail", "shrug"), "on_fail"),
        (("digits", "1", "--seed", "4294967296"), "--seed"),
        (("digits", "1", "--plan", "no-such-file.toml"), "--plan"),
        (("digits", "1", "--plan", "x.toml", "--soak", "1"), "--plan"),
        (("digits",), "RELEASE"),
    ],
)
def test_a_bad_argument_of_start_is_one_line_that_names_it(
    world: World, run: Run, arguments: tuple[str, ...], named: str
) -> None:
    ran = run("rollout", "start", *arguments)
    assert ran.code == 2
    assert named in ran.err
    assert len(ran.err.strip().splitlines()) == 1
    assert "Traceback" not in ran.err
    assert world.state().rollouts == {}


def test_a_dry_run_says_who_would_be_where_and_starts_nothing(world: World, run: Run) -> None:
    small = world.devices["d3"]
    world.inbox.put(topics.reported(FLEET, "d3"), small.report(free={"flash": 100, "ram": 10**6}))
    world.hear([])
    arguments = ("digits", "1", *QUICK, "--seed", "600", "--dry-run")
    ran = run("rollout", "start", *arguments)
    assert ran.code == 0
    assert "These devices would reject the release:" in ran.out
    assert "flash: 1400 bytes missing (needs 1500, has 100)" in ran.out
    assert "--seed 600" in ran.out
    planned = run("rollout", "start", *arguments, "--json").json()
    assert world.state().rollouts == {}
    by_stage = [
        {d["device"] for d in planned["devices"] if d["stage"] == stage} for stage in (0, 1, 2)
    ]
    assert [len(names) for names in by_stage] == [3, 7, 10]
    assert [d["device"] for d in planned["devices"] if d["shortfalls"]] == ["d3"]
    # And these are the ones that are asked, in the end.
    run("rollout", "start", *arguments[:-1])
    for names in by_stage:
        world.tick()
        ordered = {n for n, d in world.devices.items() if world.ordered(d)}
        assert names <= ordered
        assert len(ordered) == sum(len(s) for s in by_stage[: by_stage.index(names) + 1])
        world.answer("SUCCEEDED", world.devices.values())


def test_a_stage_opens_three_devices_or_as_few_as_the_option_says(world: World, run: Run) -> None:
    arguments = ("digits", "1", *QUICK, "--dry-run", "--json")
    for options, expected in (((), 3), (("--least-devices", "1"), 2)):
        planned = run("rollout", "start", *arguments, *options).json()
        assert sum(device["stage"] == 0 for device in planned["devices"]) == expected


def test_a_dry_run_prints_the_command_that_starts_exactly_what_it_has_shown(
    world: World, run: Run, tmp_path: Path
) -> None:
    options = ("--stages", "10,100", "--soak", "90s", "--deadline", "1d", "--target", TARGET)
    more = ("--on-fail", "hold", "--lift-ban", "it's fixed")
    ran = run("rollout", "start", "digits", "1", *options, *more, "--dry-run")
    command = shlex.split(ran.out.splitlines()[-1])
    assert command[:2] == ["modelwave", "--home"]
    planned = run("rollout", "start", "digits", "1", *options, *more, "--dry-run", "--json").json()
    assert planned["command"][:-1] == command[:-1]
    first = {d["device"] for d in planned["devices"] if d["stage"] == 0}
    assert cli.run(planned["command"][1:]) == 0
    created = world.state().rollouts[1].created
    assert created.seed == planned["seed"]
    assert created.plan.model_dump(mode="json") == planned["plan"]
    assert created.lift_ban == "it's fixed"
    world.tick()
    assert {name for name, device in world.devices.items() if world.ordered(device)} == first


def test_a_dry_run_of_a_plan_in_a_file_names_the_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "a plan.toml"
    file.write_text("stages = [{ percent = 100 }]")
    ran = run("rollout", "start", "digits", "1", "--plan", str(file), "--dry-run")
    assert f"--plan '{file}' --seed" in ran.out.splitlines()[-1]


def test_start_of_an_older_release_says_whom_it_takes_back(world: World, run: Run) -> None:
    world.shelve(3)
    world.add(2, "esp32")
    for number, device in enumerate(world.devices.values()):
        device.models["digits"]["release"] = 5 if number < 12 else 4 if number == 12 else 3
    world.devices["d20"].models["digits"]["release"] = 9  # of another target
    world.hear(world.devices.values())
    words = "this takes 12 devices from release 5 back to 3, 1 device from release 4 back to 3"
    dry = run("rollout", "start", "digits", "3", "--dry-run")
    assert f"But {words}." in dry.out
    assert (
        run("rollout", "start", "digits", "3", "--dry-run", "--json").json()["downgrade"] == words
    )
    assert f"but   {words}" in run("rollout", "start", "digits", "3").out


def test_start_of_a_newer_release_takes_nobody_back(world: World, run: Run) -> None:
    for device in world.devices.values():
        device.models["digits"]["release"] = 1
    world.hear(world.devices.values())
    assert "back to" not in run("rollout", "start", "digits", "1", "--dry-run").out
    assert "back to" not in run("rollout", "start", "digits", "1").out


def test_start_says_how_many_devices_have_rolled_the_release_back_before(
    world: World, run: Run
) -> None:
    world.start(1, quick(100))
    world.tick()
    world.answer("ROLLED_BACK", [world.devices["d1"], world.devices["d2"]])
    others = list(world.devices.values())[3:]
    world.answer("SUCCEEDED", [world.devices["d0"], *others])
    world.tick()
    world.answer("SUCCEEDED", [world.devices["d2"]])  # it was given another try
    world.shelve(2)
    said = (
        "1 device, such as d1, rolled this release back before and will reject it, unless it is "
        "started with --lift-ban REASON"
    )
    start = ("rollout", "start", "digits")
    assert said in run(*start, "1", "--dry-run").out
    assert run(*start, "1", "--dry-run", "--json").json()["banned"] == ["d1"]
    assert said not in run(*start, "2", "--dry-run").out
    assert said not in run(*start, "1", "--dry-run", "--lift-ban", "it was loose").out
    assert f"{said} (`modelwave rollout abort 2` first)" in run(*start, "1").out


def test_pause_resume_abort_and_revert_say_where_it_stands_then(world: World, run: Run) -> None:
    run("rollout", "start", "digits", "1", *QUICK)
    world.tick()
    assert (
        run("rollout", "pause", "1", "--reason", "lunch", "--json")
        .json()["why"]
        .startswith("paused by the operator: lunch")
    )
    assert run("rollout", "resume", "digits", "--json").json()["status"] == "RUNNING"
    assert run("rollout", "abort", "1").out.startswith("ABORTED")
    assert (
        "the service orders its devices back at its next tick" in run("rollout", "revert", "1").out
    )


def test_a_gate_is_overruled_with_a_reason(world: World, run: Run) -> None:
    run("rollout", "start", "digits", "1", *QUICK)
    world.tick()
    world.answer("FAILED", world.devices.values())
    world.tick()
    ran = run("rollout", "resume", "1", "--accept", "the network is down there")
    assert "accepted by the operator: the network is down there" in ran.out


def test_devices_are_ordered_anew_from_the_command_line(world: World, run: Run) -> None:
    run("rollout", "start", "digits", "1", *QUICK)
    world.tick()
    *asked, good = [device for device in world.devices.values() if world.ordered(device)]
    world.answer("FAILED", asked[:1])
    world.answer("REJECTED", asked[1:])
    world.answer("SUCCEEDED", [good])
    assert run("rollout", "retry", "--outcome", "failed").code == 0
    assert run("rollout", "retry", "1", "--device", asked[1].name, "--json").code == 0
    world.tick()
    orders = [world.ordered(device) for device in asked]
    assert [order["device"] for order in orders if order] == [device.name for device in asked]
    ran = run("rollout", "retry", "1")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "modelwave: rollout 1: no device to order anew: 2 QUEUED, 1 SUCCEEDED; name others with "
        "--outcome or --device, such as `modelwave rollout retry 1 --outcome QUEUED`\n"
    )


@pytest.mark.parametrize("reason", ["", " "])
def test_an_empty_reason_to_overrule_a_gate_is_refused(world: World, run: Run, reason: str) -> None:
    run("rollout", "start", "digits", "1", *QUICK)
    world.tick()
    world.answer("FAILED", world.devices.values())
    world.tick()
    ran = run("rollout", "resume", "1", "--accept", reason)
    assert ran.code == 2
    assert ran.err.startswith("modelwave: --accept: blank; say why")
    assert run("rollout", "status", "--json").json()["status"] == "HELD"


@pytest.mark.parametrize(
    ("arguments", "help_page"),
    [
        (["rolout"], "modelwave --help"),
        (["rollout", "shwo"], "modelwave rollout --help"),
        (["rollout", "revert"], "modelwave rollout revert --help"),
        (["rollout", "start", "digits"], "modelwave rollout start --help"),
    ],
)
def test_a_bad_command_line_names_the_help_page_that_explains_it(
    run: Run, arguments: list[str], help_page: str
) -> None:
    ran = run(*arguments)
    assert ran.code == 2
    assert ran.err.endswith(f" (see `{help_page}`)\n")


@pytest.mark.parametrize("command", ["pause", "resume", "abort", "revert"])
@pytest.mark.parametrize("rollout", ["7", "letters", "../..", "x" * 5000, "\x1b[2J"])
def test_a_rollout_that_is_none_is_one_line(run: Run, command: str, rollout: str) -> None:
    run("rollout", "start", "digits", "1")
    ran = run("rollout", command, rollout)
    assert ran.code == 2
    assert len(ran.err.strip().splitlines()) == 1
    assert "\x1b" not in ran.err


@pytest.mark.parametrize("command", ["pause", "resume", "abort", "revert", "status", "watch"])
def test_an_empty_rollout_is_refused_and_does_not_mean_the_newest(
    world: World, run: Run, command: str
) -> None:
    run("rollout", "start", "digits", "1")
    world.tick()
    before = world.state()
    ran = run("rollout", command, "")
    assert (ran.code, ran.out) == (2, "")
    assert "rollout: no rollout or model is called ''" in ran.err
    assert world.state() == before


BAD_REASONS = ["", " ", "\t", "\u3000", "x" * 201, "two\nlines", "\x1b[2J", "\u202eleft", "\udcff"]


@pytest.mark.parametrize("reason", BAD_REASONS)
@pytest.mark.parametrize(
    ("command", "option"),
    [
        (("rollout", "start", "digits", "v1", "--lift-ban"), "--lift-ban"),
        (("rollout", "pause", "1", "--reason"), "--reason"),
        (("rollout", "retry", "1", "--reason"), "--reason"),
        (("rollout", "abort", "1", "--reason"), "--reason"),
        (("rollout", "revert", "1", "--reason"), "--reason"),
        (("rollout", "resume", "1", "--accept"), "--accept"),
        (("clock", "accept"), "REASON"),
    ],
    ids=lambda given: given[1] if isinstance(given, tuple) else "",
)
def test_a_blank_or_unprintable_reason_is_refused_by_its_option(
    world: World, run: Run, command: tuple[str, ...], option: str, reason: str
) -> None:
    before = world.state()
    ran = run(*command, reason)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"modelwave: {option}: ")
    assert world.state() == before


@pytest.mark.parametrize("reason", ["x" * 201, "two\nlines", "\x1b[2J"])
def test_a_reason_that_is_no_line_of_text_is_refused(world: World, run: Run, reason: str) -> None:
    run("rollout", "start", "digits", "1")
    assert run("rollout", "abort", "1", "--reason", reason).code == 2
    assert world.state().rollouts[1].status == "NEW"


@pytest.mark.parametrize("command", ["status", "watch"])
def test_without_any_rollout_it_says_how_to_start_one(run: Run, command: str) -> None:
    ran = run("rollout", command)
    assert ran.code == 2
    assert "modelwave rollout start MODEL RELEASE" in ran.err


def test_status_is_that_of_the_newest_or_the_named(world: World, run: Run) -> None:
    world.shelve(2)
    run("rollout", "start", "digits", "1")
    run("rollout", "abort", "1")
    run("rollout", "start", "digits", "2")
    assert run("rollout", "status", "--json").json()["rollout"] == 2
    assert run("rollout", "status", "1", "--json").json()["status"] == "ABORTED"
    assert run("rollout", "status", "digits").out.startswith("NEW  rollout 2")
    listed = run("rollout", "list", "--json").json()
    assert [(r["rollout"], r["status"]) for r in listed] == [(1, "ABORTED"), (2, "NEW")]
    assert "ABORTED" in run("rollout", "list").out


def test_list_says_of_a_rollout_under_way_why_it_is_where_it_is(world: World, run: Run) -> None:
    def listed() -> str:
        (found,) = run("rollout", "list", "--json").json()
        return str(found["reason"])

    run("rollout", "start", "digits", "1", *QUICK)
    assert listed() == "no stage has opened yet"
    world.tick()
    assert listed() == "stage 1 (10 %): 0 of 3 devices succeeded, 3 without an answer yet"
    world.answer("SUCCEEDED", world.devices.values())
    run("rollout", "pause", "1", "--reason", "lunch")
    assert listed() == run("rollout", "status", "--json").json()["why"]
    assert listed() == ("paused by the operator: lunch; stage 1 (10 %): 3 of 3 devices succeeded")
    run("rollout", "abort", "1", "--reason", "rain")
    assert listed() == "aborted by the operator: rain"


def test_without_a_home_it_says_how_to_make_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["rollout", "status"], ["fleet", "status"], ["device", "list"], ["serve"]):
        assert cli.run(["--home", str(tmp_path / "none"), *command]) == 2
        assert "modelwave init" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("command", "argument"),
    [
        ("rollout start", "MODEL"),
        ("rollout start digits", "RELEASE"),
        ("device tag --add x", "DEVICES"),
        ("clock accept", "REASON"),
    ],
)
def test_error_names_a_missing_argument_as_the_help_does(
    run: Run, command: str, argument: str
) -> None:
    assert f"Missing argument '{argument}" in run(*command.split()).err
    assert argument in run(*command.split()[:2], "--help").out


def test_every_argument_is_in_capitals_as_in_readme() -> None:
    def arguments(command: Any) -> Iterator[str]:
        yield from (p.metavar for p in command.params if p.param_type_name == "argument")
        for one in getattr(command, "commands", {}).values():
            yield from arguments(one)

    found = list(arguments(get_command(cli.whole_application())))
    assert len(found) > 20
    assert all(metavar and metavar.isupper() for metavar in found)


# The fleet and its devices.


def test_fleet_status_counts_devices_and_what_inferences_came_to(world: World, run: Run) -> None:
    world.now = time.time()
    world.tick()
    world.inbox.put(topics.presence(FLEET, "d1"), b"online")
    world.inbox.put(topics.metrics(FLEET, "d1"), window(1))
    world.inbox.put(topics.metrics(FLEET, "d2"), window(1, labelled=0, correct=0, release=2))
    world.hear([])
    found = run("fleet", "status", "--json").json()
    assert (found["devices"], found["online"], found["targets"]) == (20, 1, {TARGET: 20})
    assert found["silent"] == 0
    assert [(m["release"], m["inferences"], m["accuracy"]) for m in found["metrics"]] == [
        (1, 100, 0.9),
        (2, 100, None),
    ]
    shown = run("fleet", "status").out
    assert "20 devices, 1 online" in shown
    assert "90.0 % of 10 labelled" in shown
    assert "no labels" in shown


def test_fleet_status_shows_live_releases_and_rollouts(world: World, run: Run) -> None:
    run("rollout", "start", "digits", "1", *QUICK)
    world.tick()
    world.answer("SUCCEEDED", world.devices.values())
    found = run("fleet", "status", "--json").json()
    assert {row["release"]: row["devices"] for row in found["live"]} == {0: 17, 1: 3}
    assert found["rollouts"] == [{"rollout": 1, "model": "digits", "status": "RUNNING"}]
    assert "1 (digits) RUNNING" in run("fleet", "status").out


def test_device_list_and_show_tell_what_it_runs_and_what_is_wrong(world: World, run: Run) -> None:
    run("rollout", "start", "digits", "1", *QUICK)
    world.tick()
    asked = [d for d in world.devices.values() if world.ordered(d)]
    world.answer("FAILED", asked, "download: [red]no route[/red]")
    world.inbox.put(topics.reported(FLEET, "odd"), b"\x1b[2J")
    world.hear([])
    listed = run("device", "list").out
    assert "digits: FAILED" in listed
    assert "1 message ignored" in listed
    assert len(run("device", "list", "--json").json()) == 21
    assert run("device", "list", "--target", "esp32", "--json").json() == []
    shown = run("device", "show", asked[0].name).out
    assert "download: [red]no route[/red]" in shown
    assert run("device", "show", asked[0].name, "--json").json()["target"] == TARGET
    assert "0x1b" in run("device", "show", "odd").out


@pytest.mark.parametrize("command", ["show", "forget"])
@pytest.mark.parametrize("device", ["nobody", "", "../..", "D1", "x" * 5000, "\x1b[2J"])
def test_a_device_that_is_none_is_one_line(run: Run, command: str, device: str) -> None:
    ran = run("device", command, device)
    assert ran.code == 2
    assert len(ran.err.strip().splitlines()) == 1
    assert "DEVICE" in ran.err


def test_a_forgotten_device_leaves_nothing_to_bring_it_back(world: World, run: Run) -> None:
    world.inbox.put(topics.presence(FLEET, "d1"), b"online")
    world.hear([])
    assert run("device", "forget", "d1", "--json").json()["forgotten"] is True
    assert run("device", "show", "d1").code == 2
    with world.store.read() as connection:
        cleared = {m.topic for m in outbox.unsent(connection, 10) if not m.payload}
    assert cleared == {topics.reported(FLEET, "d1"), topics.presence(FLEET, "d1")}


def test_a_forgotten_devices_observations_count_again_when_it_is_installed_anew(
    world: World, run: Run
) -> None:
    world.inbox.put(topics.metrics(FLEET, "d1"), window(9, boot=50))
    world.hear([])
    run("device", "forget", "d1")
    world.inbox.put(topics.metrics(FLEET, "d1"), window(1, boot=1, inferences=7))
    world.hear([])
    (sums,) = run("fleet", "status", "--json").json()["metrics"]
    assert sums["inferences"] == 7


def test_old_reports_that_are_ignored_are_shown_in_the_list_and_what_to_do_about_them(
    world: World, run: Run
) -> None:
    """An impostor with a higher boot count, or a device whose state was wiped."""
    device = world.devices["d1"]
    world.inbox.put(topics.reported(FLEET, "d1"), device.report(boot=90))
    world.hear([])
    world.hear([device])
    assert "1 old report ignored" in run("device", "list").out
    assert "device forget d1" in run("device", "show", "d1").out
    world.inbox.put(topics.reported(FLEET, "d1"), device.report(boot=91))
    world.hear([])
    assert "ignored" not in run("device", "list").out


def test_a_device_that_is_silent_though_online_is_shown_as_such(world: World, run: Run) -> None:
    world.now = time.time() - 2 * SILENT_SECONDS
    world.inbox.put(topics.presence(FLEET, "d1"), b"online")
    world.hear([world.devices["d1"]])
    world.tick()
    world.now = time.time()
    world.tick()
    assert "silent for 73 min" in run("device", "list").out
    assert "silent for 73 min" in run("device", "show", "d1").out
    assert "1 online, 1 of them silent" in run("fleet", "status").out


def test_a_device_installed_anew_is_learned_again_after_it_was_forgotten(
    world: World, run: Run
) -> None:
    device = world.devices["d1"]
    world.inbox.put(topics.reported(FLEET, "d1"), device.report(boot=90))
    world.hear([])
    world.hear([device])  # boot 1 again: nobody believes it
    assert "device forget d1" in run("device", "show", "d1").out
    run("device", "forget", "d1")
    world.hear([device])
    assert run("device", "show", "d1", "--json").json()["boot"] == 1
