"""The operator's home folder: its files, and the settings in controller.toml.

controller.toml   settings of the service
root.json         the newest root document, which names the keys of the fleet
roots/            every root document by its version (trust/chain.py)
order.key         signs orders; the service needs it
report.key        the secret of the keys by which devices prove their reports
offline/          root and release keys; the service never needs them: move them away
releases/         <model>/<release>/<target>.json, the signed manifests
signed/           the same for releases in bundles, so that no number is used twice
files/<sha256>    the files that manifests name, and deltas; devices download them
deltas/           <target>/<sha256>.json, the deltas for the model with this sha256
targets/          the operator's own targets
broker/           what the broker needs: the users and their rules, its certificate
ca/               the certificate of the fleet's authority; its key is in offline/
modelwave.db      events, devices and messages to publish
"""

import ipaddress
import re
import tomllib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from modelwave_controller import disk, environment
from modelwave_controller.alerts.settings import Alerts
from modelwave_controller.connections import is_loopback
from modelwave_controller.environment import ORDER_PASSPHRASE
from modelwave_controller.errors import OperatorError
from modelwave_controller.interruption import held_back
from modelwave_controller.sign_on import SignOn
from modelwave_controller.tracing.settings import TracingSettings
from modelwave_controller.trust import (
    chain,
    custody,
    file_places,
    keys,
    report_keys,
    roots,
    signers,
)
from modelwave_controller.trust.chain import Chain
from modelwave_controller.trust.documents import Root, view
from modelwave_controller.trust.field_types import Name, Url, first_problem, require
from modelwave_controller.trust.keys import Signer
from modelwave_controller.trust.waiting_key import WaitingKey
from modelwave_shared import fields, limits, roles

MAX_CONFIG_BYTES = 65536
# Of what devices measured, the hours of 30 days are kept in any case.
LEAST_KEEP_DAYS, MAX_KEEP_DAYS = 30, 36500
ROOT_KEYS = ("root-1", "root-2", "root-3")

GITIGNORE = b"# Private keys are here: git keeps none of it.\n*\n"
_TEMPLATE = """\
# Settings of `modelwave serve`. Paths are relative to this folder.
fleet = "{fleet}"

[broker]
# mqtt:// or mqtts:// (TLS), the host, and the port unless it is 1883 or 8883.
url = "mqtt://127.0.0.1:1883"
# In place of url, the addresses of a cluster: urls = ["mqtt://a.example", "mqtt://b.example"]
user = ""
password_file = ""   # holds the user's password, and nothing else
ca = ""              # PEM file; empty: the system's certificate authorities
certificate = ""     # PEM file of the controller's own certificate, if the broker asks for one
key = ""             # PEM file of its key, without a passphrase

[keys]
# The key that signs orders: a file, "ssh-agent:KEYID" or "pkcs11:URI" (docs/operations.md).
order = "order.key"
passphrase_file = ""   # holds its passphrase, or the PIN of its token, and nothing else

[database]
# Empty: modelwave.db in this folder. Another SQLite file: "sqlite:///data/fleet.db" in this folder,
# "sqlite:////srv/fleet.db" elsewhere. Or PostgreSQL: "postgresql+psycopg://user@host/modelwave"
url = ""
# A file that holds the password of PostgreSQL's user, and nothing else; not in the URL then:
# password_file = "database-password"
# So many days after a rollout is over, counts take the place of its devices' answers, and what
# devices measured earlier is deleted (docs/operations.md). 0: all is kept for ever.
keep_days = 90

[files]
# The address at which the service serves model files over HTTP; port 0 takes a free one.
listen = "127.0.0.1:8180"
# The URLs from which devices download, as they cannot use the address above:
# urls = ["http://192.0.2.10:8180/files"]; a file is at URL/<sha256>.
urls = []
# Whether deltas are made, by which devices make a new model from the one that they run.
deltas = true

[api]
# The address at which the service answers operators: `modelwave --server URL`, programs, and
# Prometheus. "": nowhere. Beyond this machine only with a certificate, or a reverse proxy with one.
listen = "127.0.0.1:8181"
certificate = ""     # PEM file with the certificate, and those that it needs
key = ""             # PEM file of its key, without a passphrase
# Where people reach it, for the links in alerts, and if a reverse proxy has put it there
# (docs/api.md): url = "https://fleet.example/modelwave"
# Addresses of proxies that are not on this machine: proxies = ["192.0.2.7"]
# Where people sign on at the proxy, with an account that they have: [api.sign_on] (docs/page.md).

[tracing]
# The URL of an OpenTelemetry collector, such as "http://127.0.0.1:4318/v1/traces", which is sent a
# trace of each rollout (docs/operations.md; it needs modelwave[otel]). "": none.
endpoint = ""
headers_file = ""    # lines NAME: VALUE, such as a password
ca = ""              # PEM file; empty: the system's certificate authorities
devices = 20         # of about so many devices of each order the answers are shown

[ingest]
# 0: `modelwave serve` receives all devices itself. With PostgreSQL, the number of processes that
# do it instead, `modelwave ingest 1`, `modelwave ingest 2` and so on (docs/operations.md).
processes = 0

[devices]
# Whether reports and windows have to prove which device sent them: "off"; "show": what is not
# proven is shown; "require": it does not count either.
proof = "off"
# "approve": a device that was not enrolled counts only after `modelwave device approve DEVICE`.
unknown = "count"
# What `modelwave device enrol` writes for devices: the broker's URL ("": that of [broker]), or in
# its place those of a cluster, brokers = ["mqtt://a.example", "mqtt://b.example"]; and whether the
# names in files.urls lead into a private network.
broker = ""
private_networks = false
# From which share of a rollout's devices in trouble on an alert tells it.
trouble_share = 0.1

[rollouts]
# A stage for so many percent of a target's devices, or more, opens only when another than who
# started the rollout has approved it, whatever its plan says (docs/operations.md):
# another_approves_from_percent = 50

# Who is told when a rollout is held, and of what else; any number of these (docs/alerts.md):
# [[alerts]]
# name = "on-call"
# on = ["held", "gate_failed", "reverted", "finished", "approval_wanted", "in_trouble"]
# url = "https://alerts.example/modelwave"
# secret_file = "on-call.secret"
"""


class _Settings(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def broker_url(value: str) -> str:
    """Returns the URL of a broker if it is one. Raises ValueError."""
    if not value.isprintable() or len(value) > 300:
        raise ValueError("has a character that is not printable, or more than 300 of them")
    parts = urlsplit(value)
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
        raise ValueError("give mqtt://HOST or mqtts://HOST, with :PORT unless it is 1883 or 8883")
    if parts.username is not None or parts.password is not None:
        raise ValueError("no user or password in the URL: set user and password_file")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("remove what follows the port")
    if parts.port == 0:
        raise ValueError("port 0 cannot be connected to; give the broker's port")
    return value


def _broker_url_or_none(value: str) -> str:
    return broker_url(value) if value else ""


def broker_urls(values: Sequence[str]) -> tuple[str, ...]:
    """Returns the URLs of one cluster if they are. Raises ValueError."""
    found = tuple(broker_url(value) for value in values)
    if len(found) > limits.MAX_BROKERS:
        raise ValueError(f"give at most {limits.MAX_BROKERS} addresses")
    if len(set(found)) != len(found):
        raise ValueError("an address is named twice; name it once")
    if len({urlsplit(url).scheme for url in found}) > 1:
        raise ValueError("mqtts:// for all, or for none: they share the user and the authorities")
    return found


def listen_address(value: str) -> tuple[str, int]:
    """Returns (host, port) to listen on; port 0 takes a free one. Raises ValueError."""
    host, _, port = value.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port[:6]) > 65535:
        raise ValueError('give "HOST:PORT", with a port from 0 (any free one) to 65535')
    return host.strip("[]"), int(port)


def _listen(value: str) -> str:
    listen_address(value)
    return value


def _listen_or_not(value: str) -> str:
    return _listen(value) if value else ""


def _line(value: str) -> str:
    if not value.isprintable():
        raise ValueError("has a control character, or another one that is not printable")
    return value


Line = Annotated[str, Field(max_length=1000), AfterValidator(_line)]
BrokerUrls = Annotated[list[str], AfterValidator(lambda urls: list(broker_urls(urls)))]


class BrokerSettings(_Settings):
    """`urls` are the addresses of a cluster, in place of `url`; the first is tried first."""

    url: Annotated[str, AfterValidator(broker_url)] = "mqtt://127.0.0.1:1883"
    urls: BrokerUrls = []
    user: Line = ""
    password_file: Line = ""
    ca: Line = ""
    certificate: Line = ""
    key: Line = ""

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if bool(self.certificate) != bool(self.key):
            raise ValueError("certificate and key: one needs the other")
        if self.urls and "url" in self.model_fields_set:
            raise ValueError("url and urls: give one of the two")
        return self

    @property
    def all_urls(self) -> tuple[str, ...]:
        return tuple(self.urls) or (self.url,)

    @property
    def tls(self) -> bool:
        return urlsplit(self.all_urls[0]).scheme == "mqtts"

    @property
    def places(self) -> tuple[tuple[str, int], ...]:
        """The (host, port) of each address, the first to be tried first."""
        usual = 8883 if self.tls else 1883
        parts = [urlsplit(url) for url in self.all_urls]
        return tuple((part.hostname or "", part.port or usual) for part in parts)

    @property
    def host(self) -> str:
        return self.places[0][0]

    @property
    def port(self) -> int:
        return self.places[0][1]


def _days(value: int) -> int:
    if not (value == 0 or LEAST_KEEP_DAYS <= value <= MAX_KEEP_DAYS):
        raise ValueError(f"give 0, which keeps all, or {LEAST_KEEP_DAYS} to {MAX_KEEP_DAYS} days")
    return value


class DatabaseSettings(_Settings):
    """`keep_days`: what the service keeps of single devices (service/retention.py); 0: all."""

    url: Line = ""
    password_file: Line = ""
    keep_days: Annotated[int, AfterValidator(_days)] = 90


class FilesSettings(_Settings):
    listen: Annotated[str, AfterValidator(_listen)] = "127.0.0.1:8180"
    urls: Annotated[list[Url], Field(max_length=limits.MAX_URLS)] = []
    deltas: bool = True

    @property
    def address(self) -> tuple[str, int]:
        return listen_address(self.listen)


def _public_url(value: str) -> str:
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError('give "https://HOST", with :PORT and a path where needed')
    if parts.query or parts.fragment or parts.username is not None or "//" in parts.path:
        raise ValueError("remove what is no host, port or path")
    if not re.fullmatch(r"[A-Za-z0-9._~/-]*", parts.path):
        raise ValueError("the path has a character that is no letter, digit, or one of . _ ~ -")
    return value.rstrip("/")


def _address(value: str) -> str:
    return str(ipaddress.ip_address(value))


class ApiSettings(_Settings):
    """`listen` "": nowhere. `url`: where people reach it, perhaps through a reverse proxy.
    `proxies`: their addresses, which are believed what they say of who asks. `sign_on`: where
    people sign on, and what they may do then."""

    listen: Annotated[str, AfterValidator(_listen_or_not)] = "127.0.0.1:8181"
    certificate: Line = ""
    key: Line = ""
    url: Annotated[str, Field(max_length=300), AfterValidator(_public_url)] = ""
    proxies: Annotated[list[Annotated[Line, AfterValidator(_address)]], Field(max_length=16)] = []
    sign_on: SignOn | None = None

    @model_validator(mode="after")
    def _needs_tls_beyond_here(self) -> Self:
        if bool(self.certificate) != bool(self.key):
            raise ValueError("certificate and key: one needs the other")
        if self.sign_on is not None and not (self.url or self.proxies):
            raise ValueError(
                "sign_on: no proxy is believed: set url, and proxies if it is elsewhere"
            )
        if self.listen and not self.certificate and not is_loopback(self.address[0]):
            raise ValueError(
                "listen: tokens would go over the network as they are: give certificate and key, "
                "or listen on 127.0.0.1 behind a reverse proxy that has them"
            )
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Returns (host, port) to listen on; port 0 takes a free one."""
        return listen_address(self.listen)


class DevicesSettings(_Settings):
    """`proof`: what storage/proven.py asks of reports and windows.
    `unknown`: whether devices count that nobody enrolled, or wait for `device approve`.
    `broker`: the URL of the broker for devices, "": that of [broker]; `brokers`: those of a
    cluster, in its place.
    `private_networks`: whether the names in [files] urls lead into a private network.
    `trouble_share`: of a rollout's devices, in trouble, from which on an alert tells it."""

    proof: Literal["off", "show", "require"] = "off"
    unknown: Literal["count", "approve"] = "count"
    broker: Annotated[str, AfterValidator(_broker_url_or_none)] = ""
    brokers: BrokerUrls = []
    private_networks: bool = False
    trouble_share: Annotated[float, Field(gt=0, lt=1)] = 0.1

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Self:
        if self.broker and self.brokers:
            raise ValueError("broker and brokers: give one of the two")
        return self

    @property
    def approves(self) -> bool:
        return self.unknown == "approve"


class IngestSettings(_Settings):
    """`processes`: how many receive the devices in place of the service that leads; 0: none."""

    processes: Annotated[int, Field(ge=0, le=64)] = 0


class RolloutSettings(_Settings):
    """`another_approves_from_percent`: from which share of a target's devices on a stage waits for
    another than who started the rollout, whatever its plan says; None: as plans say."""

    another_approves_from_percent: Annotated[float, Field(gt=0, le=100)] | None = None


class KeysSettings(_Settings):
    """`order` names the key that signs orders (trust/signers.py); `passphrase_file` holds its
    passphrase, or the PIN of its token."""

    order: Annotated[Line, Field(min_length=1)] = "order.key"
    passphrase_file: Line = ""


class ControllerConfig(_Settings):
    fleet: Name
    keys: KeysSettings = KeysSettings()
    broker: BrokerSettings = BrokerSettings()
    database: DatabaseSettings = DatabaseSettings()
    files: FilesSettings = FilesSettings()
    api: ApiSettings = ApiSettings()
    tracing: TracingSettings = TracingSettings()
    ingest: IngestSettings = IngestSettings()
    devices: DevicesSettings = DevicesSettings()
    rollouts: RolloutSettings = RolloutSettings()
    alerts: Alerts = []


def read_config(path: Path, fleet: str) -> ControllerConfig:
    """Reads the settings of a home of this fleet. Raises OperatorError, which names the field."""
    data = disk.read_input(path, "--home", MAX_CONFIG_BYTES)
    try:
        config = ControllerConfig.model_validate(tomllib.loads(data.decode()))
    except ValidationError as error:
        raise OperatorError(f"{path}: {first_problem(error)}") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, not TOML, or nested too deep
        raise OperatorError(f"{path}: {error}") from error
    if config.fleet != fleet:
        raise OperatorError(
            f"{path}: fleet: it is {config.fleet}, but root.json is for fleet {fleet}"
        )
    return config


class Home:
    """The home folder at `path`, which may not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = path / "files"
        self.deltas = path / "deltas"
        self.releases = path / "releases"
        self.signed = path / "signed"
        self.targets = path / "targets"
        self.offline = path / "offline"

    def within(self, name: str) -> Path:
        """Returns the path for a name in controller.toml, relative to this folder."""
        return self.path / name

    def remove_left(self) -> list[Path]:
        """Removes the work folders that killed commands have left in this folder and beside it.
        Returns those that could not be removed."""
        return [
            left for at in (self.path, self.path.absolute().parent) for left in disk.remove_left(at)
        ]

    @cached_property
    def config(self) -> ControllerConfig:
        """The settings of controller.toml. Raises OperatorError, which names the field."""
        root = self.root  # raises, with advice, if this is not a home
        return read_config(self.path / "controller.toml", root.fleet)

    @cached_property
    def chain(self) -> Chain:
        """The roots of the fleet. Raises OperatorError if there is none, TrustError."""
        return chain.read(self.path)

    @property
    def root_envelope(self) -> bytes:
        """The newest root's envelope, which is published."""
        return self.chain.envelope

    @property
    def root_document(self) -> dict[str, Any]:
        """The verified root, in the form that modelwave_shared.documents needs."""
        return self.chain.newest

    @cached_property
    def root(self) -> Root:
        return view(Root, self.root_document)

    @property
    def database_url(self) -> str:
        """The database's URL, with its password. Raises OperatorError."""
        settings = self.config.database
        located = self.located(settings.url or "sqlite:///modelwave.db")
        if not settings.password_file:
            return located
        return _with_password(located, self.within(settings.password_file))

    def located(self, url: str) -> str:
        """Returns a database.url; the path of an SQLite file in it is made absolute from this
        folder. A wrong URL stays as it is: the store refuses it."""
        from sqlalchemy import make_url  # its import takes half of a command's start time
        from sqlalchemy.exc import ArgumentError

        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError):
            return url
        file = parsed.database
        if parsed.get_backend_name() != "sqlite" or not file or file.startswith((":", "file:")):
            return url
        return parsed.set(database=str(self.within(file).absolute())).render_as_string(
            hide_password=False
        )

    def manifest_at(self, model: str, release: int, target: str) -> bytes | None:
        """Returns the envelope of a manifest in releases/, not verified; None if it is not there.
        The names are those of a checked document."""
        place = self.releases / model / str(release) / f"{target}.json"
        if not place.is_file():
            return None
        return disk.read_input(place, "--home", limits.MAX_ENVELOPE_BYTES)

    def order_key(self) -> Signer:
        """Opens the key that signs orders. One that an agent or a token holds may be away, and come
        back. Raises OperatorError unless the fleet's root allows it."""
        text = self.config.keys.order
        if signers.is_file(text):
            key = signers.open_signer(text, self._order_passphrase, self.path)
            roots.require_signer(self.root_document, "order", key, "keys.order")
            return key
        allowed, _ = roles.role_keys(self.root_document, "order")
        return WaitingKey(text, allowed, self._order_passphrase, self.path)

    @property
    def order_key_file(self) -> Path | None:
        """The file of the order key; None if an agent or a token holds it."""
        text = self.config.keys.order
        return self.path / text if signers.is_file(text) else None

    def warnings(self) -> list[str]:
        """Returns what is to be put right about keys and secrets here. Raises OperatorError."""
        has_secret = _has_password(self.config.database.url)
        root = self.root_document
        return [
            *custody.warnings(self.path, self.order_key_file, root, has_secret),
            *file_places.warnings(root, self.config.files.urls),
        ]

    def _order_passphrase(self) -> bytes:
        name = self.config.keys.passphrase_file
        if name:
            return disk.read_secret(self.within(name), "keys.passphrase_file")
        given = environment.secret(ORDER_PASSPHRASE)
        if not given:
            raise OperatorError(
                f"{signers.shown(self.config.keys.order)} has a passphrase or PIN: put it into a "
                "file of mode 0600 and name that in controller.toml, [keys] passphrase_file, or "
                f"set it in {ORDER_PASSPHRASE}"
            )
        return given

    def report_master(self) -> bytes:
        """Reads the secret of the keys by which devices prove their reports. Raises OperatorError
        if it is missing."""
        master = report_keys.load(self.path)
        if master is None:
            raise OperatorError(
                f"{self.path / report_keys.NAME} is missing, and devices.proof in controller.toml "
                f'is "{self.config.devices.proof}": put it back, or set "off"'
            )
        return master


def _with_password(url: str, file: Path) -> str:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return url  # the store refuses it
    if parsed.password is not None or parsed.get_backend_name() == "sqlite":
        raise OperatorError(
            "database.password_file: the URL has a password too, or is SQLite's, which has none: "
            "give one of the two"
        )
    password = disk.read_secret_text(file, "database.password_file")
    return parsed.set(password=password).render_as_string(hide_password=False)


def _has_password(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.password is not None or "password=" in parts.query


def check_new(path: Path, fleet: str) -> None:
    """Raises OperatorError unless a home for `fleet` can be made at `path`."""
    require(fields.name, fleet, "FLEET")
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise OperatorError(
            f"--home: {path} exists and is not empty; name a new folder for a new fleet"
        )


def make_home(path: Path, fleet: str, passphrase: bytes) -> Home:
    """Makes the home of a new fleet, with all its keys; `passphrase` encrypts those in offline/.
    Raises OperatorError as `check_new` does."""
    check_new(path, fleet)
    disk.private_folder(path)
    # Made in a temporary folder and moved at the end, so that an interruption leaves no incomplete
    # home; root.json, without which a folder is not a home, is moved last.
    with disk.work_folder(path.absolute().parent, "init") as made:
        _fill(made, fleet, passphrase)
        with held_back():
            for entry in sorted(made.iterdir(), key=lambda entry: entry.name == "root.json"):
                if entry.name == "root.json":
                    disk.sync_folder(path)
                entry.rename(path / entry.name)
            disk.sync_folder(path)
    return Home(path)


def _fill(folder: Path, fleet: str, passphrase: bytes) -> None:
    for name in ("offline", "files", "releases", "targets"):
        (folder / name).mkdir(mode=0o700 if name == "offline" else 0o755)
    for place in (folder, folder / "offline"):
        disk.create_file(place / ".gitignore", GITIGNORE)
    offline = {
        name: keys.create_key(folder / "offline" / f"{name}.key", passphrase)
        for name in (*ROOT_KEYS, "release")
    }
    order_passphrase = environment.secret(ORDER_PASSPHRASE) or None
    order = keys.create_key(folder / "order.key", order_passphrase)
    report_keys.create(folder)
    root = roots.first_root(fleet, [offline[name] for name in ROOT_KEYS], offline["release"], order)
    disk.create_file(folder / "controller.toml", _TEMPLATE.format(fleet=fleet).encode(), 0o600)
    disk.create_file(folder / "root.json", root)
