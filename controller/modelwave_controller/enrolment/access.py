"""Writes who may use the broker, from the list of enrolled devices: the users and rules that
Mosquitto reads, and the users of the embedded broker.

passwords             Mosquitto, listeners for devices: their users
acl                   Mosquitto, listeners for devices: what each of them may read and write
controller-passwords  Mosquitto, listener for the controller: its user, no device's
controller-acl        Mosquitto, listener for the controller: all of the fleet's topics
credentials           `modelwave broker --users`: all users, with the devices' targets

Each user has rules of its own, and there is no rule for all: who was revoked has none, also with a
certificate that is still valid. The files are written anew, completely, each time.
"""

import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from modelwave_controller import disk
from modelwave_controller.broker import pbkdf2
from modelwave_controller.broker.acl import A_GATEWAY, FleetAcl
from modelwave_controller.enrolment.lists import CONTROLLER
from modelwave_controller.home import Home
from modelwave_shared.topics import under

PASSWORD_BYTES = 32
PASSWORD_FILE = "controller.password"  # in the home; the controller's own
_HEAD = "# Written by `modelwave device enrol` and `revoke`: changes here are lost.\n"


class User(NamedTuple):
    """A device that may use the broker, or a gateway, with the target ""; `verifier` "": by a
    certificate alone."""

    device: str
    target: str
    verifier: str


def new_password() -> str:
    return secrets.token_urlsafe(PASSWORD_BYTES)


def controller_password(home: Home) -> str:
    """Returns the password of the controller's user, and makes one if it has none."""
    named = home.config.broker.password_file or PASSWORD_FILE
    path = home.within(named)
    if named == PASSWORD_FILE and not path.exists():
        disk.create_file(path, new_password().encode(), 0o600)
    return disk.read_secret_text(path, "broker.password_file")


def write(home: Home, users: Iterable[User]) -> Path:
    """Writes the files for these devices into the home's folder `broker`, and returns it."""
    folder = home.path / "broker"
    disk.make_folder(folder, 0o700)
    for name, text in _files(home.config.fleet, controller_password(home), list(users)).items():
        disk.replace(folder / name, (_HEAD + text).encode(), 0o600)
    return folder


def _files(fleet: str, password: str, users: list[User]) -> dict[str, str]:
    users = [user._replace(target=user.target or A_GATEWAY) for user in users]
    acl = FleetAcl(fleet, targets={user.device: user.target for user in users})
    by_password = [user for user in users if user.verifier]
    its = f"{CONTROLLER}:{pbkdf2.hash_random(password)}\n"
    return {
        "passwords": "".join(f"{user.device}:{user.verifier}\n" for user in by_password),
        "acl": "".join(line for user in users for line in _rules(acl, user.device)),
        "controller-passwords": its,
        "controller-acl": f"user {CONTROLLER}\ntopic readwrite {under(fleet, '#')}\n",
        "credentials": its
        + "".join(f"{user.device}:{user.verifier}:{user.target}\n" for user in by_password),
    }


def _rules(acl: FleetAcl, device: str) -> Iterator[str]:
    yield f"user {device}\n"
    for topic in acl.writes(device):
        yield f"topic write {topic}\n"
    for topic in acl.reads(device):
        yield f"topic read {topic}\n"
