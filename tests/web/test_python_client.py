"""The Python client, and the training job of examples/ci that uses it."""

import http.client
import runpy
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import FunctionType

import pytest

from modelwave_controller.api import fleet
from modelwave_controller.api.call import Call
from modelwave_controller.api.every import CALLS
from modelwave_controller.cli.rollout import EXIT_CODES
from modelwave_controller.client.client import Client
from modelwave_controller.errors import OperatorError, ServerError, UnknownPersonError
from modelwave_controller.operations import rollouts
from tests.controller.rollout_world import World
from tests.web.bundles import bundle
from tests.web.served import served

JOB = Path(__file__).parents[2] / "examples" / "ci" / "release_and_wait.py"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=4)) as made:
        made.shelve(1)
        yield made


@pytest.fixture
def client(world: World) -> Iterator[Client]:
    with served(world) as url, Client(url, "operator") as made:
        yield made


def test_a_rollout_is_started_waited_for_and_told(client: Client, world: World) -> None:
    plan = {"stages": [{"percent": 100, "soak": "1h"}], "gates": []}
    assert client.rollouts.lint(plan)[0].soak == "1h"
    assert len(client.rollouts.dry_run("digits", 1, plan).devices) == 4
    number = client.rollouts.start("digits", "v1", plan, seed=7).status.rollout
    assert client.rollouts.wait(number, seconds=0).status == "NEW"
    seen = []
    client.rollouts.abort(number, "enough")
    ended = client.rollouts.wait("digits", every=0, tell=seen.append)
    assert (ended.status, ended, len(seen)) == ("ABORTED", seen[-1], 1)
    assert client.rollouts.report(number).status.status == "ABORTED"
    assert [entry.rollout for entry in client.rollouts.list()] == [number]
    assert "enough" in [one.reason for one in client.log.entries(number)][-1]


def test_each_call_has_a_method(client: Client) -> None:
    asked = set()
    for group in vars(client).values():
        for method in vars(type(group)).values():
            if isinstance(method, FunctionType):
                asked |= {
                    getattr(module, name)
                    for module in map(method.__globals__.get, method.__code__.co_names)
                    for name in method.__code__.co_names
                    if isinstance(getattr(module, name, None), Call)
                }
    assert asked == {*CALLS, fleet.STREAM}


def test_an_administrator_looks_after_the_service(world: World) -> None:
    with served(world) as url, Client(url, "admin") as client:
        made = client.tokens.create("eve", "viewer", seconds=3600)
        assert [one.name for one in client.tokens.list()] == ["eve"]
        assert made.token not in repr(made)
        assert client.tokens.revoke("eve").revoked == [made.id]
        assert client.enrolment.revoke(["d3"]).revoked == ["d3"]
        assert client.upkeep.verify_log().whole
        assert client.upkeep.clock().doubt == ""
        assert [one.ahead for one in client.upkeep.order_numbers()] == [0]
        assert client.upkeep.prunable() == client.upkeep.prune_log() == []
        assert client.alerts.list() == []


def test_lists_are_iterated_page_by_page(client: Client, world: World) -> None:
    assert [one["device"] for one in client.devices.list(limit=3)] == ["d0", "d1", "d2", "d3"]
    assert client.devices.tag(["d0"], add=["canary"]) == {"d0": ["canary"]}
    assert [one["device"] for one in client.devices.list(tag="canary")] == ["d0"]
    assert client.fleet.status().devices == 4
    assert list(client.fleet.deployments()) == []


def test_releases_and_targets_are_shown(client: Client, world: World) -> None:
    world.shelve(2)
    assert [one.manifest["release"] for one in client.releases.list()] == [1, 2]
    assert list(client.releases.list("letters")) == []
    (found,) = client.releases.show("digits", "v2")
    assert client.releases.show("digits", 2, "linux-cpu") == [found]
    bill = client.releases.bill_of_materials("digits", 2)
    assert bill["metadata"]["component"]["version"] == "v2"
    (one,) = client.models.list()
    assert [line.release for line in one.newest] == [2, 1]
    assert list(client.models.releases("digits")) == one.newest
    assert [where.target for where in client.models.standing("digits", 2)] == ["linux-cpu"]
    assert "only a .tflite on a board" in client.models.arena("digits", 2, "linux-cpu").why
    assert client.targets.show("rp2040") in client.targets.list()


def test_the_log_is_followed_and_nothing_lost_or_twice_where_it_was_cut_off(
    client: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.start(1)
    readline, cut = http.client.HTTPResponse.readline, iter([False, True])

    def cut_off(answer: http.client.HTTPResponse, limit: int = -1) -> bytes:
        line = readline(answer, limit)
        if line.startswith(b"data:") and next(cut, False):  # its id was read already
            raise ConnectionResetError
        return line

    monkeypatch.setattr(http.client.HTTPResponse, "readline", cut_off)
    monkeypatch.setattr("modelwave_controller.client.stream.time.sleep", lambda _seconds: None)
    with closing(client.log.follow(after=0)) as events:
        found = [next(events)]
        rollouts.pause(world.store, "1", "lunch", world.now, "eve@desk")
        while found[-1].reason != "lunch":
            found.append(next(events))
    assert next(cut, None) is None
    assert [one.id for one in found] == [*range(1, found[-1].id + 1)]
    assert found == [*client.log.entries()]


def test_who_may_not_follow_the_log_is_told_and_so_is_who_reaches_nobody(world: World) -> None:
    with served(world) as url, pytest.raises(UnknownPersonError):
        next(Client(url, "nobody").log.follow())
    with pytest.raises(ServerError, match="not reached"):
        next(Client(url, "viewer").log.follow(patience=0))


def test_errors_are_those_of_the_service(client: Client) -> None:
    with pytest.raises(OperatorError, match="there is no rollout yet"):
        client.rollouts.status(7)
    with pytest.raises(OperatorError, match=r"plan: stages\.0\.percent"):
        client.rollouts.start("digits", 1, {"stages": [{"percent": 0}]})


def test_training_job_sends_its_release_and_ends_with_the_verdict(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def meanwhile(_seconds: float) -> None:
        rollouts.abort(world.store, "1", "it was worse", world.now, "somebody")
        world.tick()

    monkeypatch.setattr("modelwave_controller.client.client.time.sleep", meanwhile)
    monkeypatch.setenv("MODELWAVE_TOKEN", "operator")
    made = bundle(world, tmp_path / "made")
    with served(world) as url:
        monkeypatch.setenv("MODELWAVE_URL", url)
        job = runpy.run_path(str(JOB))
        main = job["main"]
        assert main(str(made)) == 4
        assert main(str(made), str(bundle(world, tmp_path / "other", 8))) == 2
        assert main(str(tmp_path / "nothing")) == 2
    out, err = capsys.readouterr()
    assert job["CODES"] | {"UNKNOWN": job["OTHER"]} == EXIT_CODES
    assert out.splitlines()[0].startswith("NEW")
    assert "it was worse" in out
    assert "give the bundles of one release" in err
    assert "not a bundle" in err
