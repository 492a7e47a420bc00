"""Tests the embedded broker: what MQTT brokers get wrong, rules, limits, usual use."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import argon2
import paho.mqtt.client as mqtt
import pytest
from broker_clients import (
    CONNACK,
    DEADLINE_SECONDS,
    DISCONNECT,
    PINGREQ,
    PINGRESP,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    RawClient,
    connect,
    packet,
    publish,
    subscribe,
    text,
)
from broker_hosts import FLEET, HASHES, PASSWORDS, Host, embedded, settings_with_users
from hypothesis import given
from hypothesis import strategies as st

from modelwave_controller.broker import (
    BrokerError,
    EmbeddedBroker,
    EmbeddedBrokerSettings,
    FleetAcl,
    hash_password,
    passwords,
    read_credentials,
    run_broker,
)
from modelwave_controller.broker.acl import covers
from modelwave_controller.broker.connection import Connection, silence_allowed_seconds
from modelwave_controller.broker.limits import MAX_PACKET_BYTES

REFUSED_SUBSCRIPTION = 0x80
IDENTIFIER_REJECTED, NOT_AUTHORIZED = 2, 5

Opened = Callable[[Callable[[], AbstractContextManager[Host]]], Host]


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Starts brokers; stops them after the test, and closes all clients."""
    with ExitStack() as stack:
        stack.callback(RawClient.close_all)
        yield lambda make: stack.enter_context(make())


def under(*levels: str) -> str:
    return "/".join(("modelwave", "1", FLEET, *levels))


def login(client: RawClient, user: str, client_id: str | None = None, **options: object) -> int:
    return client.connect(client_id or user, user=user, password=PASSWORDS[user], **options)


def as_device(port: int, name: str, **options: object) -> RawClient:
    client = RawClient(port)
    assert login(client, name, **options) == 0
    return client


def as_listener(port: int, topic_filter: str, qos: int = 0) -> RawClient:
    """The controller, subscribed."""
    client = RawClient(port)
    assert login(client, "controller", "modelwave/listener") == 0
    assert client.subscribe(topic_filter, qos) == qos
    return client


def open_client(port: int, client_id: str, **options: object) -> RawClient:
    client = RawClient(port)
    assert client.connect(client_id, **options) == 0
    return client


# 1. Retained messages go to those who subscribed.


def topics_sent_to_a_client_without_subscriptions(port: int) -> list[str]:
    teller, listener = open_client(port, "teller"), open_client(port, "listener")
    teller.send(publish("secret", b"s", qos=1, retain=True))
    teller.until(PUBACK)
    assert listener.subscribe("secret") == 0
    listener.hear_until("secret")
    newcomer = open_client(port, "newcomer")
    newcomer.send(subscribe("own"), publish("own", b"o"))
    return [topic for topic, _ in newcomer.hear_until("own")]


def test_client_that_subscribes_to_nothing_is_sent_nothing_retained(opened: Opened) -> None:
    assert topics_sent_to_a_client_without_subscriptions(opened(embedded).port) == ["own"]


# 2. A rule of one level does not open the levels below.


def test_rule_for_one_level_refuses_a_filter_for_all_levels(opened: Opened) -> None:
    device = as_device(opened(lambda: embedded(settings_with_users())).port, "cam-1")
    assert device.subscribe(under("root", "+")) == 0
    assert device.subscribe(under("root", "#")) == REFUSED_SUBSCRIPTION


# 3. A publish that is not allowed is not acknowledged.

FORBIDDEN = publish(under("reported", "cam-2"), b"{}", qos=1, retain=True)


def test_denied_publish_is_not_acknowledged_and_ends_the_connection(opened: Opened) -> None:
    host = opened(lambda: embedded(settings_with_users()))
    device = as_device(host.port, "cam-1")
    device.send(FORBIDDEN)
    assert device.until_closed() == []
    assert list(host.broker.retained) == []


# 4. Without a rule that allows a publish it is denied.

READ_ONLY = under("desired", "device", "cam-1", "digits")


def test_publish_without_a_rule_for_it_is_denied(opened: Opened) -> None:
    host = opened(lambda: embedded(settings_with_users()))
    device = as_device(host.port, "cam-1")
    assert device.subscribe(READ_ONLY) == 0
    device.send(publish(READ_ONLY, b"mine", qos=1, retain=True))
    assert device.until_closed() == []
    assert list(host.broker.retained) == []


# 5. A client silent beyond its keep-alive is gone, and its will is published.


@pytest.mark.slow
def test_silent_client_is_ended_and_its_will_published(opened: Opened) -> None:
    port = opened(embedded).port
    watcher = open_client(port, "watcher")
    watcher.subscribe("presence")
    silent = open_client(port, "silent", will=("presence", b"offline"), keep_alive=1)
    assert watcher.hear_until("presence") == [("presence", b"offline")]
    assert silent.until_closed() == []


@pytest.mark.slow
def test_client_silent_within_a_packet_is_ended_and_its_will_published(opened: Opened) -> None:
    port = opened(embedded).port
    watcher = open_client(port, "watcher")
    watcher.subscribe("presence")
    stuck = open_client(port, "stuck", will=("presence", b"offline"), keep_alive=1)
    stuck.send(publish("t", b"x" * 100)[:-1])
    assert watcher.hear_until("presence") == [("presence", b"offline")]


@pytest.mark.parametrize(
    ("keep_alive", "allowed"), [(0, None), (1, 1.5), (60, 90.0), (65535, 98302.5)]
)
def test_silence_is_allowed_for_one_and_a_half_keep_alives(
    keep_alive: int, allowed: float | None
) -> None:
    assert silence_allowed_seconds(keep_alive) == allowed


# 6. A packet has a size limit.


def publish_of(packet_bytes: int) -> bytes:
    """A QoS 1 publish with that many bytes behind its fixed header."""
    return publish("t", b"x" * (packet_bytes - len(text("t")) - 2), qos=1)


def test_packet_of_the_limit_is_taken_and_one_byte_more_is_not(opened: Opened) -> None:
    client = open_client(opened(embedded).port, "c")
    client.send(publish_of(MAX_PACKET_BYTES))
    client.until(PUBACK)
    client.send(publish_of(MAX_PACKET_BYTES + 1))
    assert client.until_closed() == []


def test_oversized_packet_is_refused_by_its_header_alone(opened: Opened) -> None:
    client = open_client(opened(embedded).port, "c")
    client.send(bytes([PUBLISH << 4, 0xFF, 0xFF, 0xFF, 0x7F]))  # 256 MiB - 1 announced
    assert client.until_closed() == []


def test_oversized_connect_is_refused(opened: Opened) -> None:
    client = RawClient(opened(embedded).port)
    client.send(packet(1, b"x" * (MAX_PACKET_BYTES + 1))[:5])
    assert client.until_closed() == []


# 7. Passwords are checked beside the event loop, a bounded number at once.


class Checks:
    """Stands in for argon2's check: notes its threads, waits if told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.threads: list[int] = []
        self.running = self.most_at_once = 0
        self.entered = threading.Semaphore(0)
        self.go_on = threading.Event()
        self._lock = threading.Lock()
        monkeypatch.setattr(argon2.PasswordHasher, "verify", self.verify)

    def verify(self, digest: object, password: object) -> bool:
        with self._lock:
            self.threads.append(threading.get_ident())
            self.running += 1
            self.most_at_once = max(self.most_at_once, self.running)
        self.entered.release()
        assert self.go_on.wait(DEADLINE_SECONDS)
        with self._lock:
            self.running -= 1
        return True


def loop_thread(host: Host) -> int:
    async def ask() -> int:
        return threading.get_ident()

    return int(host.call(ask()))


def test_broker_serves_others_while_it_checks_passwords(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = opened(lambda: embedded(settings_with_users()))
    served = as_device(host.port, "cam-1")
    checks = Checks(monkeypatch)
    waiting = [RawClient(host.port) for _ in range(5)]
    for index, client in enumerate(waiting):
        client.send(connect(f"modelwave/{index}", user="controller", password="p"))
    for _ in range(passwords.CHECKS_AT_ONCE):
        assert checks.entered.acquire(timeout=DEADLINE_SECONDS)
    served.send(packet(PINGREQ))
    served.until(PINGRESP)
    checks.go_on.set()
    for client in waiting:
        assert client.until(CONNACK)[-1].body[1] == 0
    assert checks.most_at_once == passwords.CHECKS_AT_ONCE
    assert loop_thread(host) not in checks.threads


# 8. The broker stops, whatever its clients do.


def clog(host: Host) -> RawClient:
    """Returns the sender to a subscriber, `clogged`, that does not read what is on its way to it;
    it hears of that one's end on the topic `gone`."""
    clogged = RawClient(host.port, receive_buffer_bytes=4096)
    assert clogged.connect("clogged", will=("gone", b"w")) == 0
    assert clogged.subscribe("flood") == 0
    sender = open_client(host.port, "sender")
    sender.subscribe("sent")
    sender.subscribe("gone")
    for _ in range(300):  # 18 MB are more than the sockets hold
        sender.send(publish("flood", b"x" * 60_000))
    sender.send(publish("sent", b""))
    sender.hear_until("sent")
    return sender


def test_stop_ends_a_client_that_does_not_read(opened: Opened) -> None:
    host = opened(embedded)
    clog(host)
    host.call(host.broker.stop())
    assert host.broker.sessions == {}


@pytest.mark.slow
def test_client_that_does_not_read_is_put_out_in_time(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelwave_controller.broker.limits.WRITE_SECONDS", 0.5)
    host = opened(embedded)
    sender = clog(host)
    assert sender.hear_until("gone") == [("gone", b"w")]
    assert list(host.broker.sessions) == ["sender"]


def test_stop_ends_a_connection_that_was_only_just_accepted(opened: Opened) -> None:
    host = opened(embedded)
    ours, theirs = socket.socketpair()

    async def accept_and_stop() -> None:
        theirs.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: Connection(host.broker), theirs)
        await host.broker.stop()

    host.call(accept_and_stop())
    with ours:
        ours.settimeout(DEADLINE_SECONDS)
        assert ours.recv(1) == b""


def test_stop_ends_a_client_that_never_said_connect(opened: Opened) -> None:
    host = opened(embedded)
    client = RawClient(host.port)
    other = open_client(host.port, "other")  # accepted after it, so it was accepted too
    host.call(host.broker.stop())
    assert client.until_closed() == []
    assert other.until_closed() == []


def test_stop_twice_and_before_start_do_nothing(opened: Opened) -> None:
    host = opened(embedded)

    async def never_started() -> None:
        await EmbeddedBroker(EmbeddedBrokerSettings()).stop()

    host.call(never_started())
    host.call(host.broker.stop())
    host.call(host.broker.stop())


# 9. A client id cannot be taken over.


def delivered_after_an_intruder(opened: Opened, host: Host) -> bool:
    """Whether a device still gets its messages after a wrong password with its client id."""
    device = as_device(host.port, "cam-1")
    assert device.subscribe(under("heartbeat", "cam-1")) == 0
    intruder = RawClient(host.port)
    assert intruder.connect("cam-1", user="cam-1", password="guess") == NOT_AUTHORIZED
    controller = as_listener(host.port, under("heartbeat", "+"))
    controller.send(publish(under("heartbeat", "cam-1"), b"h"))
    controller.hear_until(under("heartbeat", "cam-1"))
    device.send(packet(PINGREQ))
    return PUBLISH in [received.type for received in device.until(PINGRESP)]


def test_wrong_password_with_a_client_id_leaves_its_session_alone(opened: Opened) -> None:
    host = opened(lambda: embedded(settings_with_users()))
    assert delivered_after_an_intruder(opened, host)


@pytest.mark.parametrize("user", ["cam-2", "controller"])
def test_other_user_cannot_take_a_devices_client_id(opened: Opened, user: str) -> None:
    port = opened(lambda: embedded(settings_with_users())).port
    assert login(RawClient(port), user, "cam-1") == IDENTIFIER_REJECTED
    device = as_device(port, "cam-1")
    assert login(RawClient(port), user, "cam-1") == IDENTIFIER_REJECTED
    device.send(packet(PINGREQ))
    assert [received.type for received in device.until(PINGRESP)] == [PINGRESP]


def test_controller_cannot_take_another_controllers_client_id(opened: Opened) -> None:
    users = dict.fromkeys(("ann", "bob"), HASHES["controller"])
    acl = FleetAcl(FLEET, controllers=frozenset(users))
    port = opened(lambda: embedded(EmbeddedBrokerSettings(users=users, acl=acl))).port
    credentials_of = {name: {"user": name, "password": PASSWORDS["controller"]} for name in users}
    open_client(port, "modelwave/x", **credentials_of["ann"])
    taker = RawClient(port)
    assert taker.connect("modelwave/x", **credentials_of["bob"]) == IDENTIFIER_REJECTED


@pytest.mark.parametrize("clean", [True, False])
def test_old_will_comes_before_what_the_returned_device_says(opened: Opened, clean: bool) -> None:
    host = opened(lambda: embedded(settings_with_users()))
    presence, heartbeat = under("presence", "cam-1"), under("heartbeat", "cam-1")
    listener = as_listener(host.port, under("presence", "+"))
    first = as_device(host.port, "cam-1", will=(presence, b"offline"), clean=clean)
    first.subscribe(heartbeat)
    second = RawClient(host.port)
    second.send(
        connect("cam-1", user="cam-1", password=PASSWORDS["cam-1"], clean=clean),
        publish(presence, b"online", retain=True),
        subscribe(heartbeat),
        packet(PINGREQ),
    )
    assert listener.hear_until(presence) == [(presence, b"offline")]
    assert listener.hear_until(presence) == [(presence, b"online")]
    assert first.until_closed() == []
    second.until(PINGRESP)
    assert host.broker.retained.get(presence).payload == b"online"
    listener.send(publish(heartbeat, b"beat"))
    assert second.hear_until(heartbeat) == [(heartbeat, b"beat")]


# Users.


@pytest.mark.parametrize(
    "options",
    [
        {"user": "cam-1", "password": "two"},
        {"user": "cam-1", "password": ""},
        {"user": "nobody", "password": "one"},
        {"user": "", "password": ""},
        {},
    ],
)
def test_wrong_or_missing_credentials_are_refused(
    opened: Opened, options: dict[str, object]
) -> None:
    client = RawClient(opened(lambda: embedded(settings_with_users())).port)
    assert client.connect("cam-1", **options) == NOT_AUTHORIZED
    assert client.until_closed() == []


def test_will_on_another_devices_topic_is_refused(opened: Opened) -> None:
    host = opened(lambda: embedded(settings_with_users()))
    will = (under("presence", "cam-2"), b"offline")
    assert login(RawClient(host.port), "cam-1", will=will) == NOT_AUTHORIZED
    assert list(host.broker.retained) == []


@pytest.mark.parametrize("topic", ["", "a/+", "$SYS/x"])
def test_will_on_an_impossible_topic_is_refused(opened: Opened, topic: str) -> None:
    client = RawClient(opened(embedded).port)
    assert client.connect("c", will=(topic, b"w")) == NOT_AUTHORIZED


def test_session_does_not_keep_the_password(opened: Opened) -> None:
    host = opened(lambda: embedded(settings_with_users()))
    as_device(host.port, "cam-1")
    session = host.broker.sessions["cam-1"]
    assert PASSWORDS["cam-1"] not in repr([vars(session), vars(host.broker._admission._passwords)])


def test_credentials_file_gives_users_that_can_log_in(opened: Opened, tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text(f"# the fleet\n\ncam-9:{hash_password('nine: nine')}\n")
    users = read_credentials(file).hashes
    settings = EmbeddedBrokerSettings(users=users, acl=FleetAcl(FLEET))
    client = RawClient(opened(lambda: embedded(settings)).port)
    assert client.connect("cam-9", user="cam-9", password="nine: nine") == 0


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("cam-1", "line 1: not of the form name:hash"),
        ("# c\n:x", "line 2: not of the form"),
        ("cam-1:secret", "line 1: no argon2 or PBKDF2 hash for 'cam-1'; make"),
        ("cam-1:$7$101$c2FsdA==$aGFzaA==", "line 1: no argon2 or PBKDF2 hash"),
        (f"a:{HASHES['cam-1']}:rp2040:x", "line 1: not of the form name:hash or name:hash:target"),
        (f"a:{HASHES['cam-1']}\na:{HASHES['cam-1']}", "line 2: a second line for 'a'"),
        ("# nobody\n", "names no user"),
        ("\udcff", "cannot read"),
    ],
)
def test_bad_credentials_file_is_refused_with_its_line(
    tmp_path: Path, content: str, told: str
) -> None:
    file = tmp_path / "credentials"
    file.write_text(content, errors="surrogateescape")
    with pytest.raises(BrokerError, match=told):
        read_credentials(file)


def test_missing_credentials_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="cannot read the credentials file"):
        read_credentials(tmp_path / "none")


# Where it listens.


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.7", "example.org", "127.0.0.1.x"])
def test_open_broker_on_another_address_than_loopback_is_refused(host: str) -> None:
    with pytest.raises(BrokerError, match="give it users with --users, or listen on 127"):
        EmbeddedBrokerSettings(host=host)


def test_users_without_rules_and_rules_without_users_are_refused() -> None:
    with pytest.raises(BrokerError, match="come together"):
        EmbeddedBrokerSettings(users=HASHES)
    with pytest.raises(BrokerError, match="come together"):
        EmbeddedBrokerSettings(acl=FleetAcl(FLEET))


def test_open_broker_binds_loopback_only_and_says_so(
    opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    broker = opened(embedded).broker
    assert [address for address, _ in broker.addresses] == ["127.0.0.1"]
    assert "listens on loopback (127.0.0.1) only" in caplog.text


def test_broker_with_users_may_bind_any_address_and_says_nothing(
    opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    host = opened(lambda: embedded(settings_with_users(host="0.0.0.0")))
    as_device(host.port, "cam-1")
    assert caplog.text == ""


def test_port_in_use_is_an_error_with_advice(opened: Opened) -> None:
    taken = opened(embedded).port
    with (
        pytest.raises(BrokerError, match=f"cannot listen on 127.0.0.1:{taken}.*another port"),
        embedded(EmbeddedBrokerSettings(port=taken)),
    ):
        pass


def test_run_broker_serves_until_cancelled_and_then_frees_its_port() -> None:
    async def scenario() -> int:
        ports: asyncio.Queue[int] = asyncio.Queue()
        running = asyncio.create_task(run_broker(EmbeddedBrokerSettings(), ports.put_nowait))
        port = await ports.get()
        client = await asyncio.to_thread(open_client, port, "c")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await asyncio.to_thread(client.until_closed) == []
        return port

    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", asyncio.run(scenario())))


# The rules of a fleet, row by row.

ACL = FleetAcl(FLEET)


@pytest.mark.parametrize(
    ("topic", "allowed"),
    [
        (("reported", "cam-1"), True),
        (("presence", "cam-1"), True),
        (("metrics", "cam-1"), True),
        (("file", "cam-1", "get"), True),
        (("reported", "cam-2"), False),
        (("presence", "cam-2"), False),
        (("metrics", "cam-2"), False),
        (("file", "cam-2", "get"), False),
        (("file", "cam-1", "block"), False),
        (("heartbeat", "cam-1"), False),
        (("root", "2"), False),
        (("desired", "rp2040", "digits", "7"), False),
        (("desired", "device", "cam-1", "digits"), False),
        (("reported", "cam-1", "x"), False),
        (("reported",), False),
        (("reported", "+"), False),
        (("reported", "#"), False),
    ],
)
def test_device_may_publish_only_what_is_its_own(topic: tuple[str, ...], allowed: bool) -> None:
    assert ACL.may_publish("cam-1", under(*topic)) is allowed
    assert ACL.may_publish("controller", under(*topic)) is not bool({"+", "#"} & set(topic))


@pytest.mark.parametrize(
    ("topic_filter", "allowed"),
    [
        (("desired", "rp2040", "digits", "7"), True),
        (("desired", "rp2040", "+", "7"), True),
        (("desired", "rp2040", "+", "+"), True),
        (("desired", "device", "cam-1", "digits"), True),
        (("desired", "device", "cam-1", "+"), True),
        (("root", "+"), True),
        (("root", "3"), True),
        (("heartbeat", "cam-1"), True),
        (("file", "cam-1", "block"), True),
        (("desired", "device", "cam-2", "digits"), False),
        (("desired", "device", "+", "digits"), False),
        (("desired", "device", "#"), False),
        (("desired", "+", "cam-2", "digits"), False),  # also matches desired/device/cam-2/digits
        (("desired", "+", "+", "+"), False),
        (("desired", "rp2040", "#"), False),
        (("desired", "#"), False),
        (("root", "#"), False),
        (("reported", "cam-2"), False),
        (("reported", "cam-1"), True),
        (("reported", "+"), False),
        (("heartbeat", "cam-2"), False),
        (("heartbeat", "+"), False),
        (("file", "cam-1", "+"), False),
        (("file", "cam-2", "block"), False),
        (("#",), False),
    ],
)
def test_device_may_subscribe_only_to_what_is_for_it(
    topic_filter: tuple[str, ...], allowed: bool
) -> None:
    assert ACL.may_subscribe("cam-1", under(*topic_filter)) is allowed
    assert ACL.may_subscribe("controller", under(*topic_filter))


@pytest.mark.parametrize(
    ("user", "client_id", "allowed"),
    [
        ("cam-1", "cam-1", True),
        ("cam-1", "cam-2", False),
        ("cam-1", "modelwave/1", False),
        ("controller", "controller", True),
        ("controller", "modelwave/1", True),
        ("controller", "cam-1", False),
    ],
)
def test_client_id_belongs_to_one_user(user: str, client_id: str, allowed: bool) -> None:
    assert ACL.may_connect(user, client_id) is allowed


@pytest.mark.parametrize("user", ["cam-1", "controller", "Grafana", ""])
@pytest.mark.parametrize(
    "topic", ["#", "+/#", "modelwave/#", "modelwave/1/+/root/+", "modelwave/1/other/root/1", "x"]
)
def test_nobody_reaches_beyond_the_fleet(user: str, topic: str) -> None:
    assert not ACL.may_subscribe(user, topic)
    assert not ACL.may_publish(user, topic)


@pytest.mark.parametrize("user", ["Grafana", "", "cam 1", "+", "#", "a/b", "x" * 64])
def test_user_who_is_neither_device_nor_controller_may_nothing(user: str) -> None:
    assert not ACL.may_connect(user, user)
    assert not ACL.may_publish(user, under("reported", user))
    assert not ACL.may_subscribe(user, under("root", "1"))


LEVELS = st.sampled_from(["a", "b", "device", ""])
TOPICS = st.lists(LEVELS, min_size=1, max_size=4)


@st.composite
def filters(draw: st.DrawFn) -> list[str]:
    levels = draw(st.lists(st.one_of(LEVELS, st.just("+")), min_size=1, max_size=4))
    return levels + ["#"] * draw(st.integers(0, 1))


def matches(topic: list[str], topic_filter: list[str]) -> bool:
    """MQTT 3.1.1, section 4.7.1, by recursion; `#` also matches the level above it."""
    if topic_filter == ["#"]:
        return True
    if not topic or not topic_filter:
        return topic == topic_filter
    return topic_filter[0] in ("+", topic[0]) and matches(topic[1:], topic_filter[1:])


@pytest.mark.slow
@given(pattern=filters(), asked=filters(), topic=TOPICS)
def test_filter_within_a_rule_matches_no_topic_beyond_it(
    pattern: list[str], asked: list[str], topic: list[str]
) -> None:
    if covers("/".join(pattern), "/".join(asked)) and matches(topic, asked):
        assert matches(topic, pattern)


@given(pattern=filters(), asked=filters())
def test_filter_is_refused_only_if_some_topic_is_beyond_the_rule(
    pattern: list[str], asked: list[str]
) -> None:
    plus_filled = ["w" if level == "+" else level for level in asked if level != "#"]
    tails = [[], ["w"], ["w"] * 5] if asked[-1] == "#" else [[]]
    matched = [plus_filled + tail for tail in tails]
    within = all(matches(topic, pattern) for topic in matched)
    assert covers("/".join(pattern), "/".join(asked)) is within


# What comes over the wire and is wrong.


@pytest.mark.parametrize(
    "rude",
    [
        connect("c"),
        packet(CONNACK, b"\0\0"),
        packet(0),
        packet(15),
        bytes([PINGREQ << 4, 0x80, 0x80, 0x80, 0x80, 0x01]),
        packet(PUBLISH, b"\0"),
        packet(PUBLISH, b"\xff\xff"),
        packet(PUBLISH, struct.pack("!H", 60_000) + b"\xff" * 60_000),
        publish("a/+", b"x"),
        publish("a/#", b"x"),
        publish("", b"x"),
        publish("$SYS/broker", b"x"),
        publish("t", b"x", qos=3),
        packet(8, b"\0\1", 2),
        packet(8, b"\0\1" + text("t") + b"\3", 2),
        packet(PUBACK),
    ],
)
def test_packet_that_breaks_the_protocol_ends_the_connection(opened: Opened, rude: bytes) -> None:
    host = opened(embedded)
    client = open_client(host.port, "c", will=("gone", b"w"))
    watcher = open_client(host.port, "watcher")
    assert watcher.subscribe("#") == 0
    client.send(rude)
    assert client.until_closed() == []
    assert watcher.hear_until("gone") == [("gone", b"w")]


def test_what_follows_a_malformed_publish_is_not_taken_for_packets(opened: Opened) -> None:
    host = opened(embedded)
    client = open_client(host.port, "c")
    client.send(publish("a/+", publish("smuggled", b"x", retain=True)))
    assert client.until_closed() == []
    assert list(host.broker.retained) == []


@pytest.mark.parametrize(
    "first", [packet(PINGREQ), b"GET / HTTP/1.1\r\n\r\n", packet(1), packet(1, text("MQTT"))]
)
def test_connection_that_does_not_begin_with_connect_is_ended(opened: Opened, first: bytes) -> None:
    client = RawClient(opened(embedded).port)
    client.send(first)
    assert client.until_closed() == []


def test_connection_without_a_connect_is_ended_in_time(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelwave_controller.broker.limits.CONNECT_SECONDS", 0.05)
    client = RawClient(opened(embedded).port)
    assert client.until_closed() == []


def test_strangers_words_reach_the_log_escaped(
    opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    client = RawClient(opened(lambda: embedded(settings_with_users())).port)
    client.connect("x\r\n\x1b[31m", user="y\r\n\x1b[31m", password="p")
    assert client.until_closed() == []
    assert "y\\r\\n\\x1b[31m" in caplog.text
    assert "\x1b" not in caplog.text


# Ordinary use.


def test_acknowledged_messages_arrive_though_their_sender_leaves_at_once(opened: Opened) -> None:
    port = opened(embedded).port
    watcher = open_client(port, "watcher")
    watcher.subscribe("#")
    sender = open_client(port, "sender", will=("gone", b"w"))
    burst = [publish("t", b"%d" % n, qos=1, packet_id=n + 1) for n in range(200)]
    sender.send(*burst, publish("end", b""), packet(DISCONNECT))
    sender.until_closed()
    assert watcher.hear_until("end") == [*(("t", b"%d" % n) for n in range(200)), ("end", b"")]


def test_will_of_a_client_that_says_goodbye_is_not_published(opened: Opened) -> None:
    port = opened(embedded).port
    watcher = open_client(port, "watcher")
    watcher.subscribe("#")
    hasty = RawClient(port)
    hasty.send(connect("hasty", will=("gone", b"w")), packet(DISCONNECT))
    hasty.until_closed()
    watcher.send(publish("later", b""))
    assert watcher.hear_until("later") == [("later", b"")]


def test_repeated_qos_2_message_is_passed_on_once(opened: Opened) -> None:
    port = opened(embedded).port
    watcher = open_client(port, "watcher")
    watcher.subscribe("#")
    sender = open_client(port, "sender")
    once = publish("t", b"1", qos=2, packet_id=9)
    sender.send(once, once)
    assert [sender.receive().type, sender.receive().type] == [PUBREC, PUBREC]
    sender.send(packet(PUBREL, struct.pack("!H", 9), 2))
    assert sender.receive().type == PUBCOMP
    sender.send(publish("t", b"2", qos=2, packet_id=9))
    sender.until(PUBREC)
    assert watcher.hear_until("t") == [("t", b"1")]
    assert watcher.hear_until("t") == [("t", b"2")]


@pytest.mark.parametrize(("published", "subscribed"), [(0, 1), (1, 0), (1, 1)])
def test_retained_message_comes_with_the_lesser_qos(
    opened: Opened, published: int, subscribed: int
) -> None:
    """That of its publisher and that of the subscription (MQTT 3.1.1, section 3.8.4)."""
    port = opened(embedded).port
    sender = open_client(port, "sender")
    sender.send(publish("t", b"x", qos=published, retain=True), packet(PINGREQ))
    sender.until(PINGRESP)
    reader = open_client(port, "reader")
    assert reader.subscribe("t", subscribed) == subscribed
    message = reader.until(PUBLISH)[-1]
    assert (message.flags >> 1 & 3, message.payload) == (min(published, subscribed), b"x")


def test_empty_retained_message_clears_the_topic(opened: Opened) -> None:
    host = opened(embedded)
    client = open_client(host.port, "c")
    client.send(publish("t", b"1", qos=1, retain=True))
    client.until(PUBACK)
    assert list(host.broker.retained) == ["t"]
    client.send(publish("t", b"", qos=1, retain=True))
    client.until(PUBACK)
    assert list(host.broker.retained) == []


def test_absent_client_gets_the_newest_messages_of_a_bounded_queue(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelwave_controller.broker.limits.MAX_KEPT_FOR_ABSENT", 2)
    port = opened(embedded).port
    absent = open_client(port, "absent", clean=False)
    absent.subscribe("t", 1)
    absent.send(packet(DISCONNECT))
    absent.until_closed()
    sender = open_client(port, "sender")
    sender.subscribe("#")
    sender.send(*(publish("t", b"%d" % n, qos=1) for n in range(3)), publish("end", b""))
    sender.hear_until("end")
    returned = RawClient(port)
    returned.send(connect("absent", clean=False))
    assert returned.receive().body == b"\x01\x00"  # session present, accepted
    heard = [returned.until(PUBLISH)[-1] for _ in range(2)]
    assert [message.payload for message in heard] == [b"1", b"2"]


def test_clean_connect_forgets_the_kept_session(opened: Opened) -> None:
    port = opened(embedded).port
    open_client(port, "c", clean=False).subscribe("t", 1)
    again = RawClient(port)
    again.send(connect("c"))
    assert again.receive().body == b"\x00\x00"
    again.send(publish("t", b"1"), packet(PINGREQ), packet(PINGREQ))
    assert [again.receive().type, again.receive().type] == [PINGRESP, PINGRESP]


def test_sessions_and_subscriptions_of_clean_clients_are_forgotten(opened: Opened) -> None:
    host = opened(embedded)
    for goodbye in (packet(DISCONNECT), packet(0)):
        client = open_client(host.port, "c")
        client.subscribe("t/+")
        client.send(goodbye)
        client.until_closed()
    assert host.broker.sessions == {}
    assert not host.broker.subscriptions


@pytest.mark.slow
def test_sixty_devices_and_a_controller_hear_each_other(opened: Opened) -> None:
    devices = [f"dev-{n}" for n in range(60)]
    digest = HASHES["cam-1"]
    users = {**HASHES, **dict.fromkeys(devices, digest)}
    settings = EmbeddedBrokerSettings(users=users, acl=FleetAcl(FLEET))
    port = opened(lambda: embedded(settings)).port
    reports: dict[str, threading.Event] = {under("reported", d): threading.Event() for d in devices}
    beats = {device: threading.Event() for device in devices}

    def client_for(user: str, password: str, name: str) -> mqtt.Client:
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name)
        client.username_pw_set(user, password)
        return client

    controller = client_for("controller", PASSWORDS["controller"], "modelwave/controller")
    subscribed = threading.Event()
    controller.on_connect = lambda c, *_: c.subscribe(under("reported", "+"), 1)
    controller.on_subscribe = lambda *_: subscribed.set()

    def on_report(client: mqtt.Client, _: object, message: mqtt.MQTTMessage) -> None:
        reports[message.topic].set()
        device = message.topic.rsplit("/", 1)[1]
        client.publish(under("heartbeat", device), b"beat", qos=1)

    controller.on_message = on_report
    clients = [controller]
    for device in devices:
        client = client_for(device, PASSWORDS["cam-1"], device)
        client.will_set(under("presence", device), b"offline", retain=True)
        client.on_connect = lambda c, *_, d=device: c.subscribe(under("heartbeat", d), 1)
        client.on_subscribe = lambda c, *_, d=device: c.publish(
            under("reported", d), b"{}", qos=1, retain=True
        )
        client.on_message = lambda *_, d=device: beats[d].set()
        clients.append(client)
    try:
        controller.connect("127.0.0.1", port)
        controller.loop_start()
        assert subscribed.wait(DEADLINE_SECONDS)
        for client in clients[1:]:
            client.connect("127.0.0.1", port)
            client.loop_start()
        assert all(event.wait(DEADLINE_SECONDS) for event in reports.values())
        assert all(event.wait(DEADLINE_SECONDS) for event in beats.values())
    finally:
        for client in clients:
            client.disconnect()
            client.loop_stop()
