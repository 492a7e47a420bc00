"""Tests `rollout log` and `fleet log`: who did what, when and why."""

import os
import pwd
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rollout_commands import Run
from rollout_world import World
from sqlalchemy import func, insert, select

from modelwave_controller.operations import acts, rollouts
from modelwave_controller.rollout import events, lines
from modelwave_controller.storage import forgetting, log, tables

ME = f"{pwd.getpwuid(os.getuid()).pw_name}@{socket.gethostname()}"
AT = 1_800_000_000.0  # 2027-01-15 08:00:00 UTC


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=20)) as made:
        made.shelve(1)
        yield made


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def reverted(world: World) -> None:
    """A rollout whose first stage an operator has reverted."""
    number = str(world.start(1))
    world.tick()
    world.answer("FAILED", world.devices.values(), "no disk")
    rollouts.revert(world.store, number, "it is slow", world.now + 1, "eve@desk")
    world.tick()


def test_log_has_a_line_for_each_event_with_its_time_who_did_it_and_why(
    world: World, run: Run
) -> None:
    reverted(world)
    log_lines = run("rollout", "log").lines()
    assert all(re.match(r"2027-01-15 09:00:0[01] \+0100     1  ", line) for line in log_lines)
    first = log_lines[0]
    created = "created: digits release 1 (v1) for linux-cpu, slots drawn by seed 0"
    assert first.endswith(f"operator              {created}")
    assert any(
        re.search(r"service  +stage 1 opened: order 1 for \d+ known devices?$", line)
        for line in log_lines
    )
    asked = next(line for line in log_lines if "revert asked for" in line)
    assert asked == (
        "2027-01-15 09:00:01 +0100     1  eve@desk              revert asked for: it is slow"
    )


def test_times_are_utc_when_asked(world: World, run: Run) -> None:
    world.start(1)
    assert run("rollout", "log", "--utc").out.startswith("2027-01-15 08:00:00 +0000 ")


def test_answers_of_devices_are_counted_and_printed_when_asked(world: World, run: Run) -> None:
    reverted(world)
    with world.store.read() as connection:
        answers = connection.scalar(
            select(func.count()).where(tables.events.c.kind == events.REPORTED)
        )
    assert answers
    hidden, shown = run("rollout", "log"), run("rollout", "log", "--answers")
    assert "answered" not in hidden.out
    assert f"{answers} answer" in hidden.err
    assert "--answers" in hidden.err
    assert len(shown.lines()) == len(hidden.lines()) + answers
    assert shown.err == ""
    assert re.search(r" device +d\d+ answered FAILED to order 1: no disk", shown.out)


def test_json_lines_have_the_time_in_utc_and_each_field(world: World, run: Run) -> None:
    reverted(world)
    found = run("fleet", "log", "--json", "--answers").json_lines()
    assert [entry["id"] for entry in found] == sorted(entry["id"] for entry in found)
    created, opened = found[0], next(entry for entry in found if entry["kind"] == "opened")
    assert created == {
        "id": 1,
        "at": "2027-01-15T08:00:00.000Z",
        "rollout": 1,
        "model": "digits",
        "actor": "operator",
        "kind": "created",
        "what": "created: digits release 1 (v1) for linux-cpu, slots drawn by seed 0",
        "reason": "",
        "stage": None,
        "device": "",
    }
    assert (opened["actor"], opened["stage"], opened["model"]) == ("service", 1, "digits")
    answers = [entry for entry in found if entry["kind"] == "reported"]
    assert {entry["actor"] for entry in answers} == {"device"}
    assert {entry["device"] for entry in answers} <= set(world.devices)


def test_fleet_log_has_all_rollouts_and_the_acts_that_belong_to_none(
    world: World, run: Run
) -> None:
    rollouts.abort(world.store, str(world.start(1)), "wrong one", world.now, "eve@desk")
    world.start(1)
    with world.store.write() as connection:
        acts.forget(connection, "meadow", "d3", world.now, "bob@desk")
        acts.accept_clock(connection, "it is right", world.now, "bob@desk")
    found = run("fleet", "log").lines()
    assert found[-2].endswith("   –  bob@desk              device d3 forgotten")
    assert found[-1].endswith("bob@desk              the controller's clock accepted: it is right")
    assert sum("created: digits" in line for line in found) == 2
    assert "forgotten" not in run("rollout", "log", "1").out
    assert run("fleet", "log", "--json").json_lines()[-1]["rollout"] is None


def test_log_of_one_rollout_is_found_by_number_or_model(world: World, run: Run) -> None:
    rollouts.abort(world.store, str(world.start(1)), "wrong one", world.now)
    world.start(1)
    assert {entry["rollout"] for entry in run("rollout", "log", "1", "--json").json_lines()} == {1}
    newest = run("rollout", "log", "digits", "--json").json_lines()
    assert {entry["rollout"] for entry in newest} == {2}
    assert run("rollout", "log", "9").code == 2


def test_since_and_limit_leave_out_what_is_older(world: World, run: Run) -> None:
    world.now = time.time()
    with world.store.write() as connection:
        for hours in (48, 5, 2, 1):
            note = events.Forgotten(device=f"d{hours}")
            log.append(connection, 0, world.now - 3600 * hours + 60, [note])

    def shown(*options: str) -> list[str]:
        return [entry["device"] for entry in run("fleet", "log", "--json", *options).json_lines()]

    assert shown() == ["d48", "d5", "d2", "d1"]
    assert shown("--since", "1h") == ["d1"]
    assert shown("--since", "3h") == ["d2", "d1"]
    assert shown("--limit", "3") == ["d5", "d2", "d1"]
    assert shown("--limit", "1", "--since", "1d") == ["d1"]
    assert "--limit gives more" in run("fleet", "log", "--limit", "3").err
    assert run("fleet", "log", "--limit", "4").err == ""


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--since", "yesterday"), "--since"),
        (("--limit", "0"), "--limit"),
        (("--limit", "x"), "--limit"),
    ],
)
def test_bad_option_is_named(run: Run, options: tuple[str, ...], named: str) -> None:
    ran = run("fleet", "log", *options)
    assert ran.code == 2
    assert named in ran.err


def test_text_of_a_device_or_operator_cannot_control_the_terminal(world: World, run: Run) -> None:
    with world.store.write() as connection:
        bad = events.Paused(reason="a\x1b[2Jb\nc [red]d\u202e", actor="x")
        log.append(connection, 1, world.now, [bad])
    ran = run("fleet", "log")
    assert len(ran.lines()) == 1
    assert ran.lines()[0].endswith("paused: a�[2Jb�c [red]d�")


def test_event_of_a_newer_program_and_a_time_that_is_no_date_are_shown(
    world: World, run: Run
) -> None:
    with world.store.write() as connection:
        row = {"id": 1, "rollout": 1, "at": 1e300, "kind": "teleported", "body": "{}"}
        connection.execute(insert(tables.events), [row])
    assert "1e+300 s" in run("fleet", "log").out
    assert "teleported: not understood by this modelwave: its kind is unknown" in (
        run("fleet", "log").out
    )
    assert run("fleet", "log", "--json").json_lines()[0]["at"] is None


def test_every_kind_of_event_has_words_of_its_own() -> None:
    plain = {"paused", "resumed", "finished", "aborted"}
    for body in events.Body.__args__[0].__args__:  # type: ignore[attr-defined]
        made = body.model_construct(
            device="d1", seq=1, outcome="FAILED", reason="", stage=0, verdict="PASS", orders=[],
            releases={}, model="m", accepted="", by="gate", added=[], removed=[], devices=[],
            made_at=0.0, models=[], floor=1, look=0, windows=1, observed=True, findings=[],
            skipped="", number=1, first=[], epoch=1, answers=1, expires_at=0.0,
            token="T", name="n", role="viewer", version="v1", release=1, target="t", hosts=[], of=1,
            alert="a", back=False, share=0.1,
        )  # fmt: skip
        what = lines.line_of(events.Event(1, 1, 0.0, made)).what
        assert what == made.kind if made.kind in plain else what != made.kind, made.kind


def answers_of(world: World, number: int) -> None:
    """As many answers in the log of rollout 1."""
    body = events.dump_body(events.Reported(device="d1", seq=1, outcome="FAILED", reason="why"))
    row = {"rollout": 1, "at": AT, "kind": "reported", "body": body}
    with world.store.write() as connection:
        connection.execute(insert(tables.events), [row | {"id": n + 1000} for n in range(number)])


def test_log_is_read_a_page_at_a_time_and_has_the_newest_lines(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.start(1)
    answers_of(world, 2500)
    sizes = []
    page = log.page

    def noting(*arguments: object) -> list[events.Event]:
        found = page(*arguments)  # type: ignore[arg-type]
        sizes.append(len(found))
        return found

    monkeypatch.setattr(log, "page", noting)
    found = run("rollout", "log", "--answers", "--limit", "2400", "--json").json_lines()
    assert [entry["id"] for entry in found] == list(range(1100, 3500))
    assert max(sizes) <= 1000


@pytest.mark.slow
def test_a_reader_that_ends_early_ends_the_log_without_a_word(world: World) -> None:
    world.start(1)
    answers_of(world, 3000)
    program = [sys.executable, "-m", "modelwave_controller", "--home", str(world.home.path)]
    command = [*program, "fleet", "log", "--answers", "--limit", "100000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 1


def test_forgotten_devices_answers_stay_in_the_log(world: World, run: Run) -> None:
    reverted(world)
    before = run("rollout", "log", "--answers").lines()
    with world.store.write() as connection:
        forgetting.forget(connection, "d0")
    assert run("rollout", "log", "--answers").lines() == before
