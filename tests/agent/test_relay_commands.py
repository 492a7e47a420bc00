"""`modelwave-agent relay-check` and `relay-status`: what they say, and their exit codes."""

import asyncio
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from modelwave_agent.host import lock, supervised
from modelwave_agent.host.daemon import run
from modelwave_agent.host.relay import commands, config
from modelwave_agent.host.relay.config import RelayConfig
from modelwave_agent.host.relay.gateway import board_folder
from tests import signing

list_ports = pytest.importorskip("serial.tools.list_ports")

TEXT = """
gateway = "gw-1"
state = "state"
root = "root.json"
[broker]
url = "mqtt://broker.test"
[[board]]
device = "pico-1"
port = "pico"
[[board]]
device = "pico-2"
usb_serial = "E66"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "root.json").write_bytes(signing.root_envelope())
    (tmp_path / "relay.toml").write_text(TEXT)
    return tmp_path / "relay.toml"


def test_check_shows_where_each_board_is_and_which_numbers_are_no_board(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plugged = [("/dev/ttyACM0", "E66"), ("/dev/ttyACM1", "A1B")]
    found = [SimpleNamespace(device=device, serial_number=number) for device, number in plugged]
    monkeypatch.setattr(list_ports, "comports", lambda: found)
    assert run(["relay-check", "--config", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "gateway gw-1, fleet demo"
    assert lines[3].endswith(f"{path.parent}/pico: not plugged in")
    assert lines[4].endswith("the USB serial number E66: plugged in at /dev/ttyACM0")
    assert lines[5] == '  no board: usb_serial = "A1B" is plugged in at /dev/ttyACM1'


def test_check_shows_what_is_plugged_in_before_there_is_a_board(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_text(TEXT[: TEXT.index("[[board]]")])
    plugged = [SimpleNamespace(device="/dev/ttyACM0", serial_number="E66")]
    monkeypatch.setattr(list_ports, "comports", lambda: plugged)
    assert run(["relay-check", "--config", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[3:] == [
        "  no boards: give each a table [[board]], as relay.toml.example shows",
        '  no board: usb_serial = "E66" is plugged in at /dev/ttyACM0',
    ]


def test_check_shows_how_boards_without_a_port_are_reached_and_which_programs_are_missing(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = TEXT[: TEXT.index("[[board]]")]
    carried = 'target = "esp32"\nmodels = ["digits"]\n'
    path.write_text(
        f'{head}[[board]]\ndevice = "nrf-1"\nkind = "mcuboot"\n{carried}'
        'address = "udp://192.0.2.7:1337"\n'
        f'[[board]]\ndevice = "esp-1"\nkind = "command"\n{carried}'
        'write = ["/nowhere/flash", "{file}"]\nhealth = ["true"]\nstate = ["no-such-program"]\n'
        "limits = { flash_bytes = 9, ram_bytes = 9 }\n"
    )
    assert run(["relay-check", "--config", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].startswith("  nrf-1: mcuboot, slot ")
    assert lines[3].endswith(", udp://192.0.2.7:1337")
    assert lines[4].endswith(", its commands know where it is")
    assert lines[5:7] == [
        "    /nowhere/flash: no such program is installed",
        "    no-such-program: no such program is installed",
    ]


def test_wrong_settings_are_told(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_text(TEXT.replace('"gw-1"', '"GW"'))
    for command in ("relay", "relay-check", "relay-status"):
        assert run([command, "--config", str(path)]) == 2
        assert capsys.readouterr().err.startswith(f"modelwave-agent: {path}: gateway: ")


async def shown(settings: RelayConfig, health: Path | None) -> commands.RelayStatus:
    """The status beside a gateway that is connected, and one board of which is."""
    held = lock.locked(settings.state)
    folder = board_folder(settings.state, "pico-2")
    folder.mkdir(parents=True)
    try:
        async with lock.showing(settings.state, lambda: True), lock.showing(folder, lambda: True):
            await asyncio.sleep(0)
            return commands.read_status(settings, health, 0.0)
    finally:
        os.close(held)


def test_status_of_a_gateway_that_runs(path: Path) -> None:
    found = asyncio.run(shown(config.read_config(path), None))
    assert found.code == 0
    assert found.lines() == [
        "the gateway gw-1 runs and is connected to the broker",
        "  pico-1: not connected",
        "  pico-2: connected",
    ]


def test_gateway_that_hangs_is_in_trouble(path: Path) -> None:
    health = path.parent / "health"
    health.write_text(supervised.CONNECTING)
    found = asyncio.run(shown(config.read_config(path), health))
    assert (found.code, found.problems) == (1, [supervised.CONNECTING])


def test_gateway_that_does_not_run(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["relay-status", "--config", str(path), "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert (found["running"], found["boards"]) == (False, {"pico-1": False, "pico-2": False})
