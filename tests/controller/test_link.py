"""Tests the connection to the broker: connect, loss, reconnect, and that no older message replaces
a newer one."""

import contextlib
import itertools
import queue
import shutil
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from broker_hosts import PASSWORDS, embedded, settings_with_users
from frozen_network import network
from rollout_world import World
from simulated_fleet import (
    DEADLINE_SECONDS,
    HAS_MOSQUITTO,
    free_port,
    mosquitto,
    poll,
)
from tests.certificates import Authority
from tests.tools import MOSQUITTO_MISSING

from modelwave_controller.errors import OperatorError
from modelwave_controller.service import connection as connections
from modelwave_controller.service import link as links
from modelwave_controller.service.broker_address import ServiceBroker, broker_of
from modelwave_controller.service.broker_probe import Probe
from modelwave_controller.service.link import ServiceLink
from modelwave_controller.storage.outbox import Message
from modelwave_shared.authorities import Authorities

FLEET = "demo"
needs_mosquitto = pytest.mark.skipif(not HAS_MOSQUITTO, reason=MOSQUITTO_MISSING)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "BACK_OFF_SECONDS", (0.05,))


class Linked:
    def __init__(self, broker: ServiceBroker) -> None:
        self.received: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self.link = ServiceLink(
            broker, FLEET, lambda *message: self.received.put(message), lambda: None
        )

    def connected(self) -> bool:
        return self.link.current is not None

    def acknowledged(self, count: int) -> list[Message]:
        found: list[Message] = []

        def all_there() -> bool:
            assert self.link.current is not None
            found.extend(self.link.current.acknowledged())
            return len(found) >= count

        poll(all_there)
        return found


@contextmanager
def linked(port: int, **changes: Any) -> Iterator[Linked]:
    with linked_to(ServiceBroker("127.0.0.1", port, **changes)) as made:
        yield made


@contextmanager
def linked_to(broker: ServiceBroker) -> Iterator[Linked]:
    made = Linked(broker)
    made.link.start()
    try:
        yield made
    finally:
        made.link.stop()


def test_it_hears_reports_presence_and_metrics_of_its_own_fleet_only() -> None:
    with embedded() as host, linked(host.port) as ours, linked(host.port) as other:
        poll(lambda: ours.connected() and other.connected())
        sender = other.link.current
        assert sender is not None
        for topic in (
            "modelwave/1/demo/reported/d1",
            "modelwave/1/another/reported/d1",
            "modelwave/1/demo/desired/rp2040/digits/7",
            "modelwave/1/demo/presence/d1",
            "modelwave/1/demo/metrics/d1",
        ):
            sender.send(Message(topic, 1, b"x"))
        kinds = [ours.received.get(timeout=DEADLINE_SECONDS)[0].split("/")[3] for _ in range(3)]
        assert kinds == ["reported", "presence", "metrics"]


def test_processes_that_lost_their_broker_together_come_back_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(links, "BACK_OFF_SECONDS", (30,))
    pauses: list[float] = []
    for _ in range(20):
        link = Linked(ServiceBroker("127.0.0.1", 1)).link
        monkeypatch.setattr(link._stopping, "wait", pauses.append)
        link._pause()
    assert 15 <= min(pauses) < max(pauses) - 1
    assert max(pauses) <= 30


def test_it_leaves_the_broker_while_it_may_not_stay_and_comes_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(links, "ASK_SECONDS", 0.02)
    may = threading.Event()
    with embedded() as host:
        made = Linked(ServiceBroker("127.0.0.1", host.port))
        made.link.may_stay = may.is_set
        made.link.start()
        try:
            assert not threading.Event().wait(0.1)
            assert made.link._connection is None
            may.set()
            poll(made.connected)
            may.clear()
            poll(lambda: not made.connected())
            poll(lambda: links.MAY_NOT_STAY in caplog.text)
            assert "lost the connection" not in caplog.text
            may.set()
            poll(made.connected)
        finally:
            made.link.stop()


@pytest.mark.parametrize("forgets", [False, True])
def test_what_a_session_holds_is_received_or_forgotten(forgets: bool) -> None:
    def with_session(forgets: bool) -> Linked:
        made = Linked(ServiceBroker("127.0.0.1", host.port))
        made.link.session, made.link.forgets = "CONTROLLER-0123456789ab", forgets
        made.link.start()
        poll(made.connected)
        return made

    def send(device: str, heard_by: Linked) -> None:
        assert sender.link.current is not None
        sender.link.current.probe(f"modelwave/1/demo/metrics/{device}", b"x")
        assert next_of(heard_by) == device

    def next_of(linked: Linked) -> str:
        return linked.received.get(timeout=DEADLINE_SECONDS)[0].rpartition("/")[2]

    with embedded() as host, linked(host.port) as sender:
        poll(sender.connected)
        session = with_session(False)
        send("d1", session)
        session.link.stop()
        assert next_of(sender) == "d1"
        send("d2", sender)
        session = with_session(forgets)
        try:
            if not forgets:
                assert next_of(session) == "d2"
            send("d3", session)
        finally:
            session.link.stop()


def test_a_message_is_on_its_way_until_the_broker_has_acknowledged_it() -> None:
    with embedded() as host, linked(host.port) as ours:
        poll(ours.connected)
        message = Message("modelwave/1/demo/desired/rp2040/digits/7", 3, b"x")
        assert ours.link.current is not None
        ours.link.current.send(message)
        assert ours.link.current.on_their_way() == {message.topic}
        assert ours.acknowledged(1) == [message]
        assert ours.link.current.on_their_way() == set()


def test_no_acknowledgement_counts_for_a_message_of_the_same_packet_id_before_it() -> None:
    with embedded() as host, linked(host.port) as ours:
        poll(ours.connected)
        topic = "modelwave/1/demo/desired/rp2040/digits/%d"
        older, newer = (Message(topic % slot, 1, b"x") for slot in (7, 8))
        connection = ours.link.current
        assert connection is not None
        connection._sent[1] = older  # the broker has not acknowledged it yet
        connection._client._last_mid = 65535
        connection.send(newer)
        assert ours.acknowledged(1) == [newer]
        assert connection.on_their_way() == {older.topic}


def test_it_waits_for_a_broker_that_is_not_there_yet(tmp_path: Path) -> None:
    port = free_port()
    with linked(port) as ours:
        poll(lambda: ours.link._failures >= 2)
        assert not ours.connected()
        with StubBroker(port):
            poll(ours.connected)


def test_a_lost_connection_is_made_anew() -> None:
    with StubBroker() as broker, linked(broker.port) as ours:
        poll(ours.connected)
        first = ours.link.current
        broker.drop()
        poll(lambda: ours.link.current not in (None, first))


def test_what_an_old_connection_still_held_is_not_sent_over_something_newer() -> None:
    topic = "modelwave/1/demo/desired/rp2040/digits/7"
    with StubBroker(acknowledges=False) as broker, linked(broker.port) as ours:
        poll(ours.connected)
        first = ours.link.current
        assert first is not None
        first.send(Message(topic, 1, b"old"))
        assert broker.published.get(timeout=DEADLINE_SECONDS) == b"old"
        broker.drop()
        poll(lambda: ours.link.current not in (None, first))
        assert ours.link.current is not None
        ours.link.current.send(Message(topic, 2, b"new"))
        assert broker.published.get(timeout=DEADLINE_SECONDS) == b"new"


def test_what_was_sent_over_a_connection_that_is_lost_is_not_taken_for_acknowledged() -> None:
    with StubBroker(acknowledges=False) as broker, linked(broker.port) as ours:
        poll(ours.connected)
        first = ours.link.current
        assert first is not None
        first.send(Message("t", 1, b"x"))
        broker.drop()
        poll(lambda: ours.link.current not in (None, first))
        assert first.acknowledged() == []


def test_small_packets_are_not_held_back() -> None:
    with StubBroker() as broker, linked(broker.port) as ours:
        poll(ours.connected)
        assert ours.link.current is not None
        connected: Any = ours.link.current._client.socket()
        assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


def test_it_ends_though_the_broker_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, linked(silent.getsockname()[1]):
        silent.accept()[0].recv(1)


def test_it_ends_though_the_broker_takes_nothing_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "KEEPALIVE_SECONDS", 3600)  # that would end it, in the end
    monkeypatch.setattr(connections, "CLOSE_SECONDS", 0.1)
    with StubBroker(deaf_after=2) as broker:
        with linked(broker.port) as ours:
            poll(ours.connected)
            assert ours.link.current is not None
            for number in range(connections.WINDOW):  # more than the buffers on the way hold
                ours.link.current.send(Message(f"t/{number}", 1, b"x" * 2**16))
        broker.hears_again.set()


@pytest.mark.parametrize("password", ["wrong", ""])
def test_with_a_wrong_password_it_is_not_connected_and_says_so(
    password: str, caplog: pytest.LogCaptureFixture
) -> None:
    users = settings_with_users()
    with (
        embedded(users) as host,
        linked(host.port, user="controller", password=password) as ours,
    ):
        poll(lambda: "refused the connection" in caplog.text)
        assert not ours.connected()
        assert "Not authorized: set user and password_file under [broker]" in caplog.text


def test_with_the_right_password_it_may_do_its_work() -> None:
    with embedded(settings_with_users()) as host:
        password = PASSWORDS["controller"]
        with linked(host.port, user="controller", password=password) as ours:
            poll(ours.connected)
            assert ours.link.current is not None
            ours.link.current.send(Message("modelwave/1/demo/root/1", 1, b"x"))
            assert len(ours.acknowledged(1)) == 1


@needs_mosquitto
def test_over_tls_it_connects_to_whom_the_ca_vouches_for_and_nobody_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = Authority(tmp_path)
    settings = f"certfile {made.cert_file}\nkeyfile {made.key_file}\n"
    with mosquitto(tmp_path, settings) as port:
        world = World(tmp_path, broker_port=port)
        toml = world.home.path / "controller.toml"
        trusted = toml.read_text().replace("mqtt://127.0.0.1", "mqtts://localhost")
        toml.write_text(trusted.replace('ca = ""', f'ca = "{made.ca_file}"'))
        trusting = broker_of(type(world.home)(world.home.path))
        with linked(port, tls=trusting.tls) as ours:
            ours.link.broker = trusting
            poll(ours.connected)
        toml.write_text(trusted)
        doubting = broker_of(type(world.home)(world.home.path))
        with linked(port, tls=doubting.tls) as ours:
            poll(lambda: "CERTIFICATE_VERIFY_FAILED" in caplog.text)
            assert not ours.connected()
        world.close()


@needs_mosquitto
def test_authorities_are_read_at_each_connection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A rotated file serves without a restart. One that cannot be used does no harm meanwhile."""
    made = Authority(tmp_path)
    (tmp_path / "other").mkdir()
    ca_file = tmp_path / "controller-ca.pem"
    shutil.copy(Authority(tmp_path / "other").ca_file, ca_file)
    settings = f"certfile {made.cert_file}\nkeyfile {made.key_file}\n"
    broker = ServiceBroker("localhost", free_port(), tls=Authorities(str(ca_file)))
    with linked_to(broker) as ours:
        with mosquitto(tmp_path, settings, broker.port):
            poll(lambda: "CERTIFICATE_VERIFY_FAILED" in caplog.text)
            shutil.copy(made.ca_file, ca_file)
            poll(ours.connected)
        poll(lambda: not ours.connected())
        ca_file.write_text("garbage")
        with mosquitto(tmp_path, settings, broker.port):
            poll(ours.connected)
    assert caplog.text.count("what was read before is still used") == 1


@needs_mosquitto
def test_a_broker_that_asks_for_a_certificate_is_shown_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = Authority(tmp_path)
    own, key = made.issue("controller")
    settings = (
        f"certfile {made.cert_file}\nkeyfile {made.key_file}\ncafile {made.ca_file}\n"
        "require_certificate true\nuse_identity_as_username true\n"
    )
    broker = ServiceBroker("localhost", free_port(), tls=Authorities(made.ca_file, own, key))
    bare = replace(broker, tls=Authorities(made.ca_file))
    with mosquitto(tmp_path, settings, broker.port):
        with linked_to(broker) as ours:
            poll(ours.connected)
        with linked_to(bare) as ours:
            poll(lambda: "if it asks for a certificate, set broker.certificate" in caplog.text)
            assert not ours.connected()


@pytest.mark.parametrize(
    ("setting", "value", "named"),
    [
        ("password_file", "no-such-file", "broker.password_file"),
        ("ca", "no-such-file", "broker.ca"),
        ("ca", "controller.toml", "broker.ca"),
        ("certificate", "no-such-file", "broker.certificate"),
    ],
)
def test_a_setting_of_the_broker_that_is_wrong_is_named(
    tmp_path: Path, setting: str, value: str, named: str
) -> None:
    world = World(tmp_path)
    toml = world.home.path / "controller.toml"
    text = toml.read_text().replace("mqtt://127", "mqtts://127")
    text = text.replace(f'{setting} = ""', f'{setting} = "{value}"')
    toml.write_text(text.replace('key = ""', 'key = "order.key"') if "cert" in setting else text)
    with pytest.raises(OperatorError, match=named):
        broker_of(type(world.home)(world.home.path))
    world.close()


def test_a_broker_that_denies_the_subscriptions_is_said_once_and_is_no_connection(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "ASK_SECONDS", 0.01)
    monkeypatch.setattr(connections, "AGAIN_CALLS", (1,))
    with StubBroker(denies=("presence",)) as broker, linked(broker.port) as ours:
        poll(lambda: ours.link._failures >= 3)
        assert not ours.connected()
        (said,) = [record for record in caplog.records if record.levelname == "ERROR"]
        assert (
            "does not let the controller subscribe to modelwave/1/demo/presence/+"
            in said.getMessage()
        )
        broker.denies = ()
        poll(ours.connected)


def test_filters_that_were_denied_for_a_while_are_asked_for_again_over_the_same_connection(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "ASK_SECONDS", 0.01)
    monkeypatch.setattr(connections, "AGAIN_CALLS", (1,) * 10_000)
    with StubBroker(denies=("reported", "presence")) as broker, linked(broker.port) as ours:

        def denials() -> int:
            connection = ours.link._connection
            return connection._denials if connection else 0

        poll(lambda: denials() >= 1)
        both = "modelwave/1/demo/reported/+, modelwave/1/demo/presence/+"
        assert f"the broker denies the controller the subscription to {both}" in caplog.text
        broker.denies = ("presence",)
        so_far = denials()
        poll(lambda: denials() >= so_far + 2)
        assert not ours.connected()
        broker.denies = ()
        poll(ours.connected)
        assert ours.link._failures == 0
    assert "does not let the controller" not in caplog.text


def test_a_broker_that_is_away_is_said_once_and_again_the_next_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = free_port()
    with linked(port) as ours:
        poll(lambda: ours.link._failures >= 5)
        assert caplog.text.count("cannot connect to the broker at") == 1
        with StubBroker(port):
            poll(ours.connected)
        poll(lambda: ours.link._failures >= 5)
    assert caplog.text.count("cannot connect to the broker at") == 2
    assert caplog.text.count("lost the connection") == 1


def two_addresses(first: int, second: int) -> ServiceBroker:
    return ServiceBroker("127.0.0.1", first, others=(("127.0.0.1", second),))


def test_addresses_are_tried_in_turn_and_the_one_that_serves_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(links, "SHORT_SECONDS", 0)
    with StubBroker() as second, linked_to(two_addresses(free_port(), second.port)) as ours:
        poll(ours.connected)
        assert ours.link.place[1] == second.port
        before = ours.link.current
        second.drop()
        poll(lambda: ours.link.current not in (None, before))
        assert ours.link.place[1] == second.port


def test_an_address_that_is_lost_again_and_again_is_left_for_the_next_one() -> None:
    with (
        StubBroker() as first,
        StubBroker() as second,
        linked_to(two_addresses(first.port, second.port)) as ours,
    ):
        poll(ours.connected)
        assert ours.link.place[1] == first.port
        first.drop()  # it stood for less than SHORT_SECONDS
        poll(lambda: ours.connected() and ours.link.place[1] == second.port)


def test_a_broker_that_does_not_answer_is_left_if_there_is_another_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(links, "ASK_SECONDS", 0.01)
    monkeypatch.setattr(links, "LEAVE_SECONDS", 0.1)
    with (
        StubBroker(answers=False) as first,
        StubBroker() as second,
        linked_to(two_addresses(first.port, second.port)) as ours,
    ):
        poll(lambda: ours.connected() and ours.link.place[1] == second.port)


def test_a_connection_that_is_left_is_made_anew_to_the_next_address(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(links, "SHORT_SECONDS", 0)
    with (
        StubBroker() as first,
        StubBroker() as second,
        linked_to(two_addresses(first.port, second.port)) as ours,
    ):
        poll(ours.connected)
        assert ours.link.current is not None
        ours.link.current.leave()
        poll(lambda: ours.connected() and ours.link.place[1] == second.port)
    assert f"127.0.0.1:{first.port}: it stands, and brings nothing any more" in caplog.text


def test_a_broker_that_never_accepts_is_left_if_there_is_another_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(links, "ASK_SECONDS", 0.01)
    monkeypatch.setattr(links, "LEAVE_SECONDS", 0.1)
    with (
        socket.create_server(("127.0.0.1", 0)) as hole,
        StubBroker() as second,
        linked_to(two_addresses(hole.getsockname()[1], second.port)) as ours,
    ):
        poll(ours.connected)
        assert ours.link.place[1] == second.port


def test_too_few_answers_to_a_subscription_end_the_connection_and_not_the_service() -> None:
    with StubBroker(granted=1) as broker, linked(broker.port) as ours:
        poll(lambda: len(broker.clients) > 1)
        broker.granted = None
        poll(ours.connected)


def test_too_few_answers_to_a_probe_are_no_end_of_the_check() -> None:
    with (
        StubBroker(granted=1) as broker,
        Probe(ServiceBroker("127.0.0.1", broker.port), ("127.0.0.1", broker.port)) as probe,
    ):
        assert probe.subscribe(["1/2/3/a", "1/2/3/b"]) == ["1/2/3/a", "1/2/3/b"]


def test_a_message_whose_topic_is_no_text_is_passed_over() -> None:
    with StubBroker() as broker, linked(broker.port) as ours:
        poll(ours.connected)
        before = ours.link.current
        for topic in (b"modelwave/1/demo/reported/\xff", b"modelwave/1/demo/reported/d"):
            length = len(topic)
            broker.clients[-1].sendall(bytes((0x30, 3 + length, 0, length)) + topic + b"x")
        assert ours.received.get(timeout=DEADLINE_SECONDS)[0].endswith("/d")
        assert ours.link.current is before


def test_connections_that_are_taken_over_again_and_again_are_explained(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As by the controller's other connection, where the broker names both by their user."""
    before = None
    with StubBroker() as broker, linked(broker.port) as ours:
        for _ in range(links.SHORT_ONES):
            assert "use_username_as_clientid" not in caplog.text
            poll(lambda before=before: ours.link.current not in (None, before))
            before = ours.link.current
            broker.drop()
        poll(lambda: "use_username_as_clientid" in caplog.text)


def test_a_connection_that_is_broken_off_sends_nothing_of_what_waits() -> None:
    """Here the broker is slow; a connection that is closed in order sends what waits before."""
    size, count = 100_000, 200  # more than the system's buffers take
    with StubBroker(deaf_after=2, reads_on=True) as broker, linked(broker.port) as ours:
        poll(ours.connected)
        connection = ours.link.current
        assert connection is not None
        for number in range(count):
            connection.send(Message(f"modelwave/1/demo/desired/{number}", 1, bytes(size)))
        connection.drop()
        assert connection.gone.wait(DEADLINE_SECONDS)
        broker.hears_again.set()
        ours.link.stop()
    assert broker.published.qsize() < count


@pytest.mark.parametrize(("up", "down"), [(True, True), (True, False), (False, True)])
def test_a_frozen_link_is_noticed_though_reports_still_arrive_and_its_healing_too(
    up: bool, down: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(links, "ASK_SECONDS", 0.05)
    topic = "modelwave/1/demo/presence/d1"
    with (
        embedded() as host,
        network(host.port) as between,
        linked(host.port) as other,
        linked(between.port) as ours,
    ):
        poll(lambda: ours.link.reaches and other.link.reaches)
        between.freeze(up, down)

        def silent_while_others_talk() -> bool:
            if other.link.current:
                other.link.current.probe(topic, b"online")
            return ours.connected() and not ours.link.reaches

        poll(silent_while_others_talk)
        poll(lambda: caplog.text.count("has not answered for 0.3 seconds") == 1)
        between.heal()
        poll(lambda: ours.link.reaches)
        poll(lambda: caplog.text.count("the broker answers again") == 1)


def test_a_slow_broker_that_acknowledges_is_not_silent() -> None:
    """It has not come to what was asked last, but each acknowledgement is an answer."""
    with StubBroker(answers=False) as broker, linked(broker.port) as ours:
        poll(ours.connected)
        connection = ours.link.current
        assert connection is not None
        while not connection.silent:
            connection.ask()
        connection.send(Message("t", 1, b"x"))
        poll(lambda: not connection.silent)


def test_a_link_that_is_frozen_for_less_than_it_takes_to_notice_is_not_silent() -> None:
    with StubBroker(answers=False) as broker, linked(broker.port) as ours:
        poll(ours.connected)
        connection = ours.link.current
        assert connection is not None
        for _ in range(connections.SILENT_ASKS):  # the first one asks, the others find no answer
            assert not connection.silent
            connection.ask()
        connection.send(Message("t", 1, b"x"))
        poll(lambda: connection._unanswered == 0)
        assert ours.link.reaches


@pytest.mark.parametrize("kind", ["embedded", pytest.param("mosquitto", marks=needs_mosquitto)])
def test_brokers_answer_when_they_are_asked(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also to a connection that subscribes to nothing, as that of a service that stands by."""
    monkeypatch.setattr(links, "ASK_SECONDS", 0.01)
    answers = threading.Semaphore(0)
    monkeypatch.setattr(connections.Connection, "_on_unsubscribe", _counted(answers))
    host = embedded() if kind == "embedded" else mosquitto(tmp_path)
    with host as found:
        port = found if isinstance(found, int) else found.port
        link = ServiceLink(ServiceBroker("127.0.0.1", port), FLEET, print, lambda: None, heard=())
        link.start()
        assert all(answers.acquire(timeout=DEADLINE_SECONDS) for _ in range(3))
        assert link.reaches
        link.stop()


def _counted(answers: threading.Semaphore) -> Any:
    was = connections.Connection._on_unsubscribe

    def counted(self: connections.Connection, *given: object) -> None:
        was(self, *given)
        answers.release()

    return counted


def _kinds(filters: bytes) -> Iterator[str]:
    """The kinds of the topics in the body of a SUBSCRIBE."""
    while filters:
        end = 2 + struct.unpack_from("!H", filters)[0]
        yield "".join(filters[2:end].decode().split("/")[3:4])
        filters = filters[end + 1 :]


class StubBroker:
    """As much of a broker as a link needs; may refuse to acknowledge, and can hang up."""

    def __init__(
        self,
        port: int = 0,
        acknowledges: bool = True,
        deaf_after: int | None = None,
        denies: tuple[str, ...] = (),
        reads_on: bool = False,
        answers: bool = True,
        granted: int | None = None,
    ) -> None:
        """Answers for `granted` filters of a SUBSCRIBE, None: for all.

        Does not `answer` when it is asked to. Reads no more after `deaf_after` packets, until
        `hears_again` is set; then it ends, or `reads_on`. `denies` are kinds of topics that
        nobody may subscribe to."""
        self.denies = denies
        self.granted = granted
        self.answers = answers
        self.reads_on = reads_on
        self.deaf_after = deaf_after
        self.hears_again = threading.Event()
        self.server = socket.create_server(("127.0.0.1", port), reuse_port=False)
        self.port = int(self.server.getsockname()[1])
        self.acknowledges = acknowledges
        self.published: queue.Queue[bytes] = queue.Queue()
        self.clients: list[socket.socket] = []
        self.thread = threading.Thread(target=self._run)

    def __enter__(self) -> "StubBroker":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self.drop()
        self.thread.join()

    def drop(self) -> None:
        for client in self.clients:
            with contextlib.suppress(OSError):  # it is closed, or the link has reset it
                client.shutdown(socket.SHUT_RDWR)
        self.clients.clear()

    def _run(self) -> None:
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            self.clients.append(client)
            # Who is dropped may reset the connection, or leave in the middle of a packet.
            with (
                contextlib.suppress(OSError, ValueError),
                client,
                client.makefile("rb") as stream,
            ):
                self._talk(client, stream)

    def _talk(self, client: socket.socket, stream: Any) -> None:
        for number in itertools.count():
            if number == self.deaf_after:
                self.hears_again.wait(DEADLINE_SECONDS)
                if not self.reads_on:
                    return
            head = stream.read(1)
            if not head:
                return
            length = shift = 0
            while True:
                (byte,) = stream.read(1)
                length |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
            body = stream.read(length)
            kind = head[0] >> 4
            if kind == 1:
                client.sendall(b"\x20\x02\x00\x00")
            elif kind == 8:
                codes = bytes(0x80 if kind in self.denies else 1 for kind in _kinds(body[2:]))
                codes = codes[: self.granted]
                client.sendall(bytes((0x90, 2 + len(codes))) + body[:2] + codes)
            elif kind == 10 and self.answers:
                client.sendall(b"\xb0\x02" + body[:2])
            elif kind == 3:
                end = 2 + struct.unpack_from("!H", body)[0]
                self.published.put(body[end + 2 :])
                if self.acknowledges:
                    client.sendall(b"\x40\x02" + body[end : end + 2])
