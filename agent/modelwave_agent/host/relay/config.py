"""Reads relay.toml, the settings of a gateway. relay.toml.example explains them.

Each board is a table [[board]]. Errors name it by its device id, or by its place in the file.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from modelwave_agent.host import setting_checks
from modelwave_agent.host.carried.config import KINDS as CARRIED
from modelwave_agent.host.carried.config import CarriedSettings, read_carried
from modelwave_agent.host.link import BrokerAddress
from modelwave_agent.host.settings_reader import ConfigError, SettingsReader, parsed
from modelwave_shared import fields

MAX_BOARDS = 128  # a process of a select() has 1,024 descriptors
MICROPYTHON = "micropython"
KINDS = (MICROPYTHON, *CARRIED)
BAUDS = (300, 12_000_000)
BAUD = 115_200
KEEP_BYTES = 256 * 1024 * 1024
MAX_SERIAL_NUMBER = 128


@dataclass(frozen=True)
class BoardConfig:
    """One board. `port` is the path of its device, or `usb_serial` its USB serial number; the
    other one is "", and both may be where a carried board needs none."""

    device: str
    kind: str
    port: str
    usb_serial: str
    baud: int
    broker: BrokerAddress  # with the board's own user
    carried: CarriedSettings | None = None  # if it has no agent

    @property
    def place(self) -> str:
        if self.usb_serial:
            return f"the USB serial number {self.usb_serial}"
        return self.port


@dataclass(frozen=True)
class RelayConfig:
    gateway: str
    state: Path
    root: dict[str, Any]  # the checked root document
    broker: BrokerAddress
    keep_bytes: int
    file_hosts: tuple[str, ...]
    private_networks: bool
    files_ca: str
    boards: tuple[BoardConfig, ...]

    @property
    def fleet(self) -> str:
        return str(self.root["fleet"])


def read_config(path: Path) -> RelayConfig:
    """Reads and checks a relay.toml. Raises ConfigError."""
    reader = SettingsReader(path, parsed(path))
    root = reader.root(reader.take("root", setting_checks.folder_path))
    broker = reader.broker()
    listed = root.get("extra", {}).get("file_hosts", ())
    found = RelayConfig(
        gateway=reader.take("gateway", setting_checks.checked(fields.name)),
        state=reader.state(),
        root=root,
        broker=broker,
        keep_bytes=reader.take("files.keep_bytes", setting_checks.byte_count, KEEP_BYTES),
        file_hosts=tuple(reader.take("files.hosts", setting_checks.file_hosts, listed)),
        private_networks=reader.take("files.private_networks", setting_checks.yes_or_no, False),
        files_ca=reader.authorities("files.ca"),
        boards=tuple(_boards(path, reader.take("board", _tables, []), broker)),
    )
    reader.refuse_the_rest()
    _refuse_twice(path, "device", [found.gateway, *(board.device for board in found.boards)])
    _refuse_twice(path, "port", (board.port for board in found.boards))
    _refuse_twice(path, "usb_serial", (board.usb_serial for board in found.boards))
    return found


def _boards(
    path: Path, tables: list[dict[str, Any]], broker: BrokerAddress
) -> Iterable[BoardConfig]:
    for number, table in enumerate(tables, 1):
        name = table.get("device", f"number {number}")
        yield _board(SettingsReader(path, table, f"board {name!r}: "), broker)


def _board(reader: SettingsReader, broker: BrokerAddress) -> BoardConfig:
    device = reader.take("device", setting_checks.checked(fields.name))
    password = reader.secret("password_file")
    user = reader.take("user", setting_checks.text, device if password else "")
    certificate, key = reader.certificate("")
    kind = reader.take("kind", _kind, MICROPYTHON)
    found = BoardConfig(
        device=device,
        kind=kind,
        port=reader.take("port", setting_checks.text, ""),
        usb_serial=reader.take("usb_serial", _serial_number, ""),
        baud=reader.take("baud", _baud, BAUD),
        broker=replace(broker, user=user, password=password, certificate=certificate, key=key),
        carried=read_carried(reader, kind) if kind in CARRIED else None,
    )
    needs_port = not found.carried or found.carried.needs_port
    if (found.port and found.usb_serial) or (needs_port and not found.place):
        raise ConfigError(f"{reader.where}port and usb_serial: give one of the two")
    reader.refuse_the_rest()
    return replace(found, port=str(reader.path.parent / found.port)) if found.port else found


def _refuse_twice(path: Path, key: str, values: Iterable[str]) -> None:
    for value, count in Counter(value for value in values if value).items():
        if count > 1:
            raise ConfigError(f"{path}: {key}: {value!r} is named twice; each needs its own")


def _tables(value: Any) -> list[dict[str, Any]]:
    is_list = isinstance(value, list) and all(isinstance(one, dict) for one in value)
    if not is_list or len(value) > MAX_BOARDS:
        raise ValueError(f"give at most {MAX_BOARDS} tables [[board]]")
    return list(value)


def _kind(value: Any) -> str:
    if value not in KINDS:
        raise ValueError("give one of " + ", ".join(f'"{kind}"' for kind in KINDS))
    return str(value)


def _baud(value: Any) -> int:
    least, most = BAUDS
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"give the bits a second of the line, from {least} to {most}")
    return value


def _serial_number(value: Any) -> str:
    if not setting_checks.text(value) or len(value) > MAX_SERIAL_NUMBER:
        raise ValueError("give the number as `modelwave-agent relay-check` shows it")
    return str(value)
