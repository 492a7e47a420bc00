"""Tests the commands of boards that are only flashed, with real programs."""

import asyncio
import json
from pathlib import Path

import pytest

from modelwave_agent.host.carried.answers import MAX_ANSWER_BYTES, read_answer
from modelwave_agent.host.carried.commands import CommandCarrier, Commands
from modelwave_agent.host.carried.port import CarrierError, Observed
from modelwave_agent.host.relay import config
from modelwave_agent.host.settings_reader import ConfigError
from modelwave_agent.journal import Journal
from tests import signing

SHA = "ab" * 32
TOOL = """#!/bin/sh
cd "$(dirname "$0")"
echo "$@" >> said
case $1 in
  write) cat "$2" > flash ;;
  health) echo warming up >&2; echo "$MODELWAVE_PORT is bad" >&2; exit "$(cat health)" ;;
  state) echo booting; sha256sum < flash | cut -d' ' -f1 ;;
  slow) sleep 60 ;;
esac
"""
BOARD = """
gateway = "gw-1"
state = "state"
root = "root.json"
[broker]
url = "mqtt://broker.test"
[[board]]
device = "esp-1"
kind = "command"
target = "esp32"
models = ["digits"]
write = ["esptool", "write_flash", "0x300000", "{file}"]
health = ["ask"]
[board.limits]
flash_bytes = 1000
ram_bytes = 2000
"""


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    path = tmp_path / "tool"
    path.write_text(TOOL)
    path.chmod(0o755)
    (tmp_path / "flash").write_bytes(b"")
    (tmp_path / "health").write_text("0")
    return path


def commands(tool: Path, **changes: object) -> Commands:
    one = str(tool)
    found = {
        "write": (one, "write", "{file}", "{port}"),
        "health": (one, "health", "{golden}"),
        "state": (one, "state"),
        "write_seconds": 60.0,
        "health_seconds": 60.0,
        "state_seconds": 60.0,
        "flash_bytes": 1000,
        "ram_bytes": 2000,
        "kernels": None,
        "runtime": "tflite",
        "runtime_version": "",
        "factory": "",
        **changes,
    }
    return Commands(**found)  # type: ignore[arg-type]


def carrier(tool: Path, **changes: object) -> CommandCarrier:
    journal = Journal(str(tool.parent), "flashed")
    return CommandCarrier(commands(tool, **changes), journal, lambda: "/dev/ttyX")


def file(tool: Path, data: bytes) -> tuple[str, str]:
    path = tool.parent / f"file {len(data)}; touch x"  # nothing that a shell would keep whole
    path.write_bytes(data)
    return str(path), signing.sha(data)


def ignore(done: int, size: int) -> None:
    pass


def test_a_file_is_written_confirmed_and_known_after_a_restart(tool: Path) -> None:
    async def main() -> None:
        path, sha = file(tool, b"one")
        board = carrier(tool)
        assert await board.write(path, sha, ignore) == ""
        assert (await board.state())[:2] == (sha, False)
        await board.confirm()
        assert (await carrier(tool).state())[:4] == (sha, True, 1000, 2000)
        assert (await carrier(tool, state=()).state())[:2] == (sha, True)

    asyncio.run(main())
    assert (tool.parent / "flash").read_bytes() == b"one"
    assert not (tool.parent / "x").exists()
    assert "/dev/ttyX" in (tool.parent / "said").read_text()


def test_a_write_that_was_cut_leaves_no_file_that_is_known(tool: Path) -> None:
    path, sha = file(tool, b"one")
    board = carrier(tool, state=(), write=(str(tool), "slow"), write_seconds=0.2)
    with pytest.raises(CarrierError, match=r"write command: not finished within 0\.2 s"):
        asyncio.run(board.write(path, sha, ignore))
    assert asyncio.run(board.state())[:2] == ("", False)
    assert asyncio.run(carrier(tool, state=()).state())[:2] == ("", False)


def test_the_older_file_is_written_only_if_it_does_not_run(tool: Path) -> None:
    async def main() -> None:
        old, new = file(tool, b"old"), file(tool, b"newer")
        board = carrier(tool)
        await board.back(*old)
        await board.back(*old)
        await board.write(*new, ignore)
        await board.back(*old)
        assert (await board.state())[:2] == (old[1], True)

    asyncio.run(main())
    assert (tool.parent / "said").read_text().count("write ") == 3


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("0", ""),
        ("1", "health command: exit code 1: /dev/ttyX is bad"),
        ("75", CarrierError),
    ],
)
def test_the_health_command_decides_by_its_exit_code(
    tool: Path, code: str, told: "str | type[CarrierError]"
) -> None:
    (tool.parent / "health").write_text(code)
    board = carrier(tool)
    if isinstance(told, str):
        assert asyncio.run(board.prove("golden.bin", {})) == told
    else:
        with pytest.raises(CarrierError, match="exit code 75"):
            asyncio.run(board.prove("golden.bin", {}))
    assert "health golden.bin" in (tool.parent / "said").read_text()


def test_a_board_that_does_not_say_what_it_runs_is_silent_and_not_ill(tool: Path) -> None:
    (tool.parent / "health").write_text("1")
    with pytest.raises(CarrierError, match="state command: exit code 1"):
        asyncio.run(carrier(tool, state=("/bin/false",)).healthy(60))


def test_a_program_that_is_not_installed_is_told_before_a_release_is_tried(tool: Path) -> None:
    board = carrier(tool, health=("/nowhere/ask",))
    with pytest.raises(CarrierError, match="/nowhere/ask: no such program is installed"):
        asyncio.run(board.state())


def test_golden_sets_run_on_the_board_only_if_the_health_command_takes_them(tool: Path) -> None:
    assert carrier(tool).proves
    assert not carrier(tool, health=(str(tool), "health")).proves


def test_a_failed_first_release_is_replaced_by_the_factory_file(tool: Path) -> None:
    path, sha = file(tool, b"factory")
    board = carrier(tool, factory=path)
    asyncio.run(board.leave())
    assert asyncio.run(board.state())[:2] == (sha, True)
    with pytest.raises(CarrierError, match="there is no older file to write back"):
        asyncio.run(carrier(tool).leave())


def test_what_a_board_counts_is_told_once_and_a_reset_is_noticed(tool: Path) -> None:
    async def seen(*inferences: int) -> list[Observed]:
        board = carrier(tool)
        found = []
        for count in inferences:
            answer = json.dumps({"sha256": SHA, "inferences": count, "failures": 1})
            board._look(read_answer(answer.encode()))
            found += await board.observed()
        return found

    assert asyncio.run(seen(10, 10, 15)) == [Observed(SHA, 5)]
    assert asyncio.run(seen(10, 3)) == [Observed(SHA, 3, 1)]


@pytest.mark.parametrize(
    "out",
    [
        b"",
        b"ok",
        SHA.encode()[:-1],
        b'{"sha256": "' + SHA.encode() + b'", "more": 1}',
        b'{"sha256": 1}',
        b'{"ram_bytes": 5}',
        b'{"sha256": "", "ram_bytes": -1}',
        b'{"sha256": "", "inferences": 1.5}',
        b"{" * 5000,
        b"a" * (MAX_ANSWER_BYTES + 1),
        b"\xff\xfe",
    ],
)
def test_an_answer_that_cannot_be_read_is_no_answer(out: bytes) -> None:
    with pytest.raises(ValueError, match=r"neither|more than"):
        read_answer(out)


def test_an_answer_may_say_what_the_board_has(tool: Path) -> None:
    answer = {"sha256": SHA, "flash_bytes": 7, "ram_bytes": 8, "kernels": ["ADD"], "correct": 1}
    found = read_answer(b"noise\n" + json.dumps(answer).encode() + b"\n\n")
    assert found == (SHA, 7, 8, ("ADD",), (0, 0, 0, 1))


def read(folder: Path, text: str) -> config.BoardConfig:
    (folder / "root.json").write_bytes(signing.root_envelope())
    (folder / "relay.toml").write_text(text)
    return config.read_config(folder / "relay.toml").boards[0]


def test_a_table_of_relay_toml_is_a_board_that_commands_flash(tmp_path: Path) -> None:
    board = read(tmp_path, BOARD)
    assert (board.kind, board.place) == ("command", "")
    assert board.carried is not None
    assert board.carried.commands is not None
    assert (board.carried.target, board.carried.models) == ("esp32", ("digits",))
    assert board.carried.commands.state == ()
    assert board.carried.commands.flash_bytes == 1000


@pytest.mark.parametrize(
    ("was", "becomes", "told"),
    [
        ('["digits"]', '["a", "b"]', "models: such a board takes one file, so give one model"),
        ('"{file}"', '"x"', "write: no part of it has {file}, which is the path of the file"),
        ('["ask"]', "[]", "health: give the command that exits with 0"),
        ("flash_bytes = 1000", "", "limits.flash_bytes: missing"),
        ("ram_bytes = 2000", "ram_bytes = 0", "limits.ram_bytes: give the bytes that the board"),
        ('health = ["ask"]', 'health = ["ask"]\nhealt = 1', "'healt': unknown setting"),
        ('"esp32"', '"ESP 32"', "target: "),
    ],
)
def test_errors_in_it_name_the_board_and_the_field(
    tmp_path: Path, was: str, becomes: str, told: str
) -> None:
    assert was in BOARD
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, BOARD.replace(was, becomes))
    assert f"relay.toml: board 'esp-1': {told}" in str(caught.value)


SMP = """
gateway = "gw-1"
state = "state"
root = "root.json"
[broker]
url = "mqtt://broker.test"
[[board]]
device = "nrf-1"
kind = "mcuboot"
target = "digits-board"
models = ["digits"]
"""


def test_a_board_with_mcuboot_is_at_a_port_or_an_address(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="port and usb_serial: give one of the two"):
        read(tmp_path, SMP)
    assert read(tmp_path, SMP + 'port = "/dev/ttyACM0"\n').place == "/dev/ttyACM0"
    board = read(tmp_path, SMP + 'address = "udp://192.0.2.7:1337"\nimage = 1\n')
    assert board.carried is not None
    assert board.carried.smp is not None
    assert (board.carried.smp.address, board.carried.smp.image) == ("udp://192.0.2.7:1337", 1)
    ports = ("udp://a:b", "udp://a:0", "udp://a:65536", "udp://a:\u0663")
    for address in ("192.0.2.7", "udp://:1", *ports, "ble://"):
        with pytest.raises(ConfigError, match="address: give"):
            read(tmp_path, SMP + f'address = "{address}"\n')
