"""Commands do and say the same at the home and through a service."""

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
        world = World(tmp_path / way, devices=4)
        world.start(1, quick(50, 100))
        world.tick()
        with served(world) as url:
            where = ["--home", str(world.home.path)] if way == "home" else ["--server", url]
            monkeypatch.setattr("time.time", lambda now=world.now: now)
            found.append(said(capsys, [*where, *words]))
        world.store.close()
    assert found[0] == found[1]
