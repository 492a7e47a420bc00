"""Reads what a [[board]] table of relay.toml says of a board that has no agent: what agent.toml
says of a device, and how the gateway reaches the board. relay.toml.example explains it."""

from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

from modelwave_agent.host import setting_checks
from modelwave_agent.host.carried.commands import FILE, Commands
from modelwave_agent.host.carried.hooks import HEALTH_SECONDS
from modelwave_agent.host.settings_reader import ConfigError, SettingsReader
from modelwave_shared import fields, schema
from modelwave_shared.words import TFLITE

COMMAND, MCUBOOT = "command", "mcuboot"
KINDS = (COMMAND, MCUBOOT)
MAX_PORT = 65535
MAX_IMAGE = 15  # pairs of slots, of which MCUboot has one or two
WRITE_SECONDS = 600.0
STATE_SECONDS = 30.0


@dataclass(frozen=True)
class SmpSettings:
    """How a board with MCUboot is reached, and what it has if its firmware does not tell it."""

    address: str  # "udp://HOST:PORT" or "ble://ADDRESS"; "" for the board's serial port
    image: int  # the pair of slots
    slot_bytes: int
    ram_bytes: int


@dataclass(frozen=True)
class CarriedSettings:
    """What the agent of one carried board needs to know."""

    target: str
    models: tuple[str, ...]
    metrics_seconds: float
    zone: tzinfo | None  # the time zone of its maintenance windows; None: the system's
    health_seconds: float
    commands: Commands | None  # of kind command
    smp: SmpSettings | None  # of kind mcuboot
    report_key: bytes = field(default=b"", repr=False)

    @property
    def needs_port(self) -> bool:
        """Whether the gateway has to be told where the board is plugged in."""
        return self.smp is not None and not self.smp.address


def read_carried(reader: SettingsReader, kind: str) -> CarriedSettings:
    """Takes the settings of a board of this kind, one of KINDS. Raises ConfigError."""
    health_seconds = reader.take("health_seconds", setting_checks.seconds, float(HEALTH_SECONDS))
    found = CarriedSettings(
        target=reader.take("target", setting_checks.checked(schema.target)),
        models=reader.take("models", setting_checks.models),
        metrics_seconds=reader.take("metrics_seconds", setting_checks.seconds, 900.0),
        zone=reader.take("timezone", setting_checks.zone, None),
        health_seconds=health_seconds,
        commands=_commands(reader, health_seconds) if kind == COMMAND else None,
        smp=_smp(reader) if kind == MCUBOOT else None,
        report_key=reader.report_key("report_key_file"),
    )
    if len(found.models) != 1:
        raise ConfigError(f"{reader.where}models: such a board takes one file, so give one model")
    return found


def _smp(reader: SettingsReader) -> SmpSettings:
    return SmpSettings(
        address=reader.take("address", _address, ""),
        image=reader.take("image", _image, 0),
        slot_bytes=reader.take("limits.flash_bytes", setting_checks.byte_count, 0),
        ram_bytes=reader.take("limits.ram_bytes", setting_checks.byte_count, 0),
    )


def _commands(reader: SettingsReader, health_seconds: float) -> Commands:
    factory = reader.take("factory", setting_checks.text, "")
    kernels = reader.take("limits.kernels", setting_checks.kernels, ())
    return Commands(
        write=reader.take("write", _write),
        health=reader.take("health", _health),
        state=reader.take("state", setting_checks.command, ()),
        write_seconds=reader.take("write_seconds", setting_checks.seconds, WRITE_SECONDS),
        health_seconds=health_seconds,
        state_seconds=reader.take("state_seconds", setting_checks.seconds, STATE_SECONDS),
        flash_bytes=reader.take("limits.flash_bytes", _some_bytes),
        ram_bytes=reader.take("limits.ram_bytes", _some_bytes),
        kernels=kernels or None,
        runtime=reader.take("runtime.format", setting_checks.checked(fields.token), TFLITE),
        runtime_version=reader.take("runtime.version", _version, ""),
        factory=str(reader.path.parent / factory) if factory else "",
    )


def _address(value: Any) -> str:
    host, _, port = str(value).removeprefix("udp://").rpartition(":")
    is_number = port.isascii() and port.isdecimal() and len(port) <= 5
    is_udp = str(value).startswith("udp://") and host and is_number and 0 < int(port) <= MAX_PORT
    is_ble = str(value).startswith("ble://") and len(str(value)) > len("ble://")
    if not setting_checks.text(value) or not (is_udp or is_ble):
        raise ValueError('give "udp://HOST:PORT" or "ble://ADDRESS"; port is for a serial one')
    return str(value)


def _image(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_IMAGE:
        raise ValueError("give the number of the image, 0 for the program")
    return value


def _write(value: Any) -> tuple[str, ...]:
    command = setting_checks.command(value)
    if not any(FILE in part for part in command):
        raise ValueError(f"no part of it has {FILE}, which is the path of the file to write")
    return command


def _health(value: Any) -> tuple[str, ...]:
    command = setting_checks.command(value)
    if not command:
        raise ValueError('give the command that exits with 0 if the board is well: ["ask-board"]')
    return command


def _some_bytes(value: Any) -> int:
    if setting_checks.byte_count(value) == 0:
        raise ValueError("give the bytes that the board has; 0 has room for no release")
    return int(value)


def _version(value: Any) -> str:
    return setting_checks.checked(fields.token)(value) if value != "" else ""
