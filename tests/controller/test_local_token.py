"""Tests of the home's own access token, and of the file that holds it."""

import os
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rollout_world import World

from modelwave_controller.errors import OperatorError
from modelwave_controller.people import local_token, tokens
from modelwave_controller.people.lifetimes import DEFAULT_SECONDS
from modelwave_controller.people.local_token import NAME, RENEWED_SECONDS
from modelwave_controller.storage import access_tokens
from modelwave_controller.storage.access_tokens import AccessToken


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path)) as made:
        yield made


def wanted(world: World) -> str:
    return local_token.local_token(world.home, world.store, world.now, "adam@desk")


def every(world: World) -> list[AccessToken]:
    with world.store.read() as connection:
        return access_tokens.every(connection)


def live(world: World) -> list[str]:
    return [one.id for one in every(world) if one.live(world.now)]


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_the_file_is_made_for_its_owner_alone_whatever_the_umask_is(
    world: World, umask: int
) -> None:
    before = os.umask(umask)
    try:
        text = wanted(world)
    finally:
        os.umask(before)
    file = world.home.path / NAME
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == f"{text}\n"
    with world.store.read() as connection:
        assert tokens.verify(connection, text, world.now) == ("local", "admin")


def test_it_stays_the_same_until_it_is_about_to_expire(world: World) -> None:
    text = wanted(world)
    assert wanted(world) == text
    world.now += DEFAULT_SECONDS - RENEWED_SECONDS - 1
    assert wanted(world) == text
    world.now += 1
    assert wanted(world) != text
    assert live(world) == [wanted(world)[3:11]]  # the one before was revoked


@pytest.mark.parametrize("holds", ["", "garbage", "mw_BBBBBBBB_", "\x00\xff"])
def test_a_file_without_a_token_of_ours_is_made_anew(world: World, holds: str) -> None:
    first = wanted(world)
    (world.home.path / NAME).write_text(holds)
    assert wanted(world) != first


def test_it_is_made_anew_when_it_is_missing_or_was_revoked(world: World) -> None:
    first = wanted(world)
    with world.store.write() as connection:
        tokens.revoke(connection, "local", world.now, "adam@desk")
    second = wanted(world)
    (world.home.path / NAME).unlink()
    third = wanted(world)
    assert len({first, second, third}) == 3
    assert set(live(world)) == {second[3:11], third[3:11]}


def test_a_token_of_another_name_in_the_file_is_not_the_homes_own(world: World) -> None:
    with world.store.write() as connection:
        made = tokens.make(connection, "eve", "viewer", 86400 * 90, world.now, "adam@desk")
    file = world.home.path / NAME
    file.write_text(made.secret.text)
    file.chmod(0o600)
    assert wanted(world) != made.secret.text
    assert made.token.id in live(world)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_can_read_is_refused_with_a_way_out(world: World, mode: int) -> None:
    wanted(world)
    (world.home.path / NAME).chmod(mode)
    with pytest.raises(OperatorError, match="token revoke local`, and delete the file"):
        wanted(world)


def test_a_file_of_another_user_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted(world)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(OperatorError, match="belongs to another user"):
        wanted(world)


def test_a_link_or_a_pipe_in_its_place_is_refused(world: World, tmp_path: Path) -> None:
    file, elsewhere = world.home.path / NAME, tmp_path / "elsewhere"
    elsewhere.write_text("theirs")
    file.symlink_to(elsewhere)
    with pytest.raises(OperatorError, match="delete it, and it is made anew"):
        wanted(world)
    assert elsewhere.read_text() == "theirs"
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(OperatorError, match="no plain file"):
        wanted(world)


def test_homes_with_one_database_do_not_end_each_others_token_until_there_are_many(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_token, "MAX_LOCAL", 2)
    file, made = world.home.path / NAME, []
    for _ in range(3):  # three homes
        file.unlink(missing_ok=True)
        made.append(wanted(world)[3:11])
        world.now += 1
    assert set(live(world)) == set(made[1:])


def test_a_file_that_could_not_be_written_leaves_no_token(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("modelwave_controller.disk.replace", full)
    with pytest.raises(OSError, match="No space"):
        wanted(world)
    assert every(world) == []
