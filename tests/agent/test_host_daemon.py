"""`modelwave-agent` and the many-agents program, as processes."""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from datetime import datetime

import pytest

from modelwave_agent.host import daemon
from modelwave_shared import slots, topics
from tests.agent.host_places import Mosquitto, refused_port
from tests.agent.host_world import MODELS, Digits, World, world

pytestmark = pytest.mark.slow

pytest.importorskip("numpy")

DAEMON = (sys.executable, "-m", "modelwave_agent.host.daemon")
FLEET = (sys.executable, "-m", "modelwave_agent.host.fleet")
SECONDS = 120


@contextlib.contextmanager
def started(*command):
    """A process; killed if the test leaves it running."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process, number):
    """(exit code, rest of stderr) after the signal."""
    process.send_signal(number)
    rest = process.communicate(timeout=SECONDS)[1]
    return process.returncode, rest


def line_with(process, text):
    for line in process.stderr:
        if text in line:
            return line
    raise AssertionError(f"it ended with {process.wait()} before it said {text}")


async def until_well(path):
    """What the status says, as soon as it is well: it sees the connection within a moment."""
    while True:
        command = [*DAEMON, "status", "--config", path]
        found = await asyncio.to_thread(subprocess.run, command, stdout=subprocess.PIPE, text=True)
        if found.returncode == 0:
            return found.stdout


@pytest.fixture
def config(tmp_path):
    """Of an agent whose broker is not there."""
    with refused_port() as port:
        yield World(tmp_path, port, 1, None, {}).toml()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_cleanly(config, number):
    with started(*DAEMON, "run", "--config", str(config)) as process:
        line = line_with(process, "cannot connect to the broker")
        code, rest = ended(process, number)
    assert "WARNING cannot connect to the broker: 127.0.0.1:" in line
    assert code == 0
    assert "Traceback" not in rest


def test_log_tells_what_happened_a_line_each(tmp_path):
    async def main(made):
        path = str(made.toml())
        with started(*DAEMON, "run", "--config", path) as process:
            await made.order(Digits(1, "v1"))
            await made.outcome()
            said = await until_well(path)
            assert said.endswith("digits: idle, release 1 (v1), order 1 SUCCEEDED\n")
            code, log = await asyncio.to_thread(ended, process, signal.SIGTERM)
            assert code == 0
            lines = []
            for line in log.splitlines():
                at, _, said = line.partition(" INFO ")
                datetime.strptime(at, "%Y-%m-%d %H:%M:%S %z")
                lines.append(f"INFO {said}")
            assert lines[0] == "INFO digits: idle, no release"
            assert f"INFO connected to 127.0.0.1:{made.port}" in lines
            assert "INFO digits: fetching, no release, order 1" in lines
            assert lines[-1] == "INFO digits: idle, release 1 (v1) is live, order 1 SUCCEEDED"
        assert await made.told("presence", lambda told: told == "offline")
        command = [*DAEMON, "status", "--json", "--config", path]
        status = await asyncio.to_thread(subprocess.run, command, stdout=subprocess.PIPE)
        assert status.returncode == 2  # it does not run any more
        record = json.loads(status.stdout)["models"]["digits"]
        assert (record["state"], record["outcome"]) == ("idle", "SUCCEEDED")
        assert record["banks"][record["live"]]["release"] == 1

    with Mosquitto(tmp_path) as broker:
        asyncio.run(_in_world(tmp_path, broker, main))


def test_swap_and_health_commands_decide(tmp_path):
    async def main(made):
        told = tmp_path / "told"
        path = made.toml()
        hooks = f"""
[hooks]
swap = ["sh", "-c", "echo swap $MODELWAVE_RELEASE >> {told}"]
health = ["sh", "-c", "echo health $MODELWAVE_RELEASE >> {told}; echo too hot >&2; exit 1"]
"""
        with path.open("a") as file:
            file.write(hooks)
        with started(*DAEMON, "run", "--config", str(path)) as process:
            await made.order(Digits(1, "v1"))
            state = await made.outcome()
            assert state["outcome"] == "ROLLED_BACK"
            assert state["reason"] == "health hook: exit code 1: too hot"
            await asyncio.to_thread(ended, process, signal.SIGTERM)
        assert told.read_text() == "swap 1\nhealth 1\n"

    with Mosquitto(tmp_path) as broker:
        asyncio.run(_in_world(tmp_path, broker, main))


async def _in_world(folder, broker, main):
    async with world(folder, broker) as made:
        await main(made)


def test_check_shows_slot_and_topics(config, capsys):
    assert daemon.run(["check", "--config", str(config)]) == 0
    said = capsys.readouterr().out
    slot = slots.slot("demo", "pi-1")
    assert f"device pi-1, target linux-cpu, fleet demo, slot {slot}" in said
    assert topics.desired_slot("demo", "linux-cpu", "digits", slot) in said
    assert topics.desired_all("demo", "linux-cpu", "digits") in said
    assert topics.desired_device("demo", "pi-1", "digits") in said


@pytest.mark.parametrize("command", ["check", "status", "run"])
def test_wrong_settings_are_said_on_one_line(config, command, capsys):
    config.write_text(config.read_text().replace("mqtt://", "http://"))
    assert daemon.run([command, "--config", str(config)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"modelwave-agent: {config}: broker.url: ")
    assert said.err.count("\n") == 1


def test_second_agent_on_one_state_folder_is_refused(config):
    with started(*DAEMON, "run", "--config", str(config)) as process:
        line_with(process, "cannot connect to the broker")
        second = subprocess.run([*DAEMON, "run", "--config", str(config)], capture_output=True)
        assert second.returncode == 2
        assert b"another agent is using it" in second.stderr
        assert ended(process, signal.SIGTERM)[0] == 0


def test_no_command_shows_what_there_is(capsys):
    with pytest.raises(SystemExit) as caught:
        daemon.run([])
    assert caught.value.code == 2
    assert "usage: modelwave-agent" in capsys.readouterr().err


# Many agents.


def test_fleet_reports_its_own_accuracy(tmp_path):
    async def main(made):
        for device in ("pi-1", "pi-2"):
            made.toml("metrics_seconds = 0.5", device=device)
        options = ("--configs", str(tmp_path), "--inputs", str(MODELS / "heldout.npz"))
        with started(*FLEET, *options, "--every", "0.02") as process:
            for device in ("pi-1", "pi-2"):
                await made.order(Digits(1, "v1"), device)
                assert (await made.outcome(device=device))["outcome"] == "SUCCEEDED"
            for device in ("pi-1", "pi-2"):
                seen = []
                await made.told(
                    "metrics", lambda d, seen=seen: seen.append(d) or _labelled(seen) >= 40, device
                )
                right = sum(document["correct"] for document in seen)
                assert _labelled(seen) == sum(document["inferences"] for document in seen)
                assert 0.7 < right / _labelled(seen) <= 1  # v1 has 404 of 450
            code, rest = await asyncio.to_thread(ended, process, signal.SIGTERM)
            assert (code, rest) == (0, "")
        for device in ("pi-1", "pi-2"):
            assert await made.told("presence", lambda told: told == "offline", device)

    with Mosquitto(tmp_path) as broker:
        asyncio.run(_in_world(tmp_path, broker, main))


def _labelled(documents):
    return sum(document["labelled"] for document in documents)


def test_fleet_of_nobody_is_refused(tmp_path):
    done = subprocess.run([*FLEET, "--configs", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == (
        f"modelwave-agent: --configs: {tmp_path} has no *.toml; name a folder of agent.toml files\n"
    )


def test_fleet_with_wrong_inputs_is_refused(config, tmp_path):
    (tmp_path / "inputs.npz").write_bytes(b"no arrays")
    options = ("--configs", str(tmp_path), "--inputs", str(tmp_path / "inputs.npz"))
    done = subprocess.run([*FLEET, *options], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
