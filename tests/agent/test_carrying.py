"""Tests that a gateway carries a board of relay.toml: with real commands, a broker in memory, and
the gateway's store of files."""

import asyncio

import pytest

from modelwave_agent.host.relay import carrying, config
from modelwave_agent.host.relay.carrying import CarriedBoard
from modelwave_agent.host.relay.ports import UsbPorts
from modelwave_agent.host.relay.store import FileStore
from modelwave_agent.ports import Fetcher
from tests import signing
from tests.agent.fakes import TOPIC, FakeClock, FakeLink, World

TOOL = """#!/bin/sh
cd "$(dirname "$0")"
echo "$@" >> said
case $1 in
  write) cp "$2" flash ;;
  state) sha256sum < flash | cut -d' ' -f1 ;;
esac
"""
TABLE = """
gateway = "gw-1"
state = "state"
root = "root.json"
[broker]
url = "mqtt://broker.test"
[[board]]
device = "pi-1"
kind = "command"
target = "linux-cpu"
models = ["digits"]
port = "tty"
write = ["./tool", "write", "{file}", "{port}"]
health = ["./tool", "health"]
state = ["./tool", "state"]
limits = { flash_bytes = 10000, ram_bytes = 10000 }
runtime = { version = "2.14.0" }
"""
MODEL = b"new model " * 30
GOOD = signing.Release(1, MODEL)


class Server(Fetcher):
    def __init__(self, files):
        self.files = files
        self.asked = []

    async def fetch(self, url, intake):
        self.asked.append(url)
        intake.write(self.files[url.split("/")[-1]][intake.offset :])


@pytest.fixture
def world(tmp_path, monkeypatch):
    (tmp_path / "broker").mkdir()
    made = World(tmp_path / "broker")
    made.check_reported = lambda state: None
    monkeypatch.setattr(carrying, "PahoLink", lambda *_: FakeLink(made))
    made.retained[TOPIC] = signing.order(GOOD, 1)
    return made


@pytest.fixture
def carried(tmp_path, world):
    (tmp_path / "root.json").write_bytes(signing.root_envelope())
    (tmp_path / "tool").write_text(TOOL)
    (tmp_path / "tool").chmod(0o755)
    (tmp_path / "flash").write_bytes(b"")
    (tmp_path / "tty").touch()
    path = tmp_path / "relay.toml"
    path.write_text(TABLE.replace("./tool", str(tmp_path / "tool")))
    settings = config.read_config(path)
    clock = FakeClock(world)
    store = FileStore(tmp_path / "files", 100_000)
    return CarriedBoard(
        settings.gateway,
        settings.boards[0],
        settings.root,
        settings.state / "boards" / "pi-1",
        store,
        Server(GOOD.files),
        UsbPorts(clock),
        clock,
    )


async def until(carried, done):
    life = asyncio.create_task(carried.run())
    try:
        async with asyncio.timeout(60):
            while not done():
                assert not life.done()
                await asyncio.sleep(0.001)
    finally:
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)


def test_a_board_of_relay_toml_gets_its_release_from_the_store_by_its_commands(
    tmp_path, world, carried
):
    def has_succeeded():
        state = world.reports[-1]["models"]["digits"] if world.reports else {"outcome": ""}
        return state["outcome"] == "SUCCEEDED" and carried.is_online()

    asyncio.run(until(carried, has_succeeded))
    assert (tmp_path / "flash").read_bytes() == MODEL
    assert len(carried.http.asked) == len(list((tmp_path / "files").iterdir())) == 2
    report = world.reports[-1]
    assert report["extra"]["via"] == "gw-1"
    assert report["models"]["digits"]["reason"] == "its golden set did not run on the board"
    said = (tmp_path / "said").read_text()
    assert f" {tmp_path}/tty" in said
    assert not carried.is_online()


def test_a_board_that_is_unplugged_is_told_and_no_command_runs(tmp_path, world, carried):
    (tmp_path / "tty").unlink()

    def is_missed():
        return any("tty is not plugged in" in report["refused"] for report in world.reports)

    asyncio.run(until(carried, lambda: is_missed() and not carried.is_online()))
    assert not (tmp_path / "said").exists()
    (tmp_path / "tty").touch()
    asyncio.run(until(carried, carried.is_online))
    asyncio.run(until(carried, lambda: (tmp_path / "flash").read_bytes() == MODEL))


def test_what_the_broker_does_not_let_a_board_read_is_told(world, carried, monkeypatch, caplog):
    """As when relay.toml names another target than the one that the board was enrolled with."""

    async def denied(link, topics):
        return [topic for topic in topics if "/desired/" in topic]

    monkeypatch.setattr(FakeLink, "denied", denied)
    asyncio.run(until(carried, lambda: caplog.messages))
    (told,) = caplog.messages[:1]
    assert told.startswith("pi-1: the broker denied a subscription: this user may not read ")
    assert told.endswith(f"{TOPIC}; is it enrolled with this target and model?")


def test_a_fault_of_the_gateway_begins_anew(world, carried, monkeypatch):
    made = carried.made
    faults = [OSError("no space"), ZeroDivisionError()]

    def failing():
        if faults:
            raise faults.pop()
        return made()

    monkeypatch.setattr(carried, "made", failing)
    asyncio.run(until(carried, carried.is_online))
    assert not faults


def test_a_look_that_fails_does_not_end_the_looking(tmp_path, carried, monkeypatch):
    looks = []

    def exists(path):
        looks.append(path)
        if len(looks) == 2:
            raise PermissionError(13, "Permission denied")
        return len(looks) > 2

    monkeypatch.setattr(carrying, "_exists", exists)
    asyncio.run(until(carried, lambda: (tmp_path / "flash").read_bytes() == MODEL))
    assert len(looks) > 2
