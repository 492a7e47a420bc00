"""`modelwave-agent status`: what it says, and its exit codes."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from modelwave_agent.host import config, lock, status, supervised
from modelwave_agent.host.config import AgentConfig
from modelwave_agent.host.daemon import run
from modelwave_agent.journal import Journal
from modelwave_agent.record import new_record
from tests.agent.host_world import World


@pytest.fixture
def settings(tmp_path: Path) -> AgentConfig:
    return config.read_config(World(tmp_path, 1, 1, None, {}).toml())


def record(settings: AgentConfig, **changes: object) -> None:
    folder = settings.state / "digits"
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(str(folder), "journal")
    journal.read()
    journal.write(new_record() | changes)


async def shown(settings: AgentConfig, connected: bool) -> status.Status:
    """The status beside an agent that is connected, or not."""
    held = lock.locked(settings.state)
    try:
        async with lock.showing(settings.state, lambda: connected):
            await asyncio.sleep(0)
            return status.read(settings, None, 0.0)
    finally:
        os.close(held)


def test_agent_that_runs_and_is_connected_is_well(settings: AgentConfig) -> None:
    found = asyncio.run(shown(settings, connected=True))
    assert (found.code, found.problems) == (0, [])
    assert found.lines()[0] == "the agent of pi-1 runs and is connected to the broker"
    assert not status.read(settings, None, 0.0).connected  # the lock has ended with the agent


def test_agent_that_is_not_connected_is_in_trouble(settings: AgentConfig) -> None:
    found = asyncio.run(shown(settings, connected=False))
    assert (found.code, found.problems) == (1, [status.NOT_CONNECTED])


def test_connection_that_is_lost_is_seen(
    settings: AgentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "LOOK_SECONDS", 0)

    async def main() -> list[bool]:
        connected, found = [True], []
        async with lock.showing(settings.state, lambda: connected[0]):
            for connected[0] in (True, False, True):
                await asyncio.sleep(0)
                await asyncio.sleep(0)  # it has looked, and again
                found.append(lock.is_connected(settings.state))
        return found

    settings.state.mkdir()
    assert asyncio.run(main()) == [True, False, True]


def test_agent_that_does_not_run_has_a_code_of_its_own_and_nothing_is_written(
    settings: AgentConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(settings.state.parent / "pi-1.toml")
    assert run(["status", "--config", path]) == 2
    assert capsys.readouterr().out.splitlines() == [
        "the agent of pi-1 does not run",
        "digits: idle, no release",
    ]
    assert not settings.state.exists()


def test_json_has_the_records(settings: AgentConfig, capsys: pytest.CaptureFixture[str]) -> None:
    record(settings, outcome="SUCCEEDED", order={"epoch": 0, "seq": 4, "sha256": "a"})
    path = str(settings.state.parent / "pi-1.toml")
    assert run(["status", "--config", path, "--json"]) == 2
    said = json.loads(capsys.readouterr().out)
    assert (said["device"], said["running"], said["connected"]) == ("pi-1", False, False)
    assert said["models"]["digits"]["order"]["seq"] == 4


def test_model_that_was_rolled_back_is_shown_and_is_no_trouble(settings: AgentConfig) -> None:
    order = {"epoch": 0, "seq": 7, "sha256": "a"}
    record(settings, outcome="ROLLED_BACK", reason="too\x1b hot", order=order)
    found = asyncio.run(shown(settings, connected=True))
    assert found.code == 0
    assert found.lines()[1] == "digits: idle, no release, order 7 ROLLED_BACK: too? hot"


def test_damaged_journal_is_trouble(settings: AgentConfig) -> None:
    record(settings)
    record(settings)
    for path in (settings.state / "digits").iterdir():
        path.write_bytes(b"x" * path.stat().st_size)
    found = asyncio.run(shown(settings, connected=True))
    assert found.code == 1
    assert found.problems == ["digits: its journal is damaged: the controller orders it anew"]


def test_agent_that_hangs_is_noticed_by_its_health_file(
    settings: AgentConfig, tmp_path: Path
) -> None:
    health = tmp_path / "health"
    health.write_text(f"{supervised.CONNECTED}\n")
    held = lock.locked(settings.state)
    written = health.stat().st_mtime
    assert status.read(settings, health, written).code == 0
    found = status.read(settings, health, written + supervised.OLD_SECONDS + 1)
    assert found.code == 1
    assert "hangs" in found.problems[0]
    os.close(held)


def test_whoever_asks_does_not_keep_an_agent_from_starting(settings: AgentConfig) -> None:
    settings.state.mkdir()
    os.close(lock.locked(settings.state))
    assert not lock.is_running(settings.state)
    held = lock.locked(settings.state)
    assert lock.is_running(settings.state)
    os.close(held)
