"""Commands do and say the same at the home and through a service."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from modelwave_controller import cli
from tests.controller.rollout_world import World, quick
from tests.web.served import served


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
    ["rollout", "retry", "--device", "d-1"],
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
    ["alert", "list"],
    ["alert", "test", "on-call"],
    ["device", "list"],
    ["device", "list", "--json", "--limit", "2"],
    ["device", "list", "--target", "rp2040"],
    ["device", "list", "--offline"],
    ["device", "list", "--tag", "No"],
    ["device", "show", "d-0"],
    ["device", "show", "d-77"],
    ["device", "show", "d-0", "--json"],
    ["device", "list", "--named", "-1", "--outcome", "SUCCEEDED"],
    ["device", "list", "--outcome", "BROKEN"],
    ["device", "history", "d-0"],
    ["device", "history", "d0", "--json"],
    ["device", "history", "d-77"],
    ["device", "tag", "d-0", "d-1", "--add", "canary"],
    ["device", "tag", "d-0"],
    ["device", "tag", "d-0", "--add", "a", "--remove", "a"],
    ["device", "forget", "d-0", "--json"],
    ["device", "forget", "d-77"],
]

# Done at a home alone: with its files, its keys or its database, or as a process of the service.
# `modelwave --server` refuses them.
AT_HOME = """
    backup FILE; broker check; ca api HOST; ca controller; ca init; ca server HOST;
    clock accept why; clock show;
    device approve d; device enrol d --out here; device revoke d; ingest 1; key rotate order;
    log prune; log verify; recover; release add BUNDLE; root publish FILE; serve; target add FILE;
    token create ada --role admin; token list; token revoke ada
"""
# They ask no controller: they work on files that they are given, or make a new home.
ALONE = """
    board build; board line; context add; context list; context remove; context show;
    context use; demo; golden check; golden make; golden show; init; key create; key epoch;
    key expiry; key export; key hosts; key minimum; key revoke; key show; key to-agent; key verify;
    model estimate; model export; model inspect; release create; release create-agent;
    release sign; restore; rollout lint; root show; root sign; simulate fleet; simulate judge
"""
# Two ways as well; each has a test of its own.
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
    known = {" ".join(words[:2]) for words in WAYS} | {FOLLOWS}
    commands = every_command()
    for words in (line.split() for line in listed(AT_HOME)):
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


@pytest.mark.parametrize("words", WAYS, ids=" ".join)
def test_a_command_says_the_same_both_ways(
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MODELWAVE_TOKEN", "admin")
    found = []
    for way in ("home", "server"):
        world = World(tmp_path / "world", devices=4)
        world.start(1, quick(50, 100))
        world.tick()
        world.shelve(2)
        with served(world) as url:
            where = ["--home", str(world.home.path)] if way == "home" else ["--server", url]
            monkeypatch.setattr("time.time", lambda now=world.now: now)
            code, out, err = said(capsys, [*where, *words])
            for of_next_command in (" ".join(where), '",\n    "'.join(where)):
                out = out.replace(of_next_command, "WAY")
            found.append((code, out, err))
        world.store.close()
        shutil.rmtree(tmp_path / "world")
    assert found[0] == found[1]
