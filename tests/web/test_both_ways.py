"""Commands do and say the same at the home and through a service."""

import shutil
from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.main import get_command

from modelwave_controller import cli
from modelwave_controller.operations import rollouts
from modelwave_controller.people import token_text, tokens
from modelwave_controller.people.token_text import TokenText
from modelwave_controller.storage import enrolled
from modelwave_controller.storage.enrolled import Waiting
from tests import lasting
from tests.controller.rollout_world import World, quick
from tests.web.bundles import bundle
from tests.web.served import served

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "models" / "digits-v1.tflite"


def said(capsys: pytest.CaptureFixture[str], arguments: Sequence[str]) -> tuple[int, str, str]:
    code = cli.run(arguments)
    return code, *capsys.readouterr()


WAYS = [
    ["rollout", "list"],
    ["rollout", "list", "--json"],
    ["rollout", "status"],
    ["rollout", "status", "--json"],
    ["rollout", "status", "7"],
    ["rollout", "pause", "1", "--reason", "lunch", "--json"],
    ["rollout", "pause", "1", "--reason", "x" * 201],
    ["rollout", "resume", "1"],
    ["rollout", "promote", "1"],
    ["rollout", "approve", "1"],
    ["rollout", "abort", "1"],
    ["rollout", "retry", "--device", "d1"],
    ["rollout", "revert", "digits"],
    ["rollout", "start", "digits", "2", "--target", "linux-cpu", "--seed", "7"],
    ["rollout", "start", "digits", "v2", "--supersede", "better", "--seed", "7", "--json"],
    ["rollout", "start", "digits", "2", "--supersede", "better", "--seed", "7", "--dry-run"],
    ["rollout", "start", "digits", "2", "--stages", "5,100", "--json", "--dry-run"],
    ["rollout", "start", "digits", "9"],
    ["rollout", "start", "letters", "2", "--wait-devices", "0"],
    ["rollout", "report"],
    ["rollout", "report", "digits", "--utc", "--json"],
    ["rollout", "log"],
    ["rollout", "log", "--json", "--answers"],
    ["fleet", "log", "--limit", "1"],
    ["fleet", "log", "--since", "1h", "--utc"],
    ["fleet", "deployments"],
    ["fleet", "deployments", "--json", "--since", "1d", "--model", "digits"],
    ["fleet", "status"],
    ["fleet", "status", "--json"],
    ["release", "add", "BUNDLE"],
    ["release", "add", "BUNDLE", "BUNDLE", "--json"],
    ["release", "add", "BUNDLE/manifest.json"],
    ["release", "add", "BUNDLE/nothing"],
    ["release", "add", "BUNDLE", "WRONG"],
    ["release", "list"],
    ["release", "list", "--json"],
    ["release", "show", "digits", "v2"],
    ["release", "show", "digits", "2", "--target", "linux-cpu", "--json"],
    ["release", "show", "digits", "2", "--target", "rp2040"],
    ["release", "show", "digits", "9"],
    ["release", "show", "No", "9"],
    ["release", "sbom", "digits", "2"],
    ["target", "list"],
    ["target", "list", "--json"],
    ["target", "show", "rp2040"],
    ["target", "show", "linux-cpu", "--json"],
    ["target", "show", "linux"],
    ["model", "inspect", "DIGITS", "--target", "rp2040", "--target", "linux-cpu"],
    ["model", "inspect", "DIGITS", "--json"],
    ["model", "inspect", "DIGITS", "--target", "rp2041"],
    ["model", "inspect", "DIGITS", "--profile", "cortex-m4:cmsis-nn", "--layers"],
    ["alert", "list"],
    ["alert", "test", "on-call"],
    ["device", "list"],
    ["device", "list", "--json", "--limit", "2"],
    ["device", "list", "--target", "rp2040"],
    ["device", "list", "--offline"],
    ["device", "list", "--gateway", "gw-1"],
    ["device", "list", "--tag", "No"],
    ["device", "show", "d0"],
    ["device", "show", "d77"],
    ["device", "show", "d0", "--json"],
    ["device", "list", "--named", "d1", "--outcome", "SUCCEEDED"],
    ["device", "list", "--outcome", "BROKEN"],
    ["device", "history", "d0"],
    ["device", "history", "d0", "--json"],
    ["device", "history", "d77"],
    ["device", "tag", "d0", "d1", "--add", "canary"],
    ["device", "tag", "d0"],
    ["device", "tag", "d0", "--add", "a", "--remove", "a"],
    ["device", "forget", "d0", "--json"],
    ["device", "forget", "d77"],
    ["device", "approve", "new-1"],
    ["device", "approve", "new-1", "--json"],
    ["device", "approve", "d0"],
    ["device", "approve", "No"],
    ["device", "revoke", "d0", "d1"],
    ["device", "revoke", "d0", "--json"],
    ["device", "revoke", "d77"],
    ["clock", "show"],
    ["clock", "show", "--json"],
    ["clock", "accept", "it was synchronised"],
    ["clock", "accept", " "],
    ["log", "verify"],
    ["log", "verify", "--json"],
    ["log", "verify", "--head", "1:" + "0" * 64],
    ["log", "verify", "--head", "7"],
    ["log", "prune"],
    ["log", "prune", "--older-than", "1s", "--dry-run"],
    ["log", "prune", "--json"],
    ["recover"],
    ["recover", "--json"],
    ["recover", "digits", "--to", "5000"],
    ["recover", "digits", "--to", "5000", "--yes"],
    ["recover", "digits", "--yes", "--json"],
    ["recover", "letters"],
    ["token", "list"],
    ["token", "list", "--all", "--json"],
    ["token", "create", "eve", "--role", "viewer"],
    ["token", "create", "eve", "--role", "admin", "--expires", "2h", "--json"],
    ["token", "create", "Eve", "--role", "viewer"],
    ["token", "create", "eve", "--role", "root"],
    ["token", "revoke", "ada"],
    ["token", "revoke", "BBBBBBBB", "--json"],
    ["token", "revoke", "nobody"],
    ["token", "revoke", TokenText("BBBBBBBB", "A" * 43).text],
]

# Done at a home alone: with its files, its keys or its database, or as a process of the service.
# `modelwave --server` refuses them.
AT_HOME = """
    backup FILE; broker check; ca api HOST; ca controller; ca init; ca server HOST;
    device enrol d --out here; ingest 1; key rotate order;
    log prune --vacuum; recover --restored; root publish FILE; serve;
    target add FILE
"""
# They ask no controller: they work on files that they are given, or make a new home.
ALONE = """
    board build; board line; context add; context list; context remove; context show;
    context use; demo; golden check; golden make; golden show; init; key create; key epoch;
    key expiry; key export; key hosts; key minimum; key revoke; key show; key to-agent; key verify;
    model estimate; model export; release create; release create-agent;
    release sign; restore; rollout lint; root show; root sign; simulate fleet; simulate judge
"""
# Two ways as well, with a test of its own.
FOLLOWS = "rollout watch"


def listed(lines: str) -> list[str]:
    return [" ".join(line.split()) for line in lines.split(";")]


def every_command() -> set[str]:
    def of(command: Any, *path: str) -> Iterator[str]:
        parts = getattr(command, "commands", None)
        if parts is None:
            yield " ".join(path)
        for name, part in (parts or {}).items():
            yield from of(part, *path, name)

    return {*of(get_command(cli.whole_application()))}


def test_every_command_is_known_to_go_one_way_or_both() -> None:
    commands = every_command()
    known = {FOLLOWS}
    for words in [*WAYS, *(line.split() for line in listed(AT_HOME))]:
        known.add(" ".join(words[:2]) if " ".join(words[:2]) in commands else words[0])
    assert known | set(listed(ALONE)) == commands


@pytest.mark.parametrize("line", listed(AT_HOME))
def test_what_works_on_a_home_is_refused_at_a_service(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = said(capsys, ["--server", "http://127.0.0.1:1", *line.split()])
    assert (code, "works on a home, where its files are" in err) == (2, True), err
    assert list(tmp_path.iterdir()) == []


def fleet(folder: Path) -> World:
    """A fleet with all that the commands are about."""
    first = _made_once()
    world = World(folder, made=first.home.path)
    world.devices = deepcopy(first.devices)
    return world


@cache
def _made_once() -> World:
    """The fleet that each test gets a copy of."""
    folder = lasting.folder()
    world = World(folder, devices=4)
    world.start(1, quick(50, 100))
    world.tick()
    world.shelve(2)
    with world.store.write() as connection:
        tokens.make(connection, "ada", "approver", 86400, world.now, "adam@desk")
        enrolled.put_waiting(connection, [Waiting("new-1", "linux-cpu", 3, 1.0, 2.0)])
    world.close()
    return world


def as_file(word: str, world: World, folder: Path) -> str:
    """Returns the word, or a path in its place: of a model, or of a bundle, which may be wrong."""
    if word == "DIGITS":
        return str(DIGITS)
    name, _, rest = word.partition("/")
    if name not in ("BUNDLE", "WRONG"):
        return word
    if not (made := folder / name).exists():
        if name == "BUNDLE":
            bundle(world, made)
        else:
            bundle(world, made, 8, model=b"another model")
            model = next(path for path in made.iterdir() if path.read_bytes() == b"another model")
            model.write_bytes(b"something else")
    return str(made / rest)


@pytest.mark.parametrize("words", WAYS, ids=" ".join)
def test_a_command_says_the_same_both_ways(
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MODELWAVE_TOKEN", "admin")
    monkeypatch.setattr("modelwave_controller.cli.doors.actor", lambda: "some-admin")
    found = []
    for way in ("home", "server"):
        drawn = iter(TokenText(letter * 8, letter * 43) for letter in "BCDF")
        monkeypatch.setattr(token_text, "draw", drawn.__next__)
        world = fleet(tmp_path / "world")
        given = [as_file(word, world, tmp_path) for word in words]
        with served(world) as url:
            where = ["--home", str(world.home.path)] if way == "home" else ["--server", url]
            monkeypatch.setattr("time.time", lambda now=world.now: now)
            code, out, err = said(capsys, [*where, *given])
            for of_next_command in (" ".join(where), '",\n    "'.join(where)):
                out = out.replace(of_next_command, "WAY")
            found.append((code, out, err))
        world.store.close()
        shutil.rmtree(tmp_path / "world")
    assert found[0] == found[1]


@pytest.mark.parametrize("way_out", ["lines", "json", "terminal"])
def test_watching_says_the_same_both_ways(
    way_out: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if way_out == "terminal":
        screen = partial(Console, force_terminal=True, width=100, color_system=None)
        monkeypatch.setattr("modelwave_controller.cli.rollout.console", screen)
    monkeypatch.setenv("MODELWAVE_TOKEN", "viewer")
    found = []
    for way in ("home", "server"):
        world = fleet(tmp_path / "world")
        happens = happening(world)
        monkeypatch.setattr("time.time", lambda now=world.now: now)
        with served(world) as url, monkeypatch.context() as patched:
            patched.setattr("time.sleep", lambda _seconds, step=happens: next(step))
            where = ["--home", str(world.home.path)] if way == "home" else ["--server", url]
            json = ["--json"] if way_out == "json" else []
            found.append(said(capsys, [*where, "rollout", "watch", "digits", *json]))
        assert next(happens, None) is None  # each step was looked at
        world.store.close()
        shutil.rmtree(tmp_path / "world")
    assert found[0] == found[1]
    code, out, _ = found[0]
    assert (code, "RUNNING" in out, "ABORTED" in out) == (4, True, True)


def happening(world: World) -> Iterator[None]:
    """What happens between two looks of who watches."""
    world.answer("SUCCEEDED", [*world.devices.values()])
    yield
    world.tick()
    yield
    rollouts.abort(world.store, "1", "enough", world.now, "eve@desk")
    yield
