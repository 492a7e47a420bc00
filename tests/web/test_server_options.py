"""The options beside --server: which authorities to trust, and where the access token is."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from modelwave_controller import cli
from modelwave_controller.client.client import Client
from modelwave_controller.errors import OperatorError
from modelwave_controller.people import token_text
from tests.controller.rollout_world import World
from tests.web.served import served

TOKEN = token_text.draw()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("HOME", "SERVER", "CONTEXT", "TOKEN", "TOKEN_FILE", "CA"):
        monkeypatch.delenv(f"MODELWAVE_{name}", raising=False)
    monkeypatch.chdir(tmp_path)
    with closing(World(tmp_path, devices=1)) as made:
        yield made


@pytest.fixture
def url(world: World) -> Iterator[str]:
    with served(world, tokens={TOKEN.text: "viewer"}) as found:
        yield found


@pytest.fixture
def file(world: World, tmp_path: Path) -> Path:
    file = tmp_path / "ci.token"
    file.write_text(f"{TOKEN.text}\n")
    return file


def test_the_token_is_read_from_the_file_that_the_option_or_the_environment_names(
    url: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = ["--server", url, "rollout", "list"]
    assert cli.run(ask) == 2
    assert cli.run(["--token-file", str(file), *ask]) == 0
    monkeypatch.setenv("MODELWAVE_TOKEN", "nobody")
    assert cli.run(ask) == 2
    monkeypatch.setenv("MODELWAVE_TOKEN_FILE", str(file))
    assert cli.run(ask) == 0


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--token-file", "none"], "--token-file: cannot read none"),
        (["--token-file", "empty"], "access token: "),
        (["--token-file", "lines"], "access token: "),
        (["--ca", "none"], "--ca none: No such file"),
        (["--ca", "lines"], "--ca lines: no PEM file with certificates"),
    ],
)
def test_an_error_names_the_option(
    url: str, file: Path, options: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").write_text("\n")
    Path("lines").write_text(f"{TOKEN.text}\n{TOKEN.text}\n")
    files = ["--token-file", str(file)] if "--ca" in options else []
    assert cli.run(["--server", "https://127.0.0.1:1", *files, *options, "rollout", "list"]) == 2
    err = capsys.readouterr().err
    assert (named in err, TOKEN.text in err) == (True, False), err


@pytest.mark.parametrize("option", ["--ca", "--token-file"])
@pytest.mark.parametrize("place", ["home", "context", "nothing"])
def test_the_options_belong_to_a_server_and_to_nothing_else(
    world: World,
    file: Path,
    option: str,
    place: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    where = {"home": ["--home", str(world.home.path)], "context": ["--context", "prod"]}
    words = [*where.get(place, []), option, str(file), "rollout", "list"]
    assert cli.run(words) == 2
    assert f"{option}: it belongs to --server" in capsys.readouterr().err
    if place == "home":
        monkeypatch.setenv("MODELWAVE_CA", str(file))  # for all services, and this is none
        assert cli.run([*where["home"], "rollout", "list"]) == 0


@pytest.mark.parametrize("token", ["", "two words", "a\nb", "a–b", "a\x00b"])
def test_a_token_that_is_none_is_not_sent_and_not_repeated(token: str) -> None:
    with pytest.raises(OperatorError, match="the access token") as error:
        Client("http://127.0.0.1:1", token)
    assert not token or token not in str(error.value)
