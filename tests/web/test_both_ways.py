"""Commands do and say the same at the home and through a service."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from modelwave_controller import cli
from tests.controller.rollout_world import World, quick
from tests.web.served import served


def said(capsys: pytest.CaptureFixture[str], arguments: Sequence[str]) -> tuple[int, str, str]:
    code = cli.run(arguments)
    return code, *capsys.readouterr()


@pytest.mark.parametrize(
    "words",
    [
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
        ["device", "tag", "d-0", "d-1", "--add", "canary"],
        ["device", "tag", "d-0"],
        ["device", "tag", "d-0", "--add", "a", "--remove", "a"],
        ["device", "forget", "d-0", "--json"],
        ["device", "forget", "d-77"],
    ],
    ids=" ".join,
)
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
