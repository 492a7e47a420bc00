"""Tests that an event of a newer program is shown as such, and that its rollout is not changed."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from operator_home import Run, as_json, refused, runner
from rollout_world import NO_RELEASE, TARGET, World, quick
from sqlalchemy import insert, select, update

from modelwave_controller.errors import OperatorError, StorageError
from modelwave_controller.operations import rollouts
from modelwave_controller.operations.rollouts import Request
from modelwave_controller.rollout.state import ABORTED, FINISHED, HELD, RUNNING, UNKNOWN
from modelwave_controller.service.tick import Ticker
from modelwave_controller.storage import tables

SHADOWED = {"kind": "shadowed", "seconds": 60}
CREATED = {"kind": "created", "model": "digits", "colour": "blue"}
# What a newer program might write into a rollout whose first stage is open.
NEWER: list[dict[str, Any]] = [
    SHADOWED,
    {"kind": "held", "reason": "", "until": 1_900_000_000},
    {"kind": "held"},
    {"kind": "held", "reason": ["a", "b"]},
    {"kind": "reported", "device": "d1", "seq": 1, "outcome": "POSTPONED", "reason": ""},
    {"kind": "gated", "stage": 0, "verdict": "UNDECIDED", "reason": ""},
    {"kind": "gated", "stage": 7, "verdict": "PASS", "reason": ""},
    {"kind": "opened", "stage": 0, "orders": []},
    CREATED,
    {"what": "has no kind"},
]
NAMES = [f"{number} {body.get('kind', 'none')}" for number, body in enumerate(NEWER)]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with closing(World(tmp_path, devices=10)) as made:
        monkeypatch.setenv("MODELWAVE_HOME", str(made.home.path))
        yield made


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


def write(world: World, rollout: int, body: dict[str, Any] | str, kind: str = "") -> int:
    """As a newer program would append to the log; the event's id."""
    text = body if isinstance(body, str) else json.dumps(body)
    kind = kind or (body.get("kind", "none") if isinstance(body, dict) else "held")
    with world.store.write() as connection:
        head = tables.heads.c.name == "event"
        number = (connection.scalar(select(tables.heads.c.value).where(head)) or 0) + 1
        connection.execute(update(tables.heads).where(head).values(value=number))
        row = {"id": number, "rollout": rollout, "at": world.now, "kind": kind, "body": text}
        connection.execute(insert(tables.events).values(row))
    return number


def status_of(world: World, rollout: int) -> str:
    return world.state().rollouts[rollout].status


def published(world: World) -> Any:
    with world.store.read() as connection:
        return connection.execute(select(tables.outbox.c.topic, tables.outbox.c.version)).all()


@pytest.mark.parametrize("body", NEWER, ids=NAMES)
def test_every_command_shows_a_rollout_that_a_newer_program_went_on_with(
    world: World, run: Run, body: dict[str, Any]
) -> None:
    number = world.start(1)
    world.tick()
    event = write(world, number, body)
    kind = body.get("kind", "none")
    words = (f"event {event} ({kind})", "newer modelwave", "update modelwave")
    status = as_json(run("rollout", "status", "--json"))
    assert status["status"] == UNKNOWN
    assert not status["final"]
    assert all(word in status["why"] for word in words)
    assert "until modelwave is updated" in status["next"]
    [entry] = as_json(run("rollout", "list", "--json"))
    assert (entry["status"], entry["model"], entry["release"]) == (UNKNOWN, "digits", 1)
    assert all(word in entry["reason"] for word in words)
    [known] = as_json(run("fleet", "status", "--json"))["rollouts"]
    assert known["status"] == UNKNOWN
    assert as_json(run("device", "show", "d1", "--json"))["device"] == "d1"
    for command in (("rollout", "status"), ("rollout", "list"), ("fleet", "status")):
        code, out, err = run(*command)
        assert (code, err) == (0, "")
        assert UNKNOWN in out


@pytest.mark.parametrize("body", NEWER, ids=NAMES)
@pytest.mark.parametrize("answer", ["SUCCEEDED", "ROLLED_BACK"])
def test_the_service_neither_opens_a_stage_nor_takes_one_back(
    world: World, body: dict[str, Any], answer: str, caplog: pytest.LogCaptureFixture
) -> None:
    number = world.start(1)
    world.tick()
    event = write(world, number, body)
    before = published(world)
    world.answer(answer, world.devices.values())
    for _ in range(3):
        world.now += 1000
        world.tick()
    world.ticker = Ticker(world.store, world.issuer)  # as after a restart
    world.tick()
    world.tick()
    assert published(world) == before
    assert status_of(world, number) == UNKNOWN
    told = [message for message in caplog.messages if "is not changed" in message]
    assert len(told) == 2  # once by each
    assert f"rollout {number} is not changed: event {event}" in caplog.text


def test_known_events_after_it_change_nothing_and_break_nothing(world: World) -> None:
    number = world.start(1)
    world.tick()
    write(world, number, {"kind": "opened", "stage": 1, "orders": [], "colour": "blue"})
    write(world, number, {"kind": "gated", "stage": 1, "verdict": "PASS", "reason": ""})
    write(world, number, {"kind": "opened", "stage": 2, "orders": []})
    write(world, number, {"kind": "finished", "reason": ""})
    rollout = world.state().rollouts[number]
    assert (rollout.status, len(rollout.stages)) == (UNKNOWN, 1)
    assert world.state().current == {}


def faces(world: World) -> Request:
    """A rollout of another model."""
    return Request("faces", world.release(1, model="faces"), (), quick(100), 0)


@pytest.mark.parametrize("where", ["in a rollout", "before everything", "of the fleet"])
def test_rollouts_of_other_models_go_on(world: World, where: str) -> None:
    number = {"in a rollout": world.start(1), "before everything": 5, "of the fleet": 0}[where]
    world.tick()
    write(world, number, SHADOWED)
    for device in world.devices.values():
        device.models["faces"] = dict(NO_RELEASE)
    world.hear(list(world.devices.values()))
    other = rollouts.start(world.store, faces(world), world.now)
    world.tick()
    assert len(world.state().rollouts[other].stages) == 1
    assert status_of(world, number) == UNKNOWN


def test_what_would_rest_on_what_is_not_understood_is_refused_and_says_why(world: World) -> None:
    first = world.start(1, quick(100))
    world.tick()
    world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    assert status_of(world, first) == FINISHED
    second = world.start(2)
    world.tick()
    event = write(world, second, SHADOWED)
    why = rf"event {event} \(shadowed\).*update modelwave"
    for act in (rollouts.pause, rollouts.resume, rollouts.revert):
        with pytest.raises(OperatorError, match=rf"{why}.*`modelwave rollout abort {second}`"):
            act(world.store, str(second), "", world.now)
    with pytest.raises(OperatorError, match=why):  # the second's orders may stand over its own
        rollouts.revert(world.store, str(first), "", world.now)
    with pytest.raises(OperatorError, match=why):
        world.start(3)


def test_it_can_be_aborted_which_sends_nothing(world: World, run: Run) -> None:
    number = world.start(1)
    world.tick()
    event = write(world, number, SHADOWED)
    before = published(world)
    run("rollout", "abort", str(number), "--reason", "enough")
    world.tick()
    assert published(world) == before
    status = as_json(run("rollout", "status", "--json"))
    assert (status["status"], status["final"]) == (ABORTED, True)
    assert "enough" in status["why"]
    assert f"event {event}" in status["why"]
    code, out, _ = run("rollout", "watch", str(number), "--json")
    assert (code, json.loads(out)["status"]) == (4, ABORTED)
    with pytest.raises(OperatorError, match=rf"event {event}"):
        world.start(2)  # what the fleet runs is still not known
    write(world, number, {"kind": "held", "reason": ""})
    assert status_of(world, number) == UNKNOWN


@pytest.mark.parametrize("begins", [CREATED, SHADOWED])
def test_a_rollout_whose_beginning_is_not_understood_is_shown(
    world: World, run: Run, begins: dict[str, Any]
) -> None:
    write(world, 1, begins)
    write(world, 1, {"kind": "opened", "stage": 0, "orders": []})
    world.tick()
    [entry] = as_json(run("rollout", "list", "--json"))
    model = begins.get("model", "")
    assert (entry["model"], entry["release"], entry["status"]) == (model, None, UNKNOWN)
    assert as_json(run("rollout", "status", "1", "--json"))["status"] == UNKNOWN
    for command in (("rollout", "status"), ("rollout", "list"), ("fleet", "status")):
        code, out, err = run(*command)
        assert (code, err) == (0, "")
        assert UNKNOWN in out
    if model:
        with pytest.raises(OperatorError, match=r"event 1 \(created\)"):
            world.start(1)
    rollouts.abort(world.store, "1", "enough", world.now)
    assert status_of(world, 1) == ABORTED


def test_no_number_of_an_order_is_given_twice_when_its_event_is_not_understood(
    world: World,
) -> None:
    """An older rollout that is over hides some; one that a newer program began after it and
    left to this one goes on."""
    first = world.start(1, quick(100))
    world.tick()
    rollouts.abort(world.store, str(first), "", world.now)
    number = world.start(2, quick(100))
    write(world, first, {"kind": "opened", "stage": 1, "orders": [], "colour": "blue"})
    with world.store.write() as connection:
        row = {"model": "digits", "seq": 2, "epoch": 0, "rollout": first, "target": TARGET}
        row |= {"manifest": "0" * 64, "slots": "[[0, 1]]"}
        connection.execute(insert(tables.orders).values(row))
    world.tick()
    assert status_of(world, number) == RUNNING
    assert [order.seq for order in world.state().rollouts[number].stages[0].orders] == [3]


def test_one_that_was_asked_to_go_back_waits_for_a_later_one_that_is_not_understood(
    world: World, run: Run
) -> None:
    first = world.start(1, quick(100))
    world.tick()
    rollouts.abort(world.store, str(first), "", world.now)
    rollouts.revert(world.store, str(first), "", world.now)
    event = write(world, 2, CREATED)
    before = published(world)
    world.tick()
    assert published(world) == before
    status = as_json(run("rollout", "status", str(first), "--json"))
    assert f"event {event}" in status["why"]


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '{"kind":"held"', "[" * 100_000])
def test_a_body_that_is_damaged_is_one_error_that_names_the_event(
    world: World, run: Run, body: str
) -> None:
    number = world.start(1)
    world.tick()
    event = write(world, number, body)
    for command in (("rollout", "status"), ("rollout", "list"), ("fleet", "status")):
        refused(run(*command), f"event {event} (rollout {number}, held)", "backup", code=1)
    with pytest.raises(StorageError, match=f"event {event}"):
        world.tick()


def test_what_is_shown_of_a_newer_program_is_printable_and_short(world: World, run: Run) -> None:
    number = world.start(1)
    write(world, number, {"kind": "held", "\x1b[31m" + "x" * 500: 1}, kind="\x1b]0;" + "k" * 500)
    code, out, _ = run("rollout", "status")
    assert code == 0
    assert "\x1b" not in out
    assert len(out) < 1500
    assert HELD not in out
