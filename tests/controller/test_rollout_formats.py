"""Tests a future controller, which writes formats that the present agents cannot read.

The tests raise the versions that the program reads and writes (words.READS, words.WRITES); the
agent's own checks then judge the result with the present versions.
"""

import contextlib
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rollout_world import FLEET, TARGET, Device, World, newest, quick, seen
from tests.signing import ROOM

from modelwave_agent import checks
from modelwave_agent.case import Case
from modelwave_agent.record import new_record
from modelwave_agent.types import Enrolment
from modelwave_controller import cli
from modelwave_controller.errors import OperatorError
from modelwave_controller.operations import device_list, rollouts
from modelwave_controller.operations.status import StatusReader
from modelwave_controller.rollout.draw import drawn
from modelwave_controller.rollout.state import (
    FINISHED,
    HELD,
    NEW,
    REVERTED,
    REVERTING,
    RUNNING,
)
from modelwave_controller.storage import log
from modelwave_shared import topics, words
from modelwave_shared.slots import slot
from modelwave_shared.words import MANIFEST, ORDER, READS, WRITES

THIS_YEAR = {"root": 1, "manifest": 2, "order": 2}
NEXT_YEAR = {"root": 1, "manifest": 3, "order": 3}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=20)) as made:
        yield made


@pytest.fixture
def next_year(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on the controller reads a further format, and writes it for orders."""
    monkeypatch.setitem(READS, MANIFEST, 3)
    monkeypatch.setitem(READS, ORDER, 3)
    monkeypatch.setitem(WRITES, ORDER, 3)


def update(world: World, *devices: Device, reads: dict[str, int] | None = None) -> None:
    for device in devices:
        device.says["reads"] = reads or NEXT_YEAR
    world.hear(devices)


def update_all_but(world: World, *names: str) -> None:
    update(world, *(device for name, device in world.devices.items() if name not in names))


def finish(world: World) -> None:
    for _ in range(4):
        world.tick()
        world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    assert newest(world).status == FINISHED


def judged_by_an_agent(world: World, device: Device) -> Case:
    """What today's agent makes of what the controller has for it."""
    message = world.message_for(device)
    assert message is not None
    enrolment = Enrolment(device.name, TARGET, world.home.root_document)
    case = Case(message, "digits", enrolment, new_record(), lambda: ROOM)

    async def never_wait() -> None:
        pass

    with pytest.MonkeyPatch.context() as present:
        for kind, v in THIS_YEAR.items():
            present.setitem(READS, kind, v)
        with contextlib.suppress(StopIteration):
            checks.judge(case, never_wait).send(None)
    return case


# What may be ignored.


def test_field_in_extra_holds_nothing_up(world: World) -> None:
    world.start(1, extra={"site": "north", "battery": {"least_percent": 20}})
    finish(world)
    for device in world.devices.values():
        assert judged_by_an_agent(world, device).manifest["release"] == 1


# An order of next year.


def test_order_that_a_device_cannot_read_is_not_signed_and_the_device_is_named(
    world: World, next_year: None
) -> None:
    update_all_but(world, "d7")
    world.start(1)
    finish_or_hold(world)
    held = newest(world)
    assert held.status == HELD
    assert "1 known device cannot read it: d7 reads order v 2 at most, v 3 is needed" in (
        held.reason
    )
    assert world.ordered(world.devices["d7"]) is None
    shown = seen(world)
    assert shown.why == held.reason
    assert "by itself when these devices report that they can read it: update their agents" in (
        shown.next
    )
    assert "`modelwave device forget`" in shown.next


def finish_or_hold(world: World) -> None:
    for _ in range(4):
        world.tick()
        world.answer("SUCCEEDED", world.devices.values())


def test_stages_without_such_a_device_open_before(world: World, next_year: None) -> None:
    last = max(world.devices.values(), key=lambda device: drawn(0).index(slot(FLEET, device.name)))
    update_all_but(world, last.name)
    world.start(1)
    finish_or_hold(world)
    assert len(newest(world).stages) == 2
    assert [stage.verdict for stage in newest(world).stages] == ["PASS", "PASS"]
    assert newest(world).reason.startswith("stage 3 (100 %): 1 known device")


def test_it_goes_on_by_itself_when_the_device_reads_it(world: World, next_year: None) -> None:
    update_all_but(world, "d7")
    world.start(1)
    finish_or_hold(world)
    assert newest(world).status == HELD
    update(world, world.devices["d7"])
    finish(world)
    assert judge_order(world, "d7")["v"] == 3


def judge_order(world: World, name: str) -> dict[str, Any]:
    order = world.ordered(world.devices[name])
    assert order is not None
    return order


def test_it_goes_on_when_the_device_is_forgotten(world: World, next_year: None) -> None:
    update_all_but(world, "d7")
    world.start(1)
    finish_or_hold(world)
    assert cli.run(["--home", str(world.home.path), "device", "forget", "d7"]) == 0
    del world.devices["d7"]
    finish(world)


def test_before_the_first_stage_it_holds_too_and_names_a_few(world: World, next_year: None) -> None:
    world.start(1)  # nobody has said what it reads: agents of the first kind
    world.tick()
    held = newest(world)
    assert (held.status, held.stages) == (HELD, [])
    assert held.reason.startswith("stage 1 (10 %): 2 known devices cannot read it: d")
    world.tick()
    assert held_events(world) == ["held"]


def held_events(world: World) -> list[str]:
    with world.store.read() as connection:
        return [e.body.kind for e in log.events_after(connection) if e.body.kind == "held"]


def test_many_such_devices_are_counted_and_a_few_named(world: World, next_year: None) -> None:
    world.start(1, quick(100))
    world.tick()
    reason = newest(world).reason
    assert reason.startswith("stage 1 (100 %): 20 known devices cannot read it: ")
    assert reason.count("reads order v 2 at most") == 3
    assert reason.endswith("; and 17 more")


def test_resume_asks_again_and_keeps_holding(world: World, next_year: None) -> None:
    update_all_but(world, "d7")
    world.start(1)
    finish_or_hold(world)
    rollouts.resume(world.store, "1", "", world.now)
    assert newest(world).status == RUNNING
    world.tick()
    assert newest(world).status == HELD
    assert world.ordered(world.devices["d7"]) is None
    with pytest.raises(OperatorError, match="--accept: rollout 1 is held by devices"):
        rollouts.resume(world.store, "1", "never mind", world.now)


def test_resume_before_the_first_stage_leaves_it_new(world: World, next_year: None) -> None:
    world.start(1)
    world.tick()
    rollouts.resume(world.store, "1", "", world.now)
    assert newest(world).status == NEW


def test_gate_that_was_overruled_stays_so_over_the_hold(world: World, next_year: None) -> None:
    update_all_but(world, "d7")
    world.start(1)
    world.tick()
    world.answer("FAILED", world.devices.values())
    world.tick()
    assert newest(world).held_by == "gate"
    last = newest(world)
    rollouts.resume(world.store, "1", "known outage", world.now)
    finish_or_hold(world)
    assert (newest(world).status, newest(world).held_by) == (HELD, "format")
    assert len(newest(world).stages) >= len(last.stages)
    update(world, world.devices["d7"])
    finish(world)


def test_resume_after_such_a_hold_takes_no_overruled_gate_back(
    world: World, next_year: None
) -> None:
    update_all_but(world, "d7")
    world.start(1)
    world.tick()
    world.answer("FAILED", world.devices.values())
    world.tick()
    rollouts.resume(world.store, "1", "known outage", world.now)
    finish_or_hold(world)
    assert newest(world).held_by == "format"
    before = [(stage.accepted, stage.waiting_since) for stage in newest(world).stages]
    assert "known outage" in [accepted for accepted, _ in before]
    world.now += 10
    rollouts.resume(world.store, "1", "", world.now)
    assert [(stage.accepted, stage.waiting_since) for stage in newest(world).stages] == before


def test_a_fail_reverts_while_it_is_held_for_a_device(world: World, next_year: None) -> None:
    update_all_but(world, "d7")
    world.start(1)
    finish_or_hold(world)
    assert (newest(world).status, newest(world).held_by) == (HELD, "format")
    world.answer("ROLLED_BACK", world.devices.values())
    world.tick()
    assert newest(world).status == REVERTED


def test_the_way_back_is_ordered_all_the_same_and_names_who_cannot_read_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.start(1)
    finish(world)
    world.start(2)
    finish_or_hold(world)
    for kind, newest_v in NEXT_YEAR.items():  # the controller is updated in between
        monkeypatch.setitem(READS, kind, newest_v)
    monkeypatch.setitem(WRITES, ORDER, 3)
    update_all_but(world, "d7")
    rollouts.revert(world.store, "2", "it drifts", world.now)
    world.tick()
    assert newest(world).status == REVERTING
    assert newest(world).reason == (
        "it drifts; the orders to revert are sent, but 1 known device cannot read it: "
        "d7 reads order v 2 at most, v 3 is needed"
    )
    assert judge_order(world, "d7")["v"] == 3


# A manifest of next year.


def test_manifest_that_a_device_cannot_read_holds_the_rollout(
    world: World, next_year: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(WRITES, ORDER, 1)
    update_all_but(world, "d7")
    world.start(1, v=3)
    finish_or_hold(world)
    assert newest(world).status == HELD
    assert "d7 reads manifest v 2 at most, v 3 is needed" in newest(world).reason
    update(world, world.devices["d7"])
    finish(world)


def test_documents_of_the_first_format_hold_nothing_up_next_year(
    world: World, next_year: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(WRITES, ORDER, 1)
    world.start(1)
    finish(world)
    assert "v" not in judge_order(world, "d7")  # so that the first agents read it


# Who comes later.


@pytest.mark.parametrize(
    ("writes", "changes", "problem"),
    [
        (3, {}, "fields: order.v: 3 is a newer format; order v 2 is read here; update the agent"),
        (1, {"v": 3}, "manifest: manifest.v: 3 is a newer format; manifest v 2 is read here"),
    ],
)
def test_late_joiner_that_cannot_read_it_is_shown_with_what_it_says(
    world: World,
    next_year: None,
    monkeypatch: pytest.MonkeyPatch,
    writes: int,
    changes: dict[str, Any],
    problem: str,
) -> None:
    monkeypatch.setitem(WRITES, ORDER, writes)
    update_all_but(world)
    world.start(1, **changes)
    finish(world)
    (late,) = world.add(1)
    with pytest.raises(checks.OrderRefused) as refused:
        judged_by_an_agent(world, late)
    reason = str(refused.value)
    assert reason.startswith(problem)
    if refused.value.check.proven:  # it can say which order it rejects
        world.answer("REJECTED", [late], reason)
        outcome = "REJECTED"
    else:
        late.says["refused"] = reason
        world.hear([late])
        outcome = "silent"
    assert [(p.device, p.outcome, p.reason) for p in seen(world).problems] == [
        (late.name, outcome, reason)
    ]


def test_note_of_a_device_that_was_in_progress_with_an_earlier_order_is_shown(world: World) -> None:
    world.start(1)
    finish(world)
    (late,) = world.add(1)
    world.answer("", [late])
    assert seen(world).problems == []
    late.says["refused"] = "another order 3 was taken already"
    world.hear([late])
    assert [(p.device, p.outcome, p.reason) for p in seen(world).problems] == [
        (late.name, "IN_PROGRESS", "another order 3 was taken already")
    ]


def test_note_of_a_device_that_answered_or_is_ordered_something_else_is_no_problem(
    world: World,
) -> None:
    world.start(1)
    finish(world)
    device = world.devices["d3"]
    device.says["refused"] = "signed: signatures: 0 of the 1"
    world.hear([device])
    assert seen(world).problems == []
    with world.store.read() as connection:
        first = StatusReader(connection, "1")
        assert first.read(connection, world.now).problems == []


def test_note_on_a_later_order_is_no_problem_of_the_rollout_before(world: World) -> None:
    world.start(1)
    finish(world)
    (late,) = world.add(1)
    late.says["refused"] = "signed: signatures: 0 of the 1"
    world.hear([late])
    del world.devices[late.name]  # so that it answers to nothing
    world.start(2)
    finish_or_hold(world)
    with world.store.read() as connection:
        first, second = StatusReader(connection, "1"), StatusReader(connection, "2")
        assert first.read(connection, world.now).problems == []
        assert [p.device for p in second.read(connection, world.now).problems] == [late.name]


# What the commands show.


def test_dry_run_names_who_could_not_read_it(
    world: World, next_year: None, capsys: pytest.CaptureFixture[str]
) -> None:
    update_all_but(world, "d7")
    world.shelve(1)
    command = ["--home", str(world.home.path), "rollout", "start", "digits", "1", "--dry-run"]
    assert cli.run(command) == 0
    out = capsys.readouterr().out
    assert "These devices cannot read the order; the rollout will wait for them:" in out
    assert "reads order v 2 at most, v 3 is needed" in out
    assert cli.run([*command, "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)["devices"]
    assert [d["device"] for d in planned if d["unreadable"]] == ["d7"]


def test_device_is_shown_with_what_it_reads(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    update(world, world.devices["d1"], reads={"order": 4, "heartbeat": 1})
    assert cli.run(["--home", str(world.home.path), "device", "show", "d1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["reads"] == {"root": 1, "manifest": 1, "order": 4, "heartbeat": 1}
    assert cli.run(["--home", str(world.home.path), "device", "show", "d2"]) == 0
    assert "root v 2, manifest v 2, order v 2" in capsys.readouterr().out


# Reports and metrics of next year.


@pytest.mark.parametrize(
    ("kind", "changes", "problem"),
    [
        ("report", {"v": 2, "mood": "good"}, "report.v: 2 is a newer format; report v 1"),
        ("report", {"mood": "good"}, "report.mood: an unknown field; report v 1"),
        ("metrics", {"v": 2}, "metrics.v: 2 is a newer format; metrics v 1"),
        ("metrics", {"mood": 1}, "metrics.mood: an unknown field; metrics v 1"),
    ],
)
def test_what_a_newer_agent_says_is_counted_and_says_what_to_update(
    world: World,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    changes: dict[str, Any],
    problem: str,
) -> None:
    counts = {"release": 1, "inferences": 1, "failures": 0, "labelled": 0, "correct": 0}
    metrics = {"boot": 1, "n": 9, "model": "digits"} | counts
    payload = world.devices["d1"].report(**changes)
    topic = topics.reported(FLEET, "d1")
    if kind == words.METRICS:
        payload, topic = json.dumps(metrics | changes).encode(), topics.metrics(FLEET, "d1")
    world.inbox.put(topic, payload)
    world.hear([])
    assert cli.run(["--home", str(world.home.path), "device", "show", "d1", "--json"]) == 0
    bad = json.loads(capsys.readouterr().out)["bad"]
    name = {"report": "reported"}.get(kind, kind)
    assert bad["reason"] == f"{name}: {problem} is read here; update the controller"
    assert cli.run(["--home", str(world.home.path), "device", "list"]) == 0
    assert "1 message ignored" in capsys.readouterr().out


def test_what_a_newer_agent_puts_into_extra_is_ignored(world: World) -> None:
    device = world.devices["d1"]
    device.says["extra"] = {"mood": "good"}
    device.says["agent"] = "next year's"
    world.hear([device])
    with world.store.read() as connection:
        found = device_list.device(connection, "d1", world.now)
    assert (found["agent"], found["bad"]) == ("next year's", None)
