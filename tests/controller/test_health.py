"""Tests that a dead service and a broker that is not connected are said, and that presence is then
not known."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rollout_commands import Run
from rollout_world import FLEET, World

from modelwave_controller.operations.health import Health
from modelwave_controller.phrases import moment
from modelwave_controller.storage import holder, lease
from modelwave_controller.storage.lease import Identity, Lease, LinkState
from modelwave_shared import topics

NOW = 1_800_000_000.0


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=3)) as made:
        made.shelve(1)
        made.now = time.time()
        made.inbox.put(topics.presence(FLEET, "d1"), b"online")
        made.hear([])
        yield made


def dead(world: World) -> str:
    """The service ticked for the last time five minutes ago; returns how that moment is shown."""
    world.now -= 300
    world.tick()
    return moment(int(world.now))


def leading(world: World) -> None:
    with world.store.write() as connection:
        lease.take(connection, Identity("x", "far", 12, ""), world.now)


def unconnected(world: World, since: float) -> None:
    leading(world)
    with world.store.write() as connection:
        lease.note_link(connection, False, since)


def test_dead_service_is_said_where_anybody_looks_and_presence_is_unknown(
    world: World, run: Run
) -> None:
    world.start(1)
    since = dead(world)
    advice = f"no service has run for 6 min, since {since}: start `modelwave serve`"
    for command in ("fleet status", "rollout status", "device list", "device show d1"):
        ran = run(*command.split())
        words = " ".join((ran.out + ran.err).split())
        assert advice in words.replace("5 min", "6 min"), command
    assert "online is unknown" in run("fleet", "status").out
    assert run("fleet", "status", "--json").json()["online"] is None
    assert run("fleet", "status", "--json").json()["service_runs"] is False
    assert " unknown " in run("device", "list").out
    assert {entry["online"] for entry in run("device", "list", "--json").json()} == {None}


@pytest.mark.parametrize("is_there", [True, False])
def test_a_service_whose_process_is_there_is_not_to_be_started(
    world: World, run: Run, is_there: bool
) -> None:
    """Its disk is full, or it hangs."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    pid = os.getpid() if is_there else ended.pid
    world.start(1)
    since = dead(world)
    with world.store.write() as connection:
        lease.take(connection, Identity("x", "here", pid, holder.place()), world.now)
    said = " ".join(run("rollout", "status").out.split())
    assert ("no service has run for" in said) != is_there
    told = f"(process {pid} on here) has written nothing for 5 min, since {since}, though"
    assert (told in said.replace("6 min", "5 min")) == is_there


def test_broker_that_is_not_connected_is_said_and_presence_is_unknown(
    world: World, run: Run
) -> None:
    world.start(1)
    world.tick()
    unconnected(world, world.now - 600)
    since = moment(world.now - 600)
    for command in ("fleet status", "rollout status", "device list"):
        ran = run(*command.split())
        words = " ".join((ran.out + ran.err).split())
        assert "has not been connected to the broker for 1" in words, command
        assert f"since {since}, its log says why; start the broker" in words, command
    found = run("fleet", "status", "--json").json()
    assert (found["service_runs"], found["link"]["connected"], found["online"]) == (
        True,
        False,
        None,
    )
    assert " unknown " in run("device", "list").out


def test_who_leads_is_said_and_also_when_nobody_does_any_more(world: World, run: Run) -> None:
    world.tick()
    leading(world)
    with world.store.write() as connection:
        lease.note_link(connection, True, world.now)
    assert run("fleet", "status", "--json").json()["leader"] == {"host": "far", "pid": 12}
    words = " ".join(run("fleet", "status").out.split())
    assert "runs (process 12 on far), and is connected to the broker" in words
    with world.store.write() as connection:
        lease.note_link(connection, False, world.now)
    words = " ".join(run("fleet", "status").out.split())
    assert "the service (process 12 on far) has not been connected to the broker" in words
    with world.store.write() as connection:
        lease.give_back(connection, world.now)
    assert run("fleet", "status", "--json").json()["leader"] is None
    assert "no service has led for" in " ".join(run("fleet", "status").out.split())


def test_a_dead_leader_is_not_shown_as_the_one_that_leads(world: World, run: Run) -> None:
    leading(world)
    dead(world)
    assert run("fleet", "status", "--json").json()["leader"] is None


def test_running_service_is_said_and_presence_is_known(world: World, run: Run) -> None:
    world.tick()
    status, listed = run("fleet", "status"), run("device", "list")
    assert "1 online" in status.out
    assert "service" in status.out
    assert "online" in listed.out
    assert listed.err == ""


def test_offline_devices_cannot_be_listed_while_presence_is_not_known(
    world: World, run: Run
) -> None:
    dead(world)
    ran = run("device", "list", "--offline")
    assert ran.code == 2
    assert "--offline: not known" in ran.err
    assert "modelwave serve" in ran.err


def test_a_rollout_that_is_over_does_not_need_the_service(world: World, run: Run) -> None:
    run("rollout", "abort", str(world.start(1)))
    dead(world)
    assert "no service" not in run("rollout", "status").out


LEADER = Lease("x", "far", 12, "", 1, 1, True)


@pytest.mark.parametrize(
    ("seen", "link", "leader", "words"),
    [
        (0, None, None, "no service has run yet"),
        (NOW - 15, None, None, ""),
        (NOW - 16, None, None, "no service has run for 16 s"),
        (NOW - 16, LinkState(False, NOW - 60), None, "no service has run for 16 s"),
        (NOW, LinkState(True, NOW - 60), LEADER, ""),
        (NOW, LinkState(False, NOW - 60), LEADER, "(process 12 on far) has not been connected"),
        (NOW, LinkState(False, NOW - 60), LEADER, "broker for 60 s"),
        (NOW, LinkState(False, NOW - 5), None, "no service has led for 5 s"),
    ],
)
def test_worst_problem_is_the_one_that_is_said(
    seen: float, link: LinkState | None, leader: Lease | None, words: str
) -> None:
    found = Health(int(seen), link, leader, NOW)
    assert words in found.problem
    assert bool(found.problem) == bool(words)
    assert found.up_to_date == (words == "")
