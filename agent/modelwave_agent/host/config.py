"""Reads agent.toml, the settings of an agent on a host. agent.toml.example explains them.

Types are strict and unknown keys are refused; an error names the file, the key and the values
that are allowed. Paths are relative to the file's folder.
"""

import ssl
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path
from typing import Any

from modelwave_agent.freshness import FROZEN_SECONDS
from modelwave_agent.host import broker_urls
from modelwave_agent.host.accelerators import ACCELERATORS
from modelwave_agent.host.broker_urls import BrokerUrl
from modelwave_agent.host.hooks import HOOK_SECONDS
from modelwave_agent.host.launch_limits import CONNECT_SECONDS, SILENT_SECONDS
from modelwave_agent.host.link import BrokerAddress
from modelwave_agent.host.proving import ENGINE_SECONDS, PROOF_SECONDS
from modelwave_agent.host.redirects import MAX_HOSTS, RedirectHost
from modelwave_agent.host.runtimes.port import RuntimeSettings
from modelwave_shared import documents, fields, local_time, proofs, schema
from modelwave_shared.authorities import Authorities, UnusableFile
from modelwave_shared.errors import DocumentError, advised
from modelwave_shared.limits import (
    MAX_BYTES,
    MAX_ENVELOPE_BYTES,
    MAX_FILE_HOSTS,
    MAX_KERNELS,
    MAX_MODELS,
)
from modelwave_shared.rules import ListOf
from modelwave_shared.tensors import DELEGATES, PROVIDERS

MAX_CONFIG_BYTES = 65536
MAX_SECRET_BYTES = 1024
MAX_THREADS = 256
MAX_FROZEN_HOURS = 24 * 365
FROZEN_HOURS = FROZEN_SECONDS // 3600


class ConfigError(Exception):
    """agent.toml or a file that it names is wrong; the message names the file and the key."""


@dataclass(frozen=True)
class AgentConfig:
    device: str
    target: str
    models: tuple[str, ...]
    state: Path
    root: dict[str, Any]  # the checked root document
    broker: BrokerAddress
    flash_bytes: int  # the limit of one bank; 0: the free space
    ram_bytes: int  # the limit of a model; 0: the free memory
    kernels: tuple[str, ...]  # the operators of a board that this host simulates; (): all
    runtime: RuntimeSettings
    proof_seconds: float
    engine_seconds: float  # more, for the proof that builds an engine of TensorRT
    shadow: bool  # whether releases may run beside the live ones
    download_ca: str
    file_hosts: tuple[str, ...] | None  # None: those of the fleet's root
    private_networks: bool  # whether names of file hosts may lead into them
    redirect_hosts: tuple[RedirectHost, ...]
    swap: tuple[str, ...]
    health: tuple[str, ...]
    may_update: tuple[str, ...]
    hook_seconds: float
    metrics_seconds: float
    frozen_seconds: float  # without a heartbeat, until the view of the orders may be frozen
    zone: tzinfo | None  # the time zone; None: the system's
    # How long the launcher waits for a new agent's first report, and for a sign of life.
    connect_seconds: float
    silent_seconds: float
    # Proves what the device reports; b"": nothing does.
    report_key: bytes = field(default=b"", repr=False)


def read_config(path: Path) -> AgentConfig:
    """Reads and checks an agent.toml. Raises ConfigError."""
    return _SettingsReader(path, _parse(path)).config()


def _parse(path: Path) -> dict[str, Any]:
    data = _bounded(path, path, MAX_CONFIG_BYTES)
    try:
        return tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error


def _bounded(config: Path, path: Path, limit: int) -> bytes:
    """Returns the contents of `path`, which is `config` or is named in it. Raises ConfigError."""
    where = f"{path}" if path == config else f"{config}: {path}"
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise ConfigError(f"{where}: {error.strerror}") from error
    if len(data) > limit:
        raise ConfigError(f"{where}: larger than {limit} bytes")
    return data


class _SettingsReader:
    """Takes the settings out one by one, and refuses those that are left."""

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.path = path
        self.settings = settings
        self.known: dict[str, list[str]] = {}  # the keys taken, by table

    def config(self) -> AgentConfig:
        found = AgentConfig(
            device=self.take("device", _checked(fields.name)),
            target=self.take("target", _checked(schema.target)),
            models=self.take("models", _models),
            state=self.path.parent / self.take("state", _path),
            root=self.root(self.take("root", _path)),
            broker=self.broker(),
            flash_bytes=self.take("limits.flash_bytes", _bytes, 0),
            ram_bytes=self.take("limits.ram_bytes", _bytes, 0),
            kernels=self.take("limits.kernels", _kernels, ()),
            runtime=self.runtime(),
            proof_seconds=self.take("runtime.proof_seconds", _seconds, PROOF_SECONDS),
            engine_seconds=self.take("runtime.engine_seconds", _seconds, ENGINE_SECONDS),
            shadow=self.take("runtime.shadow", _yes_or_no, True),
            download_ca=self.authorities("download.ca"),
            file_hosts=self.take("download.hosts", _file_hosts, None),
            private_networks=self.take("download.private_networks", _yes_or_no, False),
            redirect_hosts=self.take("download.redirect_hosts", _redirect_hosts, ()),
            swap=self.take("hooks.swap", _command, ()),
            health=self.take("hooks.health", _command, ()),
            may_update=self.take("hooks.may_update", _command, ()),
            hook_seconds=self.take("hooks.seconds", _seconds, HOOK_SECONDS),
            metrics_seconds=self.take("metrics_seconds", _seconds, 900.0),
            frozen_seconds=3600 * self.take("frozen_hours", _hours, FROZEN_HOURS),
            zone=self.take("timezone", _zone, None),
            connect_seconds=self.take("self_update.connect_seconds", _seconds, CONNECT_SECONDS),
            silent_seconds=self.take("self_update.silent_seconds", _seconds, SILENT_SECONDS),
            report_key=self.report_key("report_key_file"),
        )
        self.refuse_the_rest()
        return found

    def runtime(self) -> RuntimeSettings:
        return RuntimeSettings(
            accelerator=self.take("runtime.accelerator", _accelerator, ""),
            threads=self.take("runtime.threads", _threads, 0),
            delegates=self.take("runtime.delegates", _some_of(DELEGATES), DELEGATES),
            providers=self.take("runtime.providers", _some_of(PROVIDERS), PROVIDERS),
        )

    def broker(self) -> BrokerAddress:
        first, *others = self.broker_urls()
        tls = first.tls
        user = self.take("broker.user", _text, "")
        password = self.secret("broker.password_file")
        ca = self.authorities("broker.ca")
        certificate, key = self.certificate()
        places = tuple((one.host, one.port) for one in others)
        return BrokerAddress(
            first.host, first.port, tls, user, password, ca, certificate, key, places
        )

    def broker_urls(self) -> list[BrokerUrl]:
        """Returns the addresses of `url`, or of `urls`, the first to be tried first."""
        several: list[BrokerUrl] = self.take("broker.urls", broker_urls.several, [])
        if not several:
            return [self.take("broker.url", broker_urls.one)]
        if self.take("broker.url", broker_urls.one, None):
            raise ConfigError(f"{self.path}: broker.url and broker.urls: give one of the two")
        return several

    def take(self, key: str, check: Callable[[Any], Any], *default: Any) -> Any:
        """Takes out and checks the setting at the dotted `key`; returns the default if there is
        none."""
        table, _, name = key.rpartition(".")
        self.known.setdefault(table, []).append(name)
        settings = self.settings.get(table, {}) if table else self.settings
        if not isinstance(settings, dict):
            raise ConfigError(f"{self.path}: {table}: not a table; write [{table}]")
        if name not in settings:
            if not default:
                raise ConfigError(f"{self.path}: {key}: missing")
            return default[0]
        try:
            return check(settings.pop(name))
        except ValueError as error:
            raise ConfigError(f"{self.path}: {key}: {error}") from error

    def refuse_the_rest(self) -> None:
        tables = [table for table in self.known if table]
        for table in tables:
            self.refuse(f"{table}.", self.settings.pop(table, {}), self.known[table])
        self.refuse("", self.settings, [*self.known[""], *(f"[{table}]" for table in tables)])

    def refuse(self, prefix: str, left: dict[str, Any], known: list[str]) -> None:
        for name in left:
            raise ConfigError(
                f"{self.path}: {prefix}{name!r}: unknown setting; known are {', '.join(known)}"
            )

    def root(self, name: str) -> dict[str, Any]:
        path = self.path.parent / name
        data = _bounded(
            self.path, path, MAX_ENVELOPE_BYTES + 1
        )  # one more for a newline at the end
        try:
            return documents.open_first_root(data.strip())
        except ValueError as error:
            raise ConfigError(f"{self.path}: root: {path}: {advised(error, 'agent')}") from error

    def authorities(self, key: str) -> str:
        """Returns the path of a file with certificate authorities, "" for the system's."""
        name = self.take(key, _text, "")
        if not name:
            return ""
        path = self.path.parent / name
        try:
            ssl.create_default_context(cafile=path)
        except OSError as error:  # the file, or the certificates in it
            raise ConfigError(f"{self.path}: {key}: {path}: {error.strerror}") from error
        return str(path)

    def certificate(self) -> tuple[str, str]:
        """Returns the paths of the client certificate and its key, "" for none."""
        names = [self.take(f"broker.{name}", _text, "") for name in ("certificate", "key")]
        if not any(names):
            return "", ""
        if not all(names):
            raise ConfigError(
                f"{self.path}: broker.certificate and broker.key: one needs the other"
            )
        certificate, key = (str(self.path.parent / name) for name in names)
        try:
            Authorities("", certificate, key)
        except UnusableFile as error:
            raise ConfigError(f"{self.path}: broker.certificate: {error}") from error
        return certificate, key

    def report_key(self, key: str) -> bytes:
        """Returns the key in the file that the setting names, b"" if it is not set."""
        name = self.take(key, _text, "")
        if not name:
            return b""
        data = _bounded(self.path, self.path.parent / name, MAX_SECRET_BYTES)
        try:
            return bytes(proofs.key_of(data.decode("ascii", "replace").rstrip("\r\n")))
        except ValueError as error:
            raise ConfigError(f"{self.path}: {key}: {name}: {error}") from error

    def secret(self, key: str) -> str:
        """Returns the contents of the file that the setting `key` names, "" if it is not set."""
        name = self.take(key, _text, "")
        if not name:
            return ""
        data = _bounded(self.path, self.path.parent / name, MAX_SECRET_BYTES)
        try:
            return data.decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise ConfigError(f"{self.path}: {key}: {name}: not UTF-8 text") from error


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError("give a text in quotes, on one line")
    return value


def _zone(value: Any) -> tzinfo | None:
    return local_time.zone_of(value) if _text(value) else None


def _path(value: Any) -> str:
    if not _text(value):
        raise ValueError("give a path")
    return str(value)


def _bytes(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_BYTES:
        raise ValueError(f"give bytes, from 0 to {MAX_BYTES}")
    return value


def _kernels(value: Any) -> tuple[str, ...]:
    try:
        ListOf(fields.token, 0, MAX_KERNELS)(value, "")
    except DocumentError as error:
        raise ValueError(f'give operators as a list: ["CONV_2D", "SOFTMAX"]; {error}') from error
    return tuple(value)


def _file_hosts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MAX_FILE_HOSTS:
        raise ValueError(f'give at most {MAX_FILE_HOSTS} hosts as a list: ["files.example.org"]')
    return tuple(_checked(fields.file_host)(_text(host).lower()) for host in value)


def _redirect_hosts(value: Any) -> tuple[RedirectHost, ...]:
    if not isinstance(value, list) or len(value) > MAX_HOSTS:
        raise ValueError(f'give at most {MAX_HOSTS} hosts as a list: ["cdn.example.org"]')
    return tuple(RedirectHost.of(_text(host)) for host in value)


def _accelerator(value: Any) -> str:
    if value not in ACCELERATORS:
        raise ValueError("give one of " + ", ".join(f'"{name}"' for name in ACCELERATORS))
    return str(value)


def _threads(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_THREADS:
        raise ValueError(f"give threads, from 1 to {MAX_THREADS}; 0 leaves it to the runtime")
    return value


def _some_of(words: tuple[str, ...]) -> Callable[[Any], tuple[str, ...]]:
    def checked(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(one in words for one in value):
            raise ValueError("give a list of " + ", ".join(f'"{one}"' for one in words) + "; or []")
        if len(set(value)) != len(value):
            raise ValueError("one of them is named twice; name it once")
        return tuple(value)

    return checked


def _yes_or_no(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError("give true or false")
    return value


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.1 <= value <= 86400:
        raise ValueError("give seconds, from 0.1 to 86400")
    return float(value)


def _hours(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= MAX_FROZEN_HOURS:
        raise ValueError(f"give hours, from 1 to {MAX_FROZEN_HOURS}")
    return value


def _command(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(part, str) and part for part in value):
        raise ValueError('give a command as a list: ["/usr/bin/reload", "vision"]')
    if any("\0" in part for part in value):
        raise ValueError("a part of the command has a NUL character, which no program can be given")
    return tuple(value)


def _models(value: Any) -> tuple[str, ...]:
    ListOf(fields.name, 1, MAX_MODELS)(value, "models")
    if len(set(value)) != len(value):
        raise ValueError("a model is named twice; name it once")
    return tuple(value)


def _checked(check: Callable[[Any, str], None]) -> Callable[[Any], str]:
    def checked(value: Any) -> str:
        try:
            check(value, "")
        except DocumentError as error:
            raise ValueError(error.problem) from error
        return str(value)

    return checked
