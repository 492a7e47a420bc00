"""A fleet's keys are stolen and lost, one after the other, and its operator types what
docs/operations.md says. A thief tries each time to make the devices take what he signs: two hosts
and two boards, of which one each is off all the time and comes back at the end.
"""

import shutil
import time
from pathlib import Path
from typing import Any

import paho.mqtt.publish as publish
import pytest

from modelwave_controller.demo.fleet import HOST, Device, Parts
from modelwave_controller.trust import keys
from modelwave_shared import dsse, topics
from modelwave_shared.words import ORDER
from tests.e2e.conftest import DIGITS, FLEET, House
from tests.e2e.test_boards import BOARD, PLAN, release, start_board
from tests.trust.figures import tell

NEAR, FAR = Device("pi-1", HOST, daemon=True), Device("pi-2", HOST, daemon=True)
NEAR_BOARD, FAR_BOARD = "pico-1", "pico-2"
TARGETS = {NEAR.name: HOST, FAR.name: HOST, NEAR_BOARD: BOARD, FAR_BOARD: BOARD}
YEARS = 5 * 365 * 86400
# Stages go on without the devices that are off.
WITHOUT_THE_SILENT = ("--deadline", "8", "--max-silent", "100", "--min-succeeded", "0")


class Thief:
    """Has a copy of the controller's home, and a way to the broker."""

    def __init__(self, house: House, loot: str) -> None:
        self.house = house
        self.home = house.folder / loot
        shutil.copytree(
            house.operator.home, self.home, ignore=shutil.ignore_patterns("offline", "*-wal")
        )
        self.key = keys.load_key(self.home / "order.key", lambda: b"")
        self.tries = 0

    def order(self, device: str, number: int, epoch: int, seq: int, issued: int) -> Any:
        """Returns the message of an order for one device of a release that is signed; it stays at
        the broker until the controller clears it."""
        target = TARGETS[device]
        manifest = self.home / "releases" / "digits" / str(number) / f"{target}.json"
        line = manifest.read_bytes().strip()
        order = {
            "fleet": FLEET,
            "target": target,
            "model": "digits",
            "epoch": epoch,
            "seq": seq,
            "manifest": dsse.read(line).digest(),
            "urls": [f"http://{self.house.files}/files"],
            "issued": issued,
            "expires": issued + 86400,
            "trial": {"seconds": 0, "inferences": 0},
            "shadow": False,
            "device": device,
        }
        message = keys.sign(ORDER, keys.canonical(order), [self.key]) + b"\n" + line
        return topics.desired_device(FLEET, device, "digits"), message, 1, True

    def sends(self, *orders: Any) -> None:
        host, _, port = self.house.broker_url.removeprefix("mqtt://").partition(":")
        publish.multiple(list(orders), hostname=host, port=int(port))
        self.tries += len(orders)

    def tries_all(self, device: str, epoch: int) -> None:
        """The older release in each way in which an order of his could be taken."""
        now = int(time.time())
        ways = ((2**31, now), (1, now + 290), (2**53 - 1, now + YEARS))
        self.sends(*(self.order(device, 1, one, *way) for one in range(epoch + 2) for way in ways))


class Operator:
    """Types the commands of docs/operations.md."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.line = house.operator
        self.vault = house.folder / "vault"  # what lies on machines that are not the service's
        self.drafts = 0

    def types(self, *arguments: str | Path) -> None:
        words = [str(one) for one in arguments]
        assert self.line.shows(*words) == 0, words

    def puts_keys_away(self) -> None:
        shutil.move(self.line.home / "offline", self.vault)

    def keyid(self, name: str) -> str:
        return str(self.line.asks("key", "show", str(self.vault / f"{name}.key"))["keyid"])

    def makes_key(self, name: str) -> Path:
        path = self.vault / f"{name}.key"
        self.types("key", "create", name, "--out", path)
        return path

    def makes_order_key(self) -> str:
        """Replaces the service's key. Returns the id of the old one."""
        path = self.line.home / "order.key"
        old = str(self.line.asks("key", "show", str(path))["keyid"])
        path.unlink()
        self.types("key", "create", "order", "--out", path, "--no-passphrase")
        return old

    def changes_the_root(self, *changes: tuple[str | Path, ...], first: str, second: str) -> None:
        """One person drafts and signs, another one adds a signature with a key of their own."""
        self.drafts += 1
        draft = self.house.folder / f"draft-{self.drafts}.json"
        for at, change in enumerate(changes):
            place = ("--draft", draft) if at else ("--out", draft)
            self.types("key", *change, *place, "--key", self.vault / f"{first}.key", "--yes")
        key, old = self.vault / f"{second}.key", self.line.home / "root.json"
        self.types("root", "sign", "--add", draft, "--root", old, "--key", key, "--yes")
        self.types("root", "publish", draft, "--yes")

    def rolls_out(self, version: str, *more: str) -> None:
        self.types("rollout", "start", "digits", version, *PLAN, *more)
        self.types("rollout", "watch")

    def waits_for(self, devices: list[str], number: int, epoch: int) -> None:
        """Until the devices run the release, and took an order of the epoch."""

        def there(found: Any) -> bool:
            return all(_model(found, one) == (number, "idle", epoch) for one in devices)

        found = self.line.waits(["device", "list"], there)
        told = {one: self.house.running.last_words(one) for one in devices}
        assert there(found), (found, told)

    def waits_for_refusal(self, device: str, words: str) -> None:
        def refused(found: Any) -> bool:
            return words in found["refused"]

        found = self.line.waits(["device", "show", device], refused)
        assert refused(found), found


class Fleet:
    """The devices, with the root that they were enrolled with."""

    near, far = [NEAR.name, NEAR_BOARD], [FAR.name, FAR_BOARD]

    def __init__(self, house: House) -> None:
        self.house = house
        root = house.folder / "enrolled.json"
        shutil.copy(house.operator.home / "root.json", root)
        self.parts = Parts(
            house.folder, root, house.broker_url, house.files, DIGITS / "heldout.npz"
        )
        for folder in ("daemons", "state"):
            (house.folder / folder).mkdir()

    def starts(self, *names: str) -> None:
        for name in names:
            if TARGETS[name] == BOARD:
                start_board(self.house, name, root=str(self.parts.root))
            else:
                device = Device(name, HOST, daemon=True)
                self.parts.configure(device)
                self.parts.start_daemon(self.house.running, device)
        operator = self.house.operator
        operator.waits(["device", "list"], lambda found: len(found) == len(TARGETS))

    def ends(self, *names: str) -> None:
        for name in names:
            self.house.running.end(name)

    def refuses(self, operator: Operator, thief: Thief, epoch: int, *names: str) -> None:
        """The thief tries all; the devices say that they take nothing, and run what they ran."""
        for device in names:
            thief.tries_all(device, epoch)
            operator.waits_for_refusal(device, "signatures: 0 of the 1")
        operator.waits_for(list(names), 2, epoch)


def _model(found: Any, name: str) -> tuple[int, str, int]:
    model = next(one for one in found if one["device"] == name)["models"][0]
    return model["release"], model["state"], model["epoch"]


@pytest.mark.e2e
@pytest.mark.timeout(900)  # seconds: a quiet machine takes a tenth of it
def test_stolen_and_lost_keys_are_replaced_and_no_device_takes_what_a_thief_signs(
    house: House,
) -> None:
    house.init()
    house.start_broker("embedded")
    house.start_service()
    operator = Operator(house)
    for version in ("v1", "v2"):
        release(house, version)
    operator.puts_keys_away()
    fleet = Fleet(house)
    fleet.starts(*TARGETS)
    operator.rolls_out("v1")
    operator.rolls_out("v2")
    operator.waits_for(list(TARGETS), 2, epoch=0)
    fleet.ends(*fleet.far)  # and they miss all that follows

    # The order key is stolen. Until that is noticed, the thief may choose among signed releases.
    thief = Thief(house, "first-loot")
    now = int(time.time())
    thief.sends(*(thief.order(one, 1, epoch=0, seq=2**31, issued=now) for one in fleet.near))
    operator.waits_for(fleet.near, 1, epoch=0)
    stolen = operator.makes_order_key()
    operator.changes_the_root(
        ("rotate", "order", "--remove", stolen, "--add", house.operator.home / "order.key"),
        ("epoch",),
        first="root-1",
        second="root-2",
    )
    operator.waits_for(fleet.near, 2, epoch=1)
    fleet.refuses(operator, thief, 1, *fleet.near)

    # The fleet gets a second release key, and then the first is lost.
    second = operator.makes_key("release-2")
    operator.changes_the_root(
        ("rotate", "release", "--add", second), first="root-1", second="root-3"
    )
    lost = operator.keyid("release")
    operator.changes_the_root(
        ("rotate", "release", "--remove", lost), first="root-2", second="root-3"
    )
    operator.types("release", "sign", "digits", "--key", second, "--yes")
    for number in (1, 2):
        operator.rolls_out(f"v{number}", *WITHOUT_THE_SILENT)
        operator.waits_for(fleet.near, number, epoch=1)

    # A root key is lost. The two others replace it.
    new = operator.makes_key("root-4")
    operator.changes_the_root(
        ("rotate", "root", "--remove", operator.keyid("root-3"), "--add", new),
        first="root-1",
        second="root-2",
    )

    # The controller's host is stolen, with its database and the order key.
    thief_of_all = Thief(house, "second-loot")
    stolen = operator.makes_order_key()
    operator.changes_the_root(
        ("rotate", "order", "--remove", stolen, "--add", house.operator.home / "order.key"),
        ("epoch",),
        ("minimum", "digits", "2"),
        first="root-1",
        second="root-4",
    )
    operator.waits_for(fleet.near, 2, epoch=2)
    for one in (thief, thief_of_all):
        fleet.refuses(operator, one, 2, *fleet.near)

    # The two that were off all the time come back, to a broker with the thieves' orders in it.
    for one in (thief, thief_of_all):
        for device in fleet.far:
            one.tries_all(device, epoch=2)
    fleet.starts(*fleet.far)
    operator.waits_for(fleet.far, 2, epoch=2)
    for one in (thief, thief_of_all):
        fleet.refuses(operator, one, 2, *TARGETS)
    assert house.running.dead() == []
    tries = thief.tries + thief_of_all.tries
    tell(f"stolen keys: 5 roots, {tries} orders of thieves, 0 taken once a key was revoked")
