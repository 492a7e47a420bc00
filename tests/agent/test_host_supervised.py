"""What systemd and a health check learn of the daemon."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from modelwave_agent.host import supervised
from modelwave_agent.host.daemon import run
from modelwave_agent.host.supervised import OLD_SECONDS, problem_of
from modelwave_shared import supervisor
from tests.agent.host_places import refused_port
from tests.agent.host_world import World
from tests.notify import notified

NOT_CONNECTED = f"STATUS={supervised.CONNECTING}"


def test_supervisor_hears_that_it_is_ready_lives_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    health = tmp_path / "health"

    async def main() -> None:
        async with supervised.supervised(lambda: True, health):
            await asyncio.sleep(0)
            assert problem_of(health, health.stat().st_mtime) == ""

    with notified(tmp_path) as (path, heard):
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        asyncio.run(main())
        assert heard.next() == ["READY=1"]
        assert heard.next() == ["STATUS=connected to the broker", "WATCHDOG=1"]
        assert heard.next() == ["STOPPING=1"]
    assert not health.exists()


def test_agent_that_hangs_is_not_connected_or_does_not_run_is_unwell(tmp_path: Path) -> None:
    health = tmp_path / "health"
    assert "does not run" in problem_of(health, 0)
    health.write_text(f"{supervised.CONNECTED}\n")
    written = health.stat().st_mtime
    assert problem_of(health, written + OLD_SECONDS) == ""
    assert "hangs" in problem_of(health, written + OLD_SECONDS + 1)
    health.write_text(f"{supervised.CONNECTING}\n")
    assert problem_of(health, health.stat().st_mtime) == "not connected to the broker"


@pytest.mark.parametrize("address", ["", "relative", "/nowhere/at/all"])
def test_without_a_supervisor_nothing_is_told(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    supervisor.tell(supervisor.READY)


@pytest.mark.parametrize(
    ("given", "seconds"), [("60000000", 60), ("0", None), ("", None), ("soon", None)]
)
def test_time_of_the_watchdog_is_that_of_the_unit(
    given: str, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    monkeypatch.setenv("WATCHDOG_USEC", given)
    assert supervisor.watchdog_seconds() == seconds
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid() + 1))  # another process is watched
    assert supervisor.watchdog_seconds() is None


def test_status_is_one_line() -> None:
    assert supervisor.status("a\nREADY=1\x1b") == "STATUS=a?READY=1?"


@pytest.mark.slow
def test_daemon_tells_systemd_and_its_health_file_how_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    health = tmp_path / "health"
    command = [sys.executable, "-m", "modelwave_agent.host.daemon", "run", "--config"]
    with refused_port() as port, notified(tmp_path) as (path, heard):
        config = World(tmp_path, port, 1, None, {}).toml()
        process = subprocess.Popen(
            [*command, str(config), "--health-file", str(health)],
            env={**os.environ, "NOTIFY_SOCKET": path, "WATCHDOG_USEC": "3000000"},
        )
        try:
            heard.until("READY=1")
            for _ in range(3):  # again and again
                assert heard.next() == [NOT_CONNECTED, "WATCHDOG=1"]
            assert run(["health", "--health-file", str(health)]) == 1
            assert capsys.readouterr().out == "not connected to the broker\n"
            process.send_signal(signal.SIGTERM)
            heard.until("STOPPING=1")
            assert process.wait() == 0
        finally:
            process.kill()
            process.wait()
    assert not health.exists()
