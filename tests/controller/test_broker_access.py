"""Tests who may do what at the brokers, with the files that `device enrol` writes: all pairs of a
kind of user and a kind of topic, read and written. Each device reads and writes its own alone."""

import shutil
import signal
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from broker_clients import PINGREQ, PINGRESP, PUBACK, RawClient, packet, publish
from broker_hosts import Host, embedded
from operator_home import SECRET, make_home
from tests.mosquitto_tls import Client, Ports, Refused, mosquitto
from tests.trust.figures import tell

from modelwave_controller.broker import EmbeddedBrokerSettings, FleetAcl, read_credentials
from modelwave_controller.cli import run
from modelwave_controller.enrolment import authority
from modelwave_controller.home import Home

FLEET = "demo"
NOT_AUTHORIZED = 5
# Each kind of topic, and whether a device may write and read the one that is its own.
KINDS = {
    "reported/<id>": "rw",
    "presence/<id>": "w",
    "metrics/<id>": "w",
    "file/<id>/get": "w",
    "file/<id>/block": "r",
    "heartbeat/<id>": "r",
    "desired/device/<id>/digits": "r",
}
# Those that are nobody's own.
SHARED = {
    "desired/<target>/digits/7": "r",
    "desired/<target>/digits/all": "r",
    "desired/<other target>/digits/7": "",
    "desired/<other target>/digits/all": "",
    "root/2": "r",
    "root/2/x": "",
    "controller/sign": "",
    "reported": "",
}
TARGETS = {"pi-1": "linux-cpu", "pi-2": "linux-cpu", "b-1": "rp2040", "c-1": "linux-cpu"}
TARGETS |= {"c-2": "rp2040", "r-1": "linux-cpu", "r-2": "linux-cpu"}
CONTROLLER, GATEWAY, REVOKED = "controller", "gw-1", ("r-1", "r-2")
FILTERS = ("#", "+/#", f"modelwave/1/{FLEET}/#", f"modelwave/1/{FLEET}/+/+")


def under(topic: str) -> str:
    return f"modelwave/1/{FLEET}/{topic}"


def topics() -> list[str]:
    """Every kind of topic, of every device."""
    found = {
        under(kind.replace("<id>", device))
        for kind in KINDS
        for device in (*TARGETS, GATEWAY, "nobody")
    }
    for target in ("linux-cpu", "rp2040"):
        found |= {
            under(kind.replace("<target>", target)) for kind in SHARED if "<other" not in kind
        }
    return sorted({*found, "modelwave/1/other/reported/pi-1", "reported/pi-1", "modelwave/1"})


def allowed(user: str, act: str) -> set[str]:
    """The topics of `topics` that the user may read ("r") or write ("w")."""
    if user == CONTROLLER:
        return {topic for topic in topics() if topic.startswith(under(""))}
    if user in REVOKED:
        return set()
    if user == GATEWAY:
        return {under(f"presence/{GATEWAY}")} if act == "w" else set()
    own = {under(kind.replace("<id>", user)) for kind, may in KINDS.items() if act in may}
    shared = {
        under(kind.replace("<target>", TARGETS[user])) for kind, may in SHARED.items() if act in may
    }
    return own | shared


class Place(NamedTuple):
    home: Home
    out: Path

    def password(self, user: str) -> str:
        name = f"{user}/password"
        file = self.home.path / "controller.password" if user == CONTROLLER else self.out / name
        return file.read_text().strip()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patched:
        home = make_home(folder / "home", patched, FLEET)
        out = folder / "out"

        def call(*words: str) -> None:
            assert run(words) == 0

        call("ca", "init")
        call("ca", "server", "localhost", "127.0.0.1")
        call("ca", "controller")
        for names, more in (
            (("pi-1", "pi-2", "r-2"), ("--target", "linux-cpu")),
            (("b-1",), ("--target", "rp2040")),
            (("c-1", "r-1"), ("--target", "linux-cpu", "--certificates")),
            (("c-2",), ("--target", "rp2040", "--certificates")),
        ):
            call("device", "enrol", *names, *more, "--model", "digits", "--out", str(out))
        call("device", "enrol", GATEWAY, "--gateway", "--out", str(out))
        call("device", "revoke", *REVOKED)
        yield Place(home, out)


# Mosquitto.


@pytest.fixture(scope="module")
def broker(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    with mosquitto(tmp_path_factory.mktemp("mosquitto"), place.home) as (ports, _):
        yield ports


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def client(stack: ExitStack, place: Place, ports: Ports, user: str) -> Client:
    """A client at the listener that is for this user."""
    ca = str(place.home.path / "ca" / "ca.pem")
    if user == CONTROLLER:
        made = Client(
            ports.controller,
            "random-1",
            user,
            place.password(user),
            ca,
            [str(place.home.path / "ca" / f"controller.{part}") for part in ("pem", "key")],
        )
    elif user[0] in "c" or user == "r-1":
        pair = [str(place.out / user / f"device.{part}") for part in ("pem", "key")]
        made = Client(ports.certificates, "any", ca=ca, certificate=pair)
    else:
        made = Client(ports.passwords, "any", user, place.password(user), ca)
    stack.callback(made.close)
    return made


def watcher(stack: ExitStack, ports: Ports) -> Client:
    made = Client(ports.everything)
    stack.callback(made.close)
    return made


@pytest.mark.parametrize("user", ["pi-1", "pi-2", "b-1", "c-1", "c-2", GATEWAY, CONTROLLER, "r-1"])
def test_each_user_writes_and_reads_its_own_topics_alone(
    place: Place, broker: Ports, opened: ExitStack, user: str
) -> None:
    watch = watcher(opened, broker)
    watch.subscribe("#")
    mine = client(opened, place, broker, user)
    mine.publish(topics(), f"by {user}".encode())
    watch.publish(["test/end"], b"end")
    watch.subscribe("#")
    assert watch.took(f"by {user}".encode()) == allowed(user, "w")

    retained, live = f"retained for {user}".encode(), f"live for {user}".encode()
    watch.publish(topics(), retained, retain=True)
    mine.subscribe(*FILTERS, *topics())
    watch.publish(topics(), live)
    mine.subscribe("test/end")
    assert mine.took(retained) == allowed(user, "r")
    assert mine.took(live) == allowed(user, "r")
    watch.publish(topics(), b"", retain=True)
    reads, writes = len(allowed(user, "r")), len(allowed(user, "w"))
    tell(f"{user}: of {len(topics())} topics it reads {reads} and writes {writes}, its own alone")


def test_who_is_no_user_of_a_listener_is_not_let_in(
    place: Place, broker: Ports, tmp_path: Path
) -> None:
    ca = str(place.home.path / "ca" / "ca.pem")
    pair = {
        name: [str(place.out / name / f"device.{part}") for part in ("pem", "key")]
        for name in ("c-1", "r-1")
    }
    its = [str(place.home.path / "ca" / f"controller.{part}") for part in ("pem", "key")]
    password = place.password("pi-1")
    foreign = foreign_certificate(tmp_path, "c-1")
    for port, rest in (
        (broker.passwords, {}),
        (broker.passwords, {"user": "pi-1", "password": "wrong"}),
        (broker.passwords, {"user": "pi-2", "password": password}),
        (broker.passwords, {"user": "r-2", "password": place.password("r-2")}),
        (broker.passwords, {"user": CONTROLLER, "password": place.password(CONTROLLER)}),
        (broker.passwords, {"certificate": pair["c-1"]}),
        (broker.certificates, {}),
        (broker.certificates, {"user": "pi-1", "password": password}),
        (broker.certificates, {"certificate": foreign}),
        (broker.controller, {"user": CONTROLLER, "password": place.password(CONTROLLER)}),
        (broker.controller, {"certificate": its}),
        (broker.controller, {"certificate": pair["c-1"]}),
        (broker.controller, {"certificate": pair["c-1"], "user": "pi-1", "password": password}),
    ):
        with pytest.raises(Refused):
            Client(port, "x", ca=ca, **rest)  # type: ignore[arg-type]


def foreign_certificate(folder: Path, name: str) -> list[str]:
    """A certificate for this name by an authority that is not the fleet's."""
    home = Home(folder)
    home_ca = folder / "ca"
    (folder / "root.json").write_text("")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Home, "config", type("C", (), {"fleet": FLEET}))
        authority.create(home, SECRET.encode(), 1.8e9)
        made = authority.load(home, SECRET.encode).client(name, 1.8e9)
    for part, data in zip(("pem", "key"), made, strict=True):
        (home_ca / f"x.{part}").write_bytes(data)
    return [str(home_ca / f"x.{part}") for part in ("pem", "key")]


def test_no_device_takes_over_the_connection_of_another(
    place: Place, broker: Ports, opened: ExitStack
) -> None:
    first = client(opened, place, broker, "pi-1")
    ca = str(place.home.path / "ca" / "ca.pem")
    other = Client(broker.passwords, "pi-1", "pi-2", place.password("pi-2"), ca)
    opened.callback(other.close)
    first.subscribe("test/end")
    assert first.client.is_connected()


def test_stolen_device_cannot_pass_for_the_broker(place: Place) -> None:
    """Its certificate is by the authority that all devices trust, and no server's."""
    from tests.certificates import shake_hands, strict_context

    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(place.out / "c-1" / "device.pem", place.out / "c-1" / "device.key")
    context = strict_context(str(place.home.path / "ca" / "ca.pem"))
    context.check_hostname = False
    with pytest.raises(ssl.SSLError, match="purpose"):
        shake_hands(context, server, "c-1")
    broker = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    folder = place.home.path / "broker"
    broker.load_cert_chain(folder / "broker.pem", folder / "broker.key")
    for host in ("localhost", "127.0.0.1"):
        shake_hands(strict_context(str(place.home.path / "ca" / "ca.pem")), broker, host)


def test_revoked_device_is_out_as_soon_as_mosquitto_reads_its_files_again(
    place: Place, tmp_path: Path, opened: ExitStack
) -> None:
    copy = Home(tmp_path / "home")
    shutil.copytree(place.home.path, copy.path)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MODELWAVE_HOME", str(copy.path))
        patched.setenv("MODELWAVE_PASSPHRASE", SECRET)
        with mosquitto(tmp_path, copy) as (ports, process):
            here = Place(copy, place.out)
            client(opened, here, ports, "pi-1")
            certified = client(opened, here, ports, "c-1")
            assert run(["device", "revoke", "pi-1", "c-1"]) == 0
            process.send_signal(signal.SIGHUP)
            watch = watcher(opened, ports)
            watch.subscribe("#")
            for number in range(200):  # until the signal is handled
                certified.publish([under("metrics/c-1")], b"%d" % number)
                watch.publish(["test/end"], b"%d" % number)
                if (under("metrics/c-1"), b"%d" % number) not in watch.heard:
                    break
            else:
                pytest.fail("the revoked device may still write")
            with pytest.raises(Refused):
                client(opened, here, ports, "pi-1")


# The embedded broker.


@pytest.fixture(scope="module")
def own(place: Place) -> Iterator[Host]:
    found = read_credentials(place.home.path / "broker" / "credentials")
    acl = FleetAcl(FLEET, targets=found.targets)
    with embedded(EmbeddedBrokerSettings(users=found.hashes, acl=acl)) as host:
        yield host
        RawClient.close_all()


def raw(host: Host, place: Place, user: str) -> RawClient:
    made = RawClient(host.port)
    name = "modelwave/1" if user == CONTROLLER else user
    assert made.connect(name, user=user, password=place.password(user)) == 0
    return made


@pytest.mark.parametrize("user", ["pi-1", "pi-2", "b-1", GATEWAY, CONTROLLER])
def test_embedded_broker_lets_each_user_write_and_read_its_own_topics_alone(
    place: Place, own: Host, user: str
) -> None:
    wrote = set()
    mine = raw(own, place, user)
    for topic in topics():
        mine.send(publish(topic, b"x", qos=1), packet(PINGREQ))
        with suppress(AssertionError, OSError):
            if mine.until(PINGRESP)[0].type == PUBACK:
                wrote.add(topic)
                continue
        mine = raw(own, place, user)
    read = {topic for topic in topics() if mine.subscribe(topic) != 0x80}
    assert wrote == allowed(user, "w")
    assert read == allowed(user, "r")
    others = [one for one in FILTERS if not (user == CONTROLLER and one.startswith("modelwave"))]
    assert {mine.subscribe(one) for one in others} == {0x80}


def test_embedded_broker_does_not_know_revoked_devices(place: Place, own: Host) -> None:
    client = RawClient(own.port)
    assert client.connect("r-2", user="r-2", password=place.password("r-2")) == NOT_AUTHORIZED
