"""Tests that the log has who did what: each command of an operator, in its event."""

import json
import os
import pwd
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rollout_commands import Run
from rollout_world import World
from sqlalchemy import select

from modelwave_controller.operations import rollouts
from modelwave_controller.rollout import events
from modelwave_controller.storage import clock, log, tables

ME = f"{pwd.getpwuid(os.getuid()).pw_name}@{socket.gethostname()}"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=3)) as made:
        made.now = time.time()  # commands use the wall clock
        made.shelve(1)
        yield made


def bodies(world: World) -> list[tuple[int, dict[str, object]]]:
    with world.store.read() as connection:
        query = select(tables.events.c.rollout, tables.events.c.body).order_by(tables.events.c.id)
        return [(row.rollout, json.loads(row.body)) for row in connection.execute(query)]


def test_every_command_that_changes_a_rollout_leaves_who_typed_it(world: World, run: Run) -> None:
    for command in ("start digits 1", "pause 1", "resume 1"):
        assert run("rollout", *command.split()).code == 0
    world.tick()
    for command in ("revert 1", "abort 1"):
        run("rollout", *command.split())
    run("rollout", "start", "digits", "1")
    acts = [body for _, body in bodies(world) if body["kind"] not in ("opened", "began", "held")]
    assert [body["kind"] for body in acts][:4] == ["created", "paused", "resumed", "revert_asked"]
    assert {body["actor"] for body in acts if body["kind"] != "reported"} == {ME}
    assert not any("actor" in body for _, body in bodies(world) if body["kind"] == "opened")


def test_acts_that_belong_to_no_rollout_are_in_the_log_and_no_rollout_comes_of_them(
    world: World, run: Run
) -> None:
    assert run("clock", "accept", "it was wrong until now").code == 0
    assert run("device", "forget", "d1").code == 0
    assert bodies(world) == [
        (0, {"kind": "clock_accepted", "actor": ME, "reason": "it was wrong until now"}),
        (0, {"kind": "forgotten", "actor": ME, "device": "d1"}),
    ]
    state = world.state()
    assert (state.rollouts, state.last) == ({}, 2)
    assert run("rollout", "start", "digits", "1").lines()[0].startswith("NEW  rollout 1:")
    world.tick()
    assert world.state().rollouts[1].stages


def test_refused_forget_leaves_no_event(world: World, run: Run) -> None:
    assert run("device", "forget", "nobody").code == 2
    assert bodies(world) == []


def test_accepted_clock_is_not_behind_the_event_of_its_own_acceptance(world: World) -> None:
    world.tick()
    with world.store.write() as connection:
        log.append(connection, 0, world.now, [events.ClockAccepted(reason="")])
    with world.store.read() as connection:
        assert clock.stored(connection).doubt == ""


def test_name_of_an_operator_is_bounded_and_printable(world: World) -> None:
    rollout = world.start(1)
    rollouts.pause(world.store, str(rollout), "", world.now, "eve\n\x1b[2J\u202e" + "x" * 500)
    actor = str(bodies(world)[-1][1]["actor"])
    assert actor.startswith("eve??[2J?xxx")
    assert len(actor) == events.MAX_SHOWN


def test_user_is_the_process_own_and_not_what_the_environment_says(
    run: Run, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("USER", "LOGNAME", "LNAME", "USERNAME", "MODELWAVE_ACTOR"):
        monkeypatch.setenv(name, "somebody-else")
    run("rollout", "start", "digits", "1")
    assert bodies(world)[-1][1]["actor"] == ME


def test_user_without_a_name_is_a_number(
    run: Run, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(_uid: int) -> object:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    run("rollout", "start", "digits", "1")
    assert bodies(world)[-1][1]["actor"] == f"uid-{os.getuid()}@{socket.gethostname()}"


def test_event_from_before_actors_were_kept_is_read() -> None:
    event = events.load_event(1, 1, 0.0, "paused", '{"kind": "paused", "reason": "r"}')
    assert event.body == events.Paused(reason="r")
