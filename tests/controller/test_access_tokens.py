"""Tests of access tokens: who is let in, and that no secret is anywhere but where it was shown."""

import logging
import re
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from rollout_commands import Run
from rollout_world import World
from sqlalchemy import Connection

from modelwave_controller.errors import OperatorError, StorageError, UnknownPersonError
from modelwave_controller.people import roles, token_text, tokens, uses
from modelwave_controller.people.roles import Person
from modelwave_controller.rollout import events, lines
from modelwave_controller.storage import access_tokens, log
from modelwave_controller.storage.store import Store

NOW = 1_800_000_000.0
DAY = 86400


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path)) as made:
        yield made


def make(
    store: Store, name: str = "eve", role: str = roles.OPERATOR, seconds: float = 90 * DAY
) -> str:
    with store.write() as connection:
        return tokens.make(connection, name, role, seconds, NOW, "adam@desk").secret.text


def verify(store: Store, text: str, now: float = NOW) -> Person:
    with store.read() as connection:
        return tokens.verify(connection, text, now)


def refused(store: Store, text: str, now: float = NOW) -> str:
    """Returns the reason for the log, of a refusal that says the same outside for all reasons."""
    with pytest.raises(UnknownPersonError) as error:
        verify(store, text, now)
    assert str(error.value) == tokens.REFUSED
    return error.value.reason


def test_each_role_may_what_its_line_of_the_table_says() -> None:
    all_of_them = (roles.VIEW, roles.OPERATE, roles.APPROVE, roles.ADMINISTER)
    may = {role: [p for p in all_of_them if Person("x", role).may(p)] for role in roles.ROLES}
    assert may == {
        "viewer": ["view"],
        "operator": ["view", "operate"],
        "approver": ["view", "approve"],
        "admin": ["view", "operate", "approve", "administer"],
    }
    assert not Person("x", "owner").may(roles.VIEW)
    assert roles.at_home("adam@desk") == Person("adam@desk", "admin")


def test_a_token_lets_in_whom_it_was_made_for_until_it_expires(world: World) -> None:
    text = make(world.store, seconds=60)
    assert verify(world.store, text) == ("eve", "operator")
    assert verify(world.store, text, NOW + 59.9) == ("eve", "operator")
    assert refused(world.store, text, NOW + 60).endswith("of eve has expired")


def test_every_wrong_token_is_refused_alike_and_the_log_says_why(world: World) -> None:
    text = make(world.store)
    id = text[3:11]
    other = token_text.draw()
    forged = token_text.TokenText(id, "A" * 43).text
    assert refused(world.store, "") == "it has not the form mw_<id>_<secret>"
    assert refused(world.store, f"{text}\n") == "it has not the form mw_<id>_<secret>"
    typo = text[:-1] + ("a" if text[-1] != "a" else "b")
    assert refused(world.store, typo) == "its checksum is wrong: it has a typo"
    assert refused(world.store, other.text) == f"there is no token {other.id}"
    assert refused(world.store, forged) == f"token {id} of eve: its secret is wrong"
    with world.store.write() as connection:
        [ended] = tokens.revoke(connection, id, NOW + 1, "adam@desk")
    assert ended.name == "eve"
    assert refused(world.store, text, NOW + 2) == f"token {id} of eve was revoked"


def test_a_role_of_a_newer_program_lets_nobody_in(world: World) -> None:
    given = token_text.draw()
    row = access_tokens.AccessToken(given.id, "eve", "auditor", given.digest, NOW, "x", NOW + 9)
    with world.store.write() as connection:
        access_tokens.add(connection, row)
    assert "unknown role" in refused(world.store, given.text)


def test_text_has_an_id_256_bits_and_a_checksum_that_tells_each_typo_without_a_look_up() -> None:
    text = token_text.draw().text
    found = re.fullmatch(r"mw_([A-Z]{8})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})", text)
    assert found
    assert re.fullmatch(token_text.PATTERN, text)
    letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    assert sum(62**n * letters.index(c) for n, c in enumerate(text[::-1][:6])) == zlib.crc32(
        text[:-6].encode()
    )
    assert 62**token_text.SECRET_CHARACTERS >= 2**256
    assert token_text.draw().text != text
    for at in range(12, len(text)):
        typo = text[:at] + ("a" if text[at] != "a" else "b") + text[at + 1 :]
        with pytest.raises(ValueError, match="typo") as error:
            token_text.parse(typo)
        assert typo[12:] not in str(error.value)


def test_the_secret_is_nowhere_but_where_it_was_shown(
    world: World, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    made = run("token", "create", "eve", "--role", "viewer")
    text = made.out.strip()
    secret = text[12:55]
    assert token_text.parse(text)
    assert secret not in made.err
    assert secret not in repr(token_text.parse(text))
    for command in (("token", "list", "--all", "--json"), ("token", "list"), ("fleet", "log")):
        shown = run(*command)
        assert (shown.code, secret in shown.out + shown.err) == (0, False)
        assert text[3:11] in shown.out
    wrong = run("token", "revoke", text)
    assert wrong.code == 2
    assert secret not in wrong.out + wrong.err + caplog.text
    with closing(sqlite3.connect(world.home.path / "modelwave.db")) as connection:
        dump = "\n".join(connection.iterdump())
    assert text[3:11] in dump
    assert secret not in dump


def test_create_prints_the_token_alone_on_stdout_or_as_json(world: World, run: Run) -> None:
    made = run("token", "create", "ci", "--role", "operator", "--expires", "2h")
    assert verify(world.store, made.out.removesuffix("\n"), 0) == ("ci", "operator")
    assert "not shown again" in made.err
    found = run("token", "create", "ci", "--role", "operator", "--json").json()
    assert found["expires_at"] - found["made_at"] == 90 * DAY
    assert verify(world.store, found["token"], found["made_at"]).name == "ci"
    assert len(run("token", "list", "--json").json()) == 2  # one can be changed for another
    assert run("token", "revoke", "ci").out.startswith("revoked 2 access tokens of ci")
    assert run("token", "list", "--json").json() == []
    assert [one["live"] for one in run("token", "list", "--all", "--json").json()] == [False] * 2


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("Eve", "--role", "viewer"), "NAME: "),
        (("local", "--role", "viewer"), "means something else in the log"),
        (("service", "--role", "viewer"), "means something else in the log"),
        (("eve", "--role", "root"), "give one of viewer, operator, approver, admin"),
        (("eve", "--role", "viewer", "--expires", "never"), "each token expires"),
        (("eve", "--role", "viewer", "--expires", "731d"), "give 60 s to 730 d"),
        (("eve", "--role", "viewer", "--expires", "5s"), "give 60 s to 730 d"),
    ],
)
def test_what_is_no_token_to_make_is_refused(
    world: World, run: Run, arguments: tuple[str, ...], problem: str
) -> None:
    ended = run("token", "create", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert problem in ended.err
    assert run("token", "list", "--json").json() == []


def test_making_and_revoking_are_in_the_log_with_who_did_it(world: World) -> None:
    id = make(world.store)[3:11]
    with world.store.write() as connection:
        tokens.revoke(connection, "eve", NOW, "adam@desk")
    with world.store.read() as connection:
        made, revoked = log.events_after(connection)
    assert made.body == events.TokenMade(
        actor="adam@desk", token=id, name="eve", role="operator", expires_at=NOW + 90 * DAY
    )
    assert (made.rollout, revoked.rollout) == (events.FLEET, events.FLEET)
    assert revoked.body == events.TokenRevoked(actor="adam@desk", token=id, name="eve")
    assert lines.line_of(revoked).what == f"access token {id} of eve revoked"
    assert lines.line_of(revoked).actor == "adam@desk"
    with world.store.write() as connection, pytest.raises(OperatorError, match="already"):
        tokens.revoke(connection, id, NOW, "adam@desk")
    with world.store.write() as connection, pytest.raises(OperatorError, match="has the id or"):
        tokens.revoke(connection, "nobody", NOW, "adam@desk")


def test_live_tokens_are_bounded_and_those_that_are_over_are_forgotten(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "MAX_LIVE", 3)
    monkeypatch.setattr(tokens, "KEPT_OVER", 2)
    for _ in range(3):
        make(world.store, seconds=60)
    with pytest.raises(OperatorError, match="there are 3 access tokens"):
        make(world.store)
    with world.store.write() as connection:
        tokens.make(connection, "eve", "viewer", DAY, NOW + 60, "adam@desk")
        assert len(access_tokens.every(connection)) == 3  # two that expired


def last_used(store: Store) -> list[float]:
    with store.read() as connection:
        return [one.last_used for one in access_tokens.every(connection)]


class Counting:
    """A store that counts its writes, and fails if told so."""

    def __init__(self, store: Store) -> None:
        self.store, self.writes, self.fails = store, 0, False
        self.read = store.read

    @contextmanager
    def write(self) -> Iterator[Connection]:
        self.writes += 1
        if self.fails:
            raise StorageError("the disk is full")
        with self.store.write() as connection:
            yield connection


def test_use_is_noted_once_an_hour_by_all_processes_together(world: World) -> None:
    text, counting = make(world.store), Counting(world.store)
    first, second = uses.Uses(counting), uses.Uses(counting)
    for seconds in (0, 1, 3599):
        first.note(text, NOW + seconds)
        second.note(text, NOW + seconds)
    assert (counting.writes, last_used(world.store)) == (1, [NOW])
    second.note(text, NOW + 3601)
    assert (counting.writes, last_used(world.store)) == (2, [NOW + 3601])


def test_use_that_cannot_be_noted_lets_the_person_in_and_is_no_flood(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    text, counting = make(world.store), Counting(world.store)
    counting.fails = True
    noting = uses.Uses(counting)
    with caplog.at_level(logging.WARNING):
        noting.note(text, NOW)
        noting.note(text, NOW + 1)
    assert counting.writes == 1
    assert f"the use of access token {text[3:11]} was not noted" in caplog.text
    assert text[12:] not in caplog.text


def test_a_digest_is_compared_in_constant_time_also_for_an_unknown_id(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[Any] = []

    def note(*both: Any) -> bool:
        compared.append(both)
        return False

    monkeypatch.setattr("modelwave_controller.people.tokens.hmac.compare_digest", note)
    text = make(world.store)
    refused(world.store, text)
    refused(world.store, token_text.draw().text)
    assert [len(a) for a, _ in compared] == [64, 64]
