"""Takes settings out of a TOML file one by one, and refuses those that are left.

Types are strict and unknown keys are refused; an error names the file, the key and the values
that are allowed. Paths are relative to the file's folder.
"""

import os
import ssl
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modelwave_agent.host import broker_urls, setting_checks
from modelwave_agent.host.broker_urls import BrokerUrl
from modelwave_agent.host.link import BrokerAddress
from modelwave_shared import documents, proofs
from modelwave_shared.authorities import Authorities, UnusableFile
from modelwave_shared.errors import advised
from modelwave_shared.limits import MAX_ENVELOPE_BYTES

MAX_CONFIG_BYTES = 65536
MAX_SECRET_BYTES = 1024


class ConfigError(Exception):
    """A file of settings, or a file that it names, is wrong; the message names the file and the
    key."""


def parsed(path: Path) -> dict[str, Any]:
    """Returns the tables of the TOML file `path`. Raises ConfigError."""
    data = bounded(path, str(path), MAX_CONFIG_BYTES)
    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:  # not UTF-8, no TOML, or an endless number
        raise ConfigError(f"{path}: not TOML: {error}") from error


def bounded(path: Path, where: str, limit: int) -> bytes:
    """Returns the contents of `path`, which `where` names in errors. Raises ConfigError."""
    require_plain(path, where)
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise ConfigError(f"{where}: {error.strerror}") from error
    if len(data) > limit:
        raise ConfigError(f"{where}: larger than {limit} bytes")
    return data


def require_plain(path: Path, where: str) -> None:
    """Raises ConfigError, which begins with `where`, for what is no plain file: a pipe or a device
    may have no end."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigError(f"{where}: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        raise ConfigError(f"{where}: it is no plain file; name one")


class SettingsReader:
    """Takes the settings of one table and its subtables out, and refuses those that are left."""

    def __init__(self, path: Path, settings: dict[str, Any], within: str = "") -> None:
        """`settings`: the table, of the file `path`. `within` names it in errors, if the file has
        several of its kind, as in "board pico-1: "; "" for the whole file."""
        self.path = path
        self.where = f"{path}: {within}"
        self.settings = settings
        self.known: dict[str, list[str]] = {}  # the keys taken, by table

    def broker(self) -> BrokerAddress:
        first, *others = self.broker_urls()
        tls = first.tls
        user = self.take("broker.user", setting_checks.text, "")
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
            raise ConfigError(f"{self.where}broker.url and broker.urls: give one of the two")
        return several

    def take(self, key: str, check: Callable[[Any], Any], *default: Any) -> Any:
        """Takes out and checks the setting at the dotted `key`; returns the default if there is
        none."""
        table, _, name = key.rpartition(".")
        self.known.setdefault(table, []).append(name)
        settings = self.settings.get(table, {}) if table else self.settings
        if not isinstance(settings, dict):
            raise ConfigError(f"{self.where}{table}: not a table; write [{table}]")
        if name not in settings:
            if not default:
                raise ConfigError(f"{self.where}{key}: missing")
            return default[0]
        try:
            return check(settings.pop(name))
        except ValueError as error:
            raise ConfigError(f"{self.where}{key}: {error}") from error

    def refuse_the_rest(self) -> None:
        """Raises ConfigError if there are settings that were not taken."""
        tables = [table for table in self.known if table]
        for table in tables:
            self.refuse(f"{table}.", self.settings.pop(table, {}), self.known[table])
        self.refuse(
            "", self.settings, [*self.known.get("", ()), *(f"[{table}]" for table in tables)]
        )

    def refuse(self, prefix: str, left: dict[str, Any], known: list[str]) -> None:
        for name in left:
            raise ConfigError(
                f"{self.where}{prefix}{name!r}: unknown setting; known are {', '.join(known)}"
            )

    def state(self) -> Path:
        """Returns the state folder, which may not be there yet."""
        path: Path = self.path.parent / self.take("state", setting_checks.folder_path)
        if os.path.lexists(path) and not os.path.isdir(path):
            raise ConfigError(f"{self.where}state: {path}: it is no folder; name another one")
        return path

    def root(self, name: str) -> dict[str, Any]:
        path = self.path.parent / name
        data = self._contents("root", name, MAX_ENVELOPE_BYTES + 1)  # one more for a newline
        try:
            return documents.open_first_root(data.strip())
        except ValueError as error:
            raise ConfigError(f"{self.where}root: {path}: {advised(error, 'agent')}") from error

    def authorities(self, key: str) -> str:
        """Returns the path of a file with certificate authorities, "" for the system's."""
        name = self.take(key, setting_checks.text, "")
        if not name:
            return ""
        path = self._plain(key, name)
        try:
            ssl.create_default_context(cafile=path)
        except OSError as error:  # the file, or the certificates in it
            raise ConfigError(f"{self.where}{key}: {path}: {error.strerror}") from error
        return str(path)

    def certificate(self, table: str = "broker.") -> tuple[str, str]:
        """Returns the paths of the client certificate and its key, "" for none."""
        names = [
            self.take(f"{table}{name}", setting_checks.text, "") for name in ("certificate", "key")
        ]
        if not any(names):
            return "", ""
        if not all(names):
            raise ConfigError(f"{self.where}{table}certificate and {table}key: one needs the other")
        certificate = str(self._plain(f"{table}certificate", names[0]))
        key = str(self._plain(f"{table}key", names[1]))
        try:
            Authorities("", certificate, key)
        except UnusableFile as error:
            raise ConfigError(f"{self.where}{table}certificate: {error}") from error
        return certificate, key

    def report_key(self, key: str) -> bytes:
        """Returns the key in the file that the setting names, b"" if it is not set."""
        name = self.take(key, setting_checks.text, "")
        if not name:
            return b""
        data = self._contents(key, name, MAX_SECRET_BYTES)
        try:
            return bytes(proofs.key_of(data.decode("ascii", "replace").rstrip("\r\n")))
        except ValueError as error:
            raise ConfigError(f"{self.where}{key}: {name}: {error}") from error

    def secret(self, key: str) -> str:
        """Returns the contents of the file that the setting `key` names, "" if it is not set."""
        name = self.take(key, setting_checks.text, "")
        if not name:
            return ""
        data = self._contents(key, name, MAX_SECRET_BYTES)
        try:
            return data.decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise ConfigError(f"{self.where}{key}: {name}: not UTF-8 text") from error

    def _plain(self, key: str, name: str) -> Path:
        """Returns the path of the plain file `name`, which the setting `key` names."""
        path: Path = self.path.parent / name
        require_plain(path, f"{self.where}{key}: {path}")
        return path

    def _contents(self, key: str, name: str, limit: int) -> bytes:
        """Returns the contents of the file `name`, which the setting `key` names."""
        path = self.path.parent / name
        return bounded(path, f"{self.where}{key}: {path}", limit)
