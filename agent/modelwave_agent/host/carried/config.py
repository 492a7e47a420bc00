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

COMMAND = "command"
KINDS = (COMMAND,)
WRITE_SECONDS = 600.0
STATE_SECONDS = 30.0


@dataclass(frozen=True)
class CarriedSettings:
    """What the agent of one carried board needs to know."""

    target: str
    models: tuple[str, ...]
    metrics_seconds: float
    zone: tzinfo | None  # the time zone of its maintenance windows; None: the system's
    health_seconds: float
    commands: Commands | None  # of kind command
    report_key: bytes = field(default=b"", repr=False)


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
        report_key=reader.report_key("report_key_file"),
    )
    if kind == COMMAND and len(found.models) != 1:
        raise ConfigError(f"{reader.where}models: its commands write one file, so give one model")
    return found


def _commands(reader: SettingsReader, health_seconds: float) -> Commands:
    factory = reader.take("factory", setting_checks.text, "")
    kernels = reader.take("limits.kernels", setting_checks.kernels, None)
    return Commands(
        write=reader.take("write", _write),
        health=reader.take("health", _health),
        state=reader.take("state", setting_checks.command, ()),
        write_seconds=reader.take("write_seconds", setting_checks.seconds, WRITE_SECONDS),
        health_seconds=health_seconds,
        state_seconds=reader.take("state_seconds", setting_checks.seconds, STATE_SECONDS),
        flash_bytes=reader.take("limits.flash_bytes", _some_bytes),
        ram_bytes=reader.take("limits.ram_bytes", _some_bytes),
        kernels=kernels,
        runtime=reader.take("runtime.format", setting_checks.checked(fields.token), TFLITE),
        runtime_version=reader.take("runtime.version", _version, ""),
        factory=str(reader.path.parent / factory) if factory else "",
    )


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
