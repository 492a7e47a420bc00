"""Clock, log and order numbers are looked after from another machine, in a person's name."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from modelwave_controller import cli
from modelwave_controller.operations import enrolling, history, log_verifying
from modelwave_controller.results.log import LogEntry
from modelwave_controller.storage import tables
from modelwave_controller.storage.log import Wanted
from tests.controller.rollout_world import World, quick
from tests.web.asking import ask
from tests.web.served import served


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=4)) as made:
        rolled_out(made, 1)
        yield made


def rolled_out(world: World, release: int) -> None:
    world.start(release, quick(100))
    world.tick()
    world.answer("SUCCEEDED", [*world.devices.values()])
    world.now += 200
    world.tick()


@pytest.fixture
def url(world: World) -> Iterator[str]:
    with served(world) as url:
        yield url


def newest(world: World) -> LogEntry:
    return history.page(world.store, Wanted(None, False, None), 1, "").entries[-1]


def post(url: str, path: str, **said: Any) -> Any:
    answer = ask(url, "POST", f"/api/v1/{path}", said)
    assert answer.status == 200, answer.body
    return answer.json


def test_what_is_done_is_in_the_log_with_who_did_it(world: World, url: str) -> None:
    post(url, "clock/accept", reason="it was synchronised")
    assert (newest(world).kind, newest(world).actor) == ("clock_accepted", "some-admin")
    done = post(url, "order-numbers/digits/recover", to=5000)
    assert (done["next"], done["numbers"]["next"]) == (5001, None)
    assert (newest(world).kind, newest(world).actor) == ("recovered", "some-admin")


def test_devices_are_revoked_also_where_the_broker_s_files_cannot_be_written(
    world: World, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "/home/broker/users")

    with monkeypatch.context() as patched:
        patched.setattr(enrolling.access, "write", denied)
        found = ask(url, "POST", "/api/v1/enrolment/revoke", {"devices": ["d0"]})
    assert found.status == 503
    assert "/home/broker/users: Permission denied" in found.json["detail"]
    assert (newest(world).kind, newest(world).actor) == ("device_revoked", "some-admin")
    assert ask(url, "GET", "/api/v1/devices").json["devices"][0]["device"] == "d1"
    assert post(url, "enrolment/revoke", devices=["d0"])["revoked"] == ["d0"]


def test_old_answers_are_told_and_then_deleted(world: World, url: str) -> None:
    rolled_out(world, 2)  # until then release 1 is ordered
    with world.store.write() as connection:
        connection.execute(update(tables.events).values(at=1.0))
    would = ask(url, "GET", "/api/v1/log/prunable?older_than=60").json
    assert would == post(url, "log/prune", older_than=60)
    assert would == [{"rollout": 1, "model": "digits", "answers": 4}]
    assert newest(world).actor == "some-admin"
    assert post(url, "log/prune", older_than=60) == []


def test_a_log_that_was_altered_is_an_error_of_the_command_and_an_answer_of_the_call(
    world: World, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with world.store.write() as connection:
        connection.execute(update(tables.events).where(tables.events.c.id == 2).values(at=1.0))
    monkeypatch.setenv("MODELWAVE_TOKEN", "viewer")
    assert cli.run(["--server", url, "log", "verify", "--json"]) == 1
    out, err = capsys.readouterr()
    assert (json.loads(out)["whole"], json.loads(out)["event"]) == (False, 2)
    assert "`modelwave restore FILE`" in err


def test_one_at_a_time_goes_over_the_log(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real, second = log_verifying.verify, []

    def verify(*arguments: Any) -> Any:
        second.append(ask(url, "GET", "/api/v1/log/verify", token="operator"))
        return real(*arguments)

    monkeypatch.setattr(log_verifying, "verify", verify)
    first = ask(url, "GET", "/api/v1/log/verify", token="viewer")
    assert (first.status, [one.status for one in second]) == (200, [429])
    assert int(second[0].headers["retry-after"]) > 0
    monkeypatch.setattr(log_verifying, "verify", real)
    assert ask(url, "GET", "/api/v1/log/verify", token="operator").json["whole"]
