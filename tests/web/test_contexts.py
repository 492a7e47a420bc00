"""Contexts: services by name, and which place a command is done at."""

import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from modelwave_controller import cli
from modelwave_controller.client import Remote, addresses, contexts
from modelwave_controller.errors import OperatorError
from modelwave_controller.people import token_text
from tests.controller.rollout_world import World
from tests.web.served import served

TOKEN = token_text.draw()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("MODELWAVE_TOKEN", TOKEN.text)
    for name in ("MODELWAVE_HOME", "MODELWAVE_SERVER", "MODELWAVE_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    with closing(World(tmp_path, devices=1)) as made:
        yield made


@pytest.fixture
def url(world: World) -> Iterator[str]:
    with served(world, tokens={TOKEN.text: "operator"}) as found:
        yield found


def test_the_file_is_its_owners_alone_and_tells_no_token(
    world: World, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = os.umask(0)
    try:
        assert cli.run(["context", "add", "prod", url]) == 0
    finally:
        os.umask(before)
    assert contexts.file().stat().st_mode & 0o777 == 0o600
    assert contexts.file().parent.stat().st_mode & 0o777 == 0o700
    assert cli.run(["context", "list", "--json"]) == 0
    assert cli.run(["context", "show", "prod"]) == 0
    out = "".join(capsys.readouterr())
    assert TOKEN.id in out
    assert "False" not in out
    assert TOKEN.text not in out + repr(contexts.read())
    contexts.file().chmod(0o640)
    assert cli.run(["context", "list"]) == 2
    assert "chmod 600" in capsys.readouterr().err


def test_the_place_that_was_named_is_taken_and_an_error_says_which(
    world: World,
    url: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def where(*words: str) -> str:
        """ "service", "home", or what was refused."""
        code = cli.run([*words, "rollout", "status", "7", "--json"])
        assert code == 2
        err = capsys.readouterr().err.strip()
        return {
            "modelwave: no rollout 7; see `modelwave rollout list`": "home",
        }.get(err, err)

    home = str(world.home.path)
    assert cli.run(["context", "add", "prod", url]) == 0
    assert "modelwave-home" in where()
    assert f"(context prod, {url})" in where("--context", "prod")
    assert "no context 'test': there is prod" in where("--context", "test")
    assert cli.run(["context", "use", "prod"]) == 0
    capsys.readouterr()
    assert f"(context prod, {url})" in where()
    assert "(context" not in where("--home", home)
    assert "(context" not in where("--server", url)
    monkeypatch.setenv("MODELWAVE_HOME", home)
    assert "(context" not in where()
    assert "(context prod" in where("--context", "prod")
    assert "--home: give it or --context, not both" in where("--home", home, "--context", "prod")
    monkeypatch.delenv("MODELWAVE_HOME")
    assert cli.run(["context", "use", "--none"]) == 0
    capsys.readouterr()
    assert "modelwave-home" in where()


def test_a_current_context_leaves_alone_what_works_on_a_home(
    world: World, url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    os.rename(world.home.path, tmp_path / "modelwave-home")
    assert cli.run(["context", "add", "prod", url]) == 0
    assert cli.run(["context", "use", "prod"]) == 0
    assert cli.run(["backup", "made"]) == 0
    assert cli.run(["--context", "prod", "backup", "made"]) == 2
    assert "works on a home" in capsys.readouterr().err
    os.rename(tmp_path / "modelwave-home", world.home.path)
    assert cli.run(["context", "remove", "prod"]) == 0
    assert json.dumps(contexts.read().current) == '""'


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("http://fleet.example", "clear text to fleet.example"),
        ("https://me:word@fleet.example", "no user or password"),
        ("ftp://fleet.example", "give https://HOST"),
        ("https://fleet.example/?a=b", "what follows the path"),
        ("https://fleet.example:0", "give https://HOST"),
        ("https://[::1", "no URL"),
    ],
)
def test_an_address_that_is_none_or_would_tell_the_token_is_refused(wrong: str, why: str) -> None:
    with pytest.raises(OperatorError, match=why):
        Remote(wrong, "a token")


@pytest.mark.parametrize("right", ["http://127.0.0.9:1", "http://[::1]", "https://a.example/x"])
def test_addresses_that_are_taken(right: str) -> None:
    assert addresses.checked(right).hostname


def test_a_token_with_a_typo_is_not_kept(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELWAVE_TOKEN", TOKEN.text[:-1])
    assert cli.run(["context", "add", "prod", "https://a.example"]) == 2
    err = capsys.readouterr().err
    assert "as `modelwave token create` printed it" in err
    assert TOKEN.text[:-1] not in err
    assert not contexts.file().exists()
