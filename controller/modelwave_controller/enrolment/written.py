"""The files that a device is enrolled with: a folder for a host, one file for a board.

    agent.toml    settings with which `modelwave-agent run --config` works as they are
    root.json     the fleet's root of trust
    password      of the broker's user, or device.pem and device.key: a client certificate
    report.key    with which the device proves its reports
    ca.pem        the authority of the broker's certificate, unless the system knows it

A board's file is JSON with the same in it; modelwave_agent.board.enrolled reads it. What the broker
asks a board for that is behind a gateway is not in it, but in files beside it, for the gateway:
DEVICE.password, or DEVICE.pem and DEVICE.key.

A gateway has a folder too, with relay.toml in place of agent.toml, and no report.key.
"""

import json
import os
import ssl
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from modelwave_controller import disk
from modelwave_controller.enrolment.authority import Certificate
from modelwave_controller.enrolment.lists import ToEnrol
from modelwave_controller.errors import OperatorError
from modelwave_controller.home import BrokerSettings, Home
from modelwave_controller.trust.file_places import bracketed

MAX_AUTHORITIES_BYTES = 65536
MAX_BOARD_AUTHORITIES_BYTES = 8192  # a board keeps them in RAM
BOARD_FORMAT = 1


@dataclass(frozen=True)
class Surroundings:
    """What all devices of a fleet are given: the root of trust, the broker's URLs, the PEM of the
    authorities that know it, b"" for the system's, and the hosts that files may come from."""

    root: bytes
    brokers: tuple[str, ...]
    authorities: bytes
    file_hosts: tuple[str, ...]
    private_networks: bool

    def brokers_of(self, device: str) -> list[str]:
        """Returns the broker's URLs as this device tries them: not all devices begin with the same
        one."""
        start = zlib.crc32(device.encode()) % len(self.brokers)
        return [*self.brokers[start:], *self.brokers[:start]]


@dataclass(frozen=True, repr=False)
class Secrets:
    """What one device alone has: a password or a certificate, and its report key in hex."""

    password: str
    certificate: Certificate | None
    report_key: str


def surroundings(home: Home, brokers: Sequence[str]) -> Surroundings:
    """Reads what the devices of this home are given; `brokers` (): the URLs of the settings. Raises
    OperatorError."""
    settings = home.config
    own = (settings.devices.broker,) if settings.devices.broker else settings.devices.brokers
    urls = tuple(brokers or own or settings.broker.all_urls)
    authorities = _authorities(home) if BrokerSettings(urls=list(urls)).tls else b""
    private = settings.devices.private_networks
    return Surroundings(home.root_envelope, urls, authorities, _file_hosts(home), private)


def _file_hosts(home: Home) -> tuple[str, ...]:
    """Returns the hosts of the URLs that the service puts into orders; () if the system chooses its
    port, as then nobody knows them."""
    settings = home.config.files
    if settings.urls:
        return tuple(dict.fromkeys(urlsplit(url).netloc.lower() for url in settings.urls))
    host, port = settings.address
    return (f"{bracketed(host)}:{port}",) if port else ()


def _authorities(home: Home) -> bytes:
    named = home.config.broker.ca
    if not named and not (home.path / "broker" / "broker.pem").exists():
        return b""
    data = disk.read_input(home.within(named or "ca/ca.pem"), "broker.ca", MAX_AUTHORITIES_BYTES)
    try:
        ssl.create_default_context(cadata=data.decode("ascii", "replace"))
    except (ssl.SSLError, ValueError) as error:
        raise OperatorError("broker.ca: not certificates in PEM") from error
    return data


def folder_files(device: ToEnrol, secrets: Secrets, around: Surroundings) -> dict[str, bytes]:
    """Returns the files of the folder of a host or a gateway, by name."""
    files = {"root.json": around.root}
    if device.target:
        files["report.key"] = f"{secrets.report_key}\n".encode()
    if secrets.certificate:
        files["device.pem"], files["device.key"] = secrets.certificate
    else:
        files["password"] = f"{secrets.password}\n".encode()
    if around.authorities:
        files["ca.pem"] = around.authorities
    name, lines = ("agent.toml", _agent_toml) if device.target else ("relay.toml", _relay_toml)
    return files | {name: "\n".join([*lines(device, set(files), around), ""]).encode()}


def _agent_toml(device: ToEnrol, files: set[str], around: Surroundings) -> list[str]:
    return [
        "# Written by `modelwave device enrol`; agent.toml.example explains all settings.",
        f"device = {_quoted(device.device)}",
        f"target = {_quoted(device.target)}",
        f"models = [{', '.join(map(_quoted, device.models))}]",
        'state = "state"',
        'root = "root.json"',
        'report_key_file = "report.key"',
        *_broker(device, files, around),
        *_file_hosts_in("download", around),
    ]


def _relay_toml(device: ToEnrol, files: set[str], around: Surroundings) -> list[str]:
    return [
        "# Written by `modelwave device enrol`; relay.toml.example explains all settings.",
        f"gateway = {_quoted(device.device)}",
        'state = "state"',
        'root = "root.json"',
        *_broker(device, files, around),
        *_file_hosts_in("files", around),
        "",
        "# A table for each board, with its files of `modelwave device enrol --behind-gateway`:",
        "# [[board]]",
        '# device = "pico-1"',
        '# usb_serial = "…"  # or port = "/dev/…"',
        '# password_file = "pico-1.password"',
    ]


def _broker(device: ToEnrol, files: set[str], around: Surroundings) -> list[str]:
    first, *others = urls = around.brokers_of(device.device)
    lines = [
        "",
        "[broker]",
        f"url = {_quoted(first)}" if not others else f"urls = [{', '.join(map(_quoted, urls))}]",
    ]
    if "password" in files:
        lines += [f"user = {_quoted(device.device)}", 'password_file = "password"']
    else:
        lines += ['certificate = "device.pem"', 'key = "device.key"']
    if "ca.pem" in files:
        lines.append('ca = "ca.pem"')
    return lines


def _file_hosts_in(table: str, around: Surroundings) -> list[str]:
    if not around.file_hosts:
        return []
    lines = ["", f"[{table}]", f"hosts = [{', '.join(map(_quoted, around.file_hosts))}]"]
    return [*lines, "private_networks = true"] if around.private_networks else lines


def _quoted(text: str) -> str:
    """Returns a TOML string; the text has no control characters."""
    return json.dumps(text, ensure_ascii=False)


def board_files(
    device: ToEnrol, secrets: Secrets, around: Surroundings, behind: bool
) -> dict[str, bytes]:
    """Returns a board's file by its name, and those of its gateway if it is `behind` one. Raises
    OperatorError if a board cannot use the broker."""
    if not behind:
        _check_authorities(around)
        return {f"{device.device}.json": _board_file(device, secrets, around, _asked(secrets))}
    place = names_of_board(device.device, bool(secrets.certificate), behind)
    of_gateway = secrets.certificate or (f"{secrets.password}\n".encode(),)
    around = replace(around, authorities=b"")  # the gateway has them
    files = [_board_file(device, secrets, around, {}), *of_gateway]
    return dict(zip(place, files, strict=True))


def _check_authorities(around: Surroundings) -> None:
    """Raises OperatorError if a board cannot use the broker."""
    if len(around.authorities) > MAX_BOARD_AUTHORITIES_BYTES:
        raise OperatorError(
            f"broker.ca: longer than {MAX_BOARD_AUTHORITIES_BYTES} bytes, which is too much for a "
            "board; name a file with the broker's authority alone"
        )
    if BrokerSettings(urls=list(around.brokers)).tls and not around.authorities:
        raise OperatorError(
            "broker.ca: a board has no authorities of its own; name the file of the broker's"
        )


def names_of_board(device: str, by_certificate: bool, behind: bool) -> list[str]:
    """Returns the names of a board's files, in their order."""
    of_gateway = [f"{device}.pem", f"{device}.key"] if by_certificate else [f"{device}.password"]
    return [f"{device}.json", *(of_gateway if behind else [])]


def _asked(secrets: Secrets) -> dict[str, object]:
    """Returns what the broker asks a board for."""
    if secrets.certificate:
        certificate, key = secrets.certificate
        return {"certificate": certificate.decode(), "key": key.decode()}
    return {"password": secrets.password}


def _board_file(
    device: ToEnrol, secrets: Secrets, around: Surroundings, asked: dict[str, object]
) -> bytes:
    broker = BrokerSettings(urls=around.brokers_of(device.device))
    document: dict[str, object] = {
        "v": BOARD_FORMAT,
        "device": device.device,
        "target": device.target,
        "models": list(device.models),
        "host": broker.host,
        "port": broker.port,
        "report_key": secrets.report_key,
        "root": around.root.decode(),
    }
    if others := broker.places[1:]:
        document["others"] = others
    if around.authorities:
        document["ca"] = around.authorities.decode("ascii", "replace")
    document |= asked
    return json.dumps(document).encode() + b"\n"


def write_host(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(mode=0o700)
    for name, data in files.items():
        write_secret(folder / name, data)


def write_secret(path: Path, data: bytes) -> None:
    """Writes a new file for its owner only. It is on the disk after a sync."""
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(data)
