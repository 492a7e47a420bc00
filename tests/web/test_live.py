"""Tests of the log as it grows, for those who follow it."""

import http.client
import subprocess
import sys
from typing import Any

import pytest

from modelwave_controller.operations import history, rollouts
from modelwave_controller.people.local_token import local_token
from modelwave_controller.web import feed, live
from tests.controller.rollout_world import World, quick
from tests.web.following import Follower
from tests.web.served import served


def test_a_reader_gets_what_happens_with_its_id(world: World, url: str) -> None:
    with Follower(url, "viewer") as reader:
        assert reader.answer.headers["Content-Type"] == "text/event-stream"
        begin = reader.block()
        assert int(begin["id"]) == history.newest_id(world.store)
        assert int(begin["retry"]) > 0
        rollouts.pause(world.store, "1", "lunch", world.now, "eve@desk")
        event = reader.event()
        assert (event["kind"], event["actor"], event["reason"]) == ("paused", "eve@desk", "lunch")
        assert event["id"] == reader.last == history.newest_id(world.store)


def test_a_reader_that_comes_back_misses_nothing(world: World, url: str) -> None:
    with Follower(url, "viewer", after=0) as reader:
        first = reader.event()
    rollouts.pause(world.store, "1", "lunch", world.now, "eve@desk")
    with Follower(url, "viewer", first["id"], after=0) as reader:  # as a browser does it
        found = [reader.event()["id"] for _ in range(history.newest_id(world.store) - first["id"])]
    assert found == [*range(first["id"] + 1, history.newest_id(world.store) + 1)]


def test_an_id_from_after_the_newest_event_is_the_newest(world: World, url: str) -> None:
    with Follower(url, "viewer", 10**9) as reader:
        assert int(reader.block()["id"]) == history.newest_id(world.store)


def test_answers_of_devices_and_other_rollouts_are_sent_where_they_are_wanted(
    world: World, url: str
) -> None:
    world.tick()
    world.add(1, "other")
    one = world.start(2, quick(100), targets=["other"])
    with (
        Follower(url, "viewer") as plain,
        Follower(url, "viewer", answers="true") as all_of_it,
        Follower(url, "viewer", rollout=one) as its,
    ):
        for reader in (plain, all_of_it, its):
            reader.block()
        world.answer("SUCCEEDED", world.devices.values())
        rollouts.pause(world.store, "1", "lunch", world.now, "eve@desk")
        rollouts.pause(world.store, str(one), "tea", world.now, "eve@desk")
        assert plain.event()["reason"] == "lunch"
        assert all_of_it.event()["device"]
        assert its.event()["reason"] == "tea"


def test_a_reader_behind_what_is_kept_reads_the_database(
    world: World, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "KEPT", 3)
    monkeypatch.setattr(feed, "PAGE", 2)
    first = history.newest_id(world.store)
    with Follower(url, "viewer") as reader, Follower(url, "viewer", after=0) as late:
        for _ in range(10):
            rollouts.pause(world.store, "1", "lunch", world.now, "eve@desk")
            rollouts.resume(world.store, "1", "", world.now, "eve@desk")
        newest = history.newest_id(world.store)
        assert [reader.event()["id"] for _ in range(newest - first)] == [
            *range(first + 1, newest + 1)
        ]
        assert [late.event()["id"] for _ in range(newest)] == [*range(1, newest + 1)]


def test_a_comment_shows_that_the_connection_stands(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_SECONDS", 0.05)
    with Follower(url, "viewer") as reader:
        reader.block()
        assert reader.block() == {"": ""}
        assert reader.block() == {"": ""}


def test_a_reader_whose_token_is_over_is_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(live, "LOOK_SECONDS", 0.05)
    tokens = {"viewer"}
    with served(world, tokens.__contains__) as url, Follower(url, "viewer") as reader:
        reader.block()
        assert reader.block() == {"": ""}
        tokens.clear()
        with pytest.raises(EOFError):
            reader.event()


@pytest.mark.parametrize(("bound", "status"), [("MAX_READERS", 429), ("MAX_OF_ONE", 429)])
def test_readers_are_bounded_and_a_place_is_free_again(
    url: str, monkeypatch: pytest.MonkeyPatch, bound: str, status: int
) -> None:
    monkeypatch.setattr(live, bound, 1)
    monkeypatch.setattr(live, "HEARTBEAT_SECONDS", 0.05)
    with Follower(url, "viewer") as reader:
        reader.block()
        with Follower(url, "viewer") as other:
            assert other.answer.status == status
            assert int(other.answer.headers["Retry-After"]) > 0
    wait_for_a_place(url)  # the service notices at its next word to the one that left


def test_a_reader_that_leaves_is_no_error(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live, "MAX_OF_ONE", 1)
    monkeypatch.setattr(live, "HEARTBEAT_SECONDS", 0.05)
    for _ in range(3):
        with Follower(url, "viewer") as reader:
            reader.block()
        wait_for_a_place(url)
    assert [one.getMessage() for one in caplog.records if one.levelname == "ERROR"] == []


def test_a_reader_that_takes_nothing_is_ended(
    world: World, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "UNTAKEN_SECONDS", 0.2)
    monkeypatch.setattr(feed, "framed", lambda entry: b"id: %d\ndata: {}\n\n" % entry.id * 500_000)
    monkeypatch.setattr(live, "MAX_OF_ONE", 1)
    with Follower(url, "viewer") as reader:
        reader.block()
        for _ in range(4):
            rollouts.pause(world.store, "1", "lunch", world.now, "eve@desk")
            rollouts.resume(world.store, "1", "", world.now, "eve@desk")
        wait_for_a_place(url)


def wait_for_a_place(url: str) -> None:
    while True:
        with Follower(url, "viewer") as other:
            if other.answer.status == 200:
                return


@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", "since=1", "rollout=77", "after=0&after=1"]
)
def test_what_is_no_field_is_refused(url: str, query: str) -> None:
    host = url.removeprefix("http://")
    connection = http.client.HTTPConnection(host)
    connection.request(
        "GET", f"/api/v1/log/stream?{query}", headers={"Authorization": "Bearer viewer"}
    )
    answer = connection.getresponse()
    assert answer.status in (404, 422)
    assert answer.headers["Content-Type"] == "application/problem+json"
    connection.close()


class Service:
    """`modelwave serve` of a world's home."""

    def __init__(self, world: World) -> None:
        command = [sys.executable, "-m", "modelwave_controller", "--home", str(world.home.path)]
        self.process = subprocess.Popen([*command, "serve"], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        said = next(line for line in self.process.stdout if "operators are answered at" in line)
        self.url = said.split()[-1]

    def kill(self) -> None:
        self.process.kill()
        if self.process.returncode is None:
            self.process.communicate()

    def __enter__(self) -> "Service":
        return self

    def __exit__(self, *_: Any) -> None:
        self.kill()


@pytest.mark.slow
def test_after_a_kill_a_reader_goes_on_at_the_right_event(world: World) -> None:
    token = local_token(world.home, world.store, world.now, "eve@desk")
    first = history.newest_id(world.store)
    found = []
    with Service(world) as service, Follower(service.url, token) as reader:
        rollouts.pause(world.store, "1", "one", world.now, "eve@desk")
        while not found or found[-1]["reason"] != "one":
            found.append(reader.event())
        service.kill()
        rollouts.resume(world.store, "1", "", world.now, "eve@desk")
        last = reader.last
        with pytest.raises((EOFError, http.client.HTTPException, OSError)):
            reader.event()
    with (
        Service(world) as service,
        Follower(service.url, token, last) as reader,
    ):
        rollouts.pause(world.store, "1", "two", world.now, "eve@desk")
        while found[-1]["reason"] != "two":
            found.append(reader.event())
    ids = [event["id"] for event in found]
    assert ids == [*range(first + 1, ids[-1] + 1)]
