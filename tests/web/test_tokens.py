"""Access tokens are made, listed and revoked from another machine; a secret is shown once."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from modelwave_controller import cli
from modelwave_controller.people import token_text, tokens
from tests.controller.rollout_world import World
from tests.web.asking import ask
from tests.web.served import served_to_tokens

TOKENS = "/api/v1/tokens"
CI = {"name": "ci", "role": "operator"}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=1)) as made:
        yield made


@pytest.fixture
def url(world: World) -> Iterator[str]:
    with served_to_tokens(world) as found:
        yield found


@pytest.fixture
def admin(world: World) -> str:
    with world.store.write() as connection:
        return tokens.make(connection, "ann", "admin", 3600, world.now, "adam@desk").secret.text


def test_a_new_token_lets_in_until_it_is_revoked(url: str, admin: str) -> None:
    made = ask(url, "POST", TOKENS, CI, admin).json
    assert (made["name"], made["role"], made["made_by"]) == ("ci", "operator", "ann")
    assert ask(url, "GET", "/api/v1/rollouts", token=made["token"]).status == 200
    listed = ask(url, "GET", TOKENS, token=admin).json
    assert {one["id"] for one in listed} == {made["id"], admin[3:11]}
    assert all("token" not in one and "digest" not in one for one in listed)
    ended = ask(url, "POST", f"{TOKENS}/ci/revoke", token=admin).json
    assert ended == {"name": "ci", "revoked": [made["id"]]}
    assert ask(url, "GET", "/api/v1/rollouts", token=made["token"]).status == 401
    states = ask(url, "GET", f"{TOKENS}?over=true", token=admin).json
    assert [one["live"] for one in states] == [True, False]


@pytest.mark.parametrize("key", [{}, {"Idempotency_Key": "one"}])
def test_a_secret_is_answered_once_and_stored_nowhere(
    world: World, url: str, admin: str, key: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    answer = ask(url, "POST", TOKENS, CI, admin, **key)
    assert (answer.headers["cache-control"], "etag" in answer.headers) == ("no-store", False)
    secret = answer.json["token"][12:55]
    if key:
        again = ask(url, "POST", TOKENS, CI, admin, **key)
        assert (again.status, "was done before" in again.json["detail"]) == (409, True)
        assert secret not in again.body.decode()
    with closing(sqlite3.connect(world.home.path / "modelwave.db")) as connection:
        dump = "\n".join(connection.iterdump())
        [kept] = connection.execute("SELECT sum(status) FROM kept_requests").fetchone()
    assert (answer.json["id"] in dump, secret in dump, kept) == (True, False, 0 if key else None)
    assert secret not in caplog.text


def test_a_token_that_is_given_in_place_of_its_id_is_sent_nowhere_and_not_repeated(
    url: str, admin: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def sent(*_: object, **__: object) -> None:
        raise AssertionError

    text = token_text.draw().text
    found = ask(url, "POST", f"{TOKENS}/{text}/revoke", token=admin)
    assert (found.status, text[12:] in found.body.decode()) == (422, False)
    monkeypatch.setenv("MODELWAVE_TOKEN", admin)
    monkeypatch.setattr("http.client.HTTPConnection.request", sent)
    assert cli.run(["--server", url, "token", "revoke", text]) == 2
    assert text[12:] not in "".join(capsys.readouterr())
