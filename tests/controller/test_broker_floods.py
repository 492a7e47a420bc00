"""Tests that one client of the embedded broker cannot hold up, fill up or drown out the others."""

import asyncio
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import argon2
import pytest
from broker_clients import (
    CONNACK,
    DEADLINE_SECONDS,
    PINGREQ,
    PINGRESP,
    PUBACK,
    PUBLISH,
    SUBACK,
    SUBSCRIBE,
    Packet,
    RawClient,
    connect,
    packet,
    publish,
    text,
)
from broker_hosts import FLEET, HASHES, PASSWORDS, Host, embedded, settings_with_users

from modelwave_controller.broker import (
    EmbeddedBrokerSettings,
    FleetAcl,
    limits,
    run_broker,
    running,
)
from modelwave_controller.broker.credentials import Credentials
from modelwave_controller.broker.passwords import Passwords, TooManyChecks, Turns
from modelwave_controller.broker.users_file import UsersFile

FILTER_REFUSED, SERVER_UNAVAILABLE, NOT_AUTHORIZED = 0x80, 3, 5

Opened = Callable[[Callable[[], AbstractContextManager[Host]]], Host]


@pytest.fixture
def opened() -> Iterator[Opened]:
    with ExitStack() as stack:
        stack.callback(RawClient.close_all)
        yield lambda make: stack.enter_context(make())


def under(*levels: str) -> str:
    return "/".join(("modelwave", "1", FLEET, *levels))


def anyone(port: int, name: str) -> RawClient:
    client = RawClient(port)
    assert client.connect(name) == 0
    return client


def user(port: int, name: str, client_id: str = "") -> RawClient:
    client = RawClient(port)
    assert client.connect(client_id or name, user=name, password=PASSWORDS[name]) == 0
    return client


def subscribe_to(*filters: str, qos: int = 0) -> bytes:
    asked = b"".join(text(one) + bytes([qos]) for one in filters)
    return packet(SUBSCRIBE, struct.pack("!H", 7) + asked, 2)


# Subscriptions.


def test_hundred_equal_filters_bring_a_retained_message_once(opened: Opened) -> None:
    port = opened(embedded).port
    client = anyone(port, "c")
    client.subscribe("end")
    client.send(publish("t", b"x", qos=1, retain=True))
    client.until(PUBACK)
    client.send(subscribe_to(*["t"] * 100))
    assert client.until(SUBACK)[-1].body[2:] == bytes(100)
    client.send(publish("end", b""))
    assert client.hear_until("end") == [("t", b"x"), ("end", b"")]


def test_overlapping_filters_bring_a_message_once(opened: Opened) -> None:
    client = anyone(opened(embedded).port, "c")
    client.send(subscribe_to("a/b", "a/+", "a/#", "#"), publish("a/b", b"x"), publish("end", b""))
    assert client.hear_until("end") == [("a/b", b"x"), ("end", b"")]


def test_filters_of_a_client_are_bounded(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_FILTERS_OF_A_CLIENT", 3)
    client = anyone(opened(embedded).port, "c")
    client.send(subscribe_to("a", "b", "+/c", "+/d", "a"))
    assert list(client.until(SUBACK)[-1].body[2:]) == [0, 0, 0, FILTER_REFUSED, 0]


@pytest.mark.parametrize("kind", [SUBSCRIBE, 10])
def test_packet_with_too_many_filters_ends_the_connection(opened: Opened, kind: int) -> None:
    host = opened(embedded)
    client = anyone(host.port, "c")
    one = text("t") + (b"\0" if kind == SUBSCRIBE else b"")
    client.send(packet(kind, b"\0\7" + one * (limits.MAX_FILTERS_IN_A_PACKET + 1), 2))
    assert client.until_closed() == []
    assert not host.broker.subscriptions


def test_filters_and_topics_of_many_levels_are_refused(opened: Opened) -> None:
    client = anyone(opened(embedded).port, "c")
    deep = "/" * limits.MAX_LEVELS
    assert client.subscribe(deep[1:]) == 0
    assert client.subscribe(deep) == FILTER_REFUSED
    client.send(publish(deep, b"x"))
    assert client.until_closed() == []


# What waits for a client.


def test_device_that_acknowledges_nothing_is_disconnected(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_QUEUED_FOR_A_DEVICE", 20_000)
    port = opened(lambda: embedded(settings_with_users())).port
    device, controller = user(port, "cam-1"), user(port, "controller")
    topic = under("heartbeat", "cam-1")
    assert device.subscribe(topic, 1) == 1
    assert controller.subscribe(topic) == 0
    for number in range(100):
        controller.send(publish(topic, bytes(200), qos=1, packet_id=number + 1))
    controller.send(publish(topic, b"end"))
    while controller.hear_until(topic)[-1][1] != b"end":
        pass
    assert 0 < len(device.until_closed()) <= limits.MAX_IN_FLIGHT


def test_devices_wait_for_a_controller_that_is_behind(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CROWDED_BYTES", 20_000)
    host = opened(lambda: embedded(settings_with_users()))
    controller, device = user(host.port, "controller", "modelwave/1"), user(host.port, "cam-1")
    assert controller.subscribe(under("reported", "+"), 1) == 1
    topic, report = under("reported", "cam-1"), bytes(1000)
    sent = [publish(topic, report, qos=1, packet_id=n) for n in range(1, 61)]
    device.send(*sent, packet(PINGREQ))
    other = user(host.port, "cam-2")  # others are served meanwhile
    other.send(packet(PINGREQ))
    other.until(PINGRESP)
    session = host.broker.sessions["modelwave/1"]
    acknowledged = 0
    while acknowledged < len(sent):
        message = controller.until(PUBLISH)[-1]
        assert session.queued_bytes < 22_000
        start = 2 + len(topic)
        controller.send(packet(PUBACK, message.body[start : start + 2]))
        acknowledged += 1
    assert [one.type for one in device.until(PINGRESP)] == [PUBACK] * len(sent) + [PINGRESP]


def test_device_that_sends_ahead_of_others_waits_for_a_busy_controller_and_they_do_not(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BUSY_BYTES", 20_000)
    monkeypatch.setattr(limits, "AHEAD_BYTES", 10_000)
    host = opened(lambda: embedded(settings_with_users()))
    controller, floods = user(host.port, "controller", "modelwave/1"), user(host.port, "cam-1")
    assert controller.subscribe(under("reported", "+"), 1) == 1
    topic, report = under("reported", "cam-1"), bytes(1000)
    floods.send(*(publish(topic, report, qos=1, packet_id=n) for n in range(1, 200)))
    other = user(host.port, "cam-2")
    other.send(publish(under("reported", "cam-2"), report, qos=1))
    other.until(PUBACK)
    assert host.broker.sessions["modelwave/1"].queued_bytes < 40_000
    before = 0
    while (message := controller.until(PUBLISH)[-1]).topic == topic:
        before += 1
        controller.send(packet(PUBACK, message.body[2 + len(topic) : 4 + len(topic)]))
    assert before < 40  # of 199


def test_retained_messages_are_bounded(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_RETAINED", 2)
    host = opened(embedded)
    client = anyone(host.port, "c")
    client.send(*(publish(topic, b"x", retain=True) for topic in ("a", "b")))
    client.send(publish("a", b"", retain=True), publish("c", b"x", retain=True))
    client.send(publish("d", b"x", retain=True))
    assert client.until_closed() == []
    assert sorted(host.broker.retained) == ["b", "c"]


def test_packets_that_take_long_are_handled_in_turns_and_in_order(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TURN_SECONDS", 0)
    client = anyone(opened(embedded).port, "c")
    client.subscribe("t")
    client.send(*(publish("t", b"%d" % number) for number in range(50)), publish("t", b"end"))
    heard = [client.until(PUBLISH)[-1].payload for _ in range(51)]
    assert heard == [*(b"%d" % number for number in range(50)), b"end"]


def test_device_that_floods_is_named_once(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "TURN_SECONDS", 0)
    monkeypatch.setattr(limits, "FLOOD_TURNS", 10)
    port = opened(lambda: embedded(settings_with_users())).port
    quiet, floods = user(port, "cam-1"), user(port, "cam-2")
    for client, number in ((quiet, 2), (floods, 20)):
        topic = under("reported", "cam-1" if client is quiet else "cam-2")
        client.send(*(publish(topic, b"x") for _ in range(number)), packet(PINGREQ))
        client.until(PINGRESP)
    named = [record.getMessage() for record in caplog.records if "slowly" in record.message]
    assert len(named) == 1
    assert "'cam-2' at 127.0.0.1" in named[0]


# Logins.


class BlockedChecks:
    """argon2's check, which ends when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Event()
        monkeypatch.setattr(argon2.PasswordHasher, "verify", self.verify)

    def verify(self, _digest: object, _password: object) -> bool:
        self.begun.release()
        assert self.go_on.wait(DEADLINE_SECONDS)
        raise argon2.exceptions.VerifyMismatchError


def test_wrong_passwords_do_not_delay_who_was_there_before(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = opened(lambda: embedded(settings_with_users()))
    user(host.port, "cam-1").socket.close()
    checks = BlockedChecks(monkeypatch)
    wrong = [RawClient(host.port) for _ in range(60)]
    for number, client in enumerate(wrong):
        client.send(connect(f"modelwave/{number}", user="controller", password="wrong"))
    assert checks.begun.acquire(timeout=DEADLINE_SECONDS)
    user(host.port, "cam-1")  # the checks wait all the time
    checks.go_on.set()
    for client in wrong:
        assert client.until(CONNACK)[-1].body[1] == NOT_AUTHORIZED


def test_wrong_password_keeps_its_turn_for_longer_than_its_check_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    asleep = asyncio.sleep

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await asleep(0)

    async def scenario() -> None:
        passwords = Passwords(HASHES)
        assert not await passwords.check("cam-1", "wrong", "a")
        assert await passwords.check("cam-1", PASSWORDS["cam-1"], "a")
        passwords.close()

    monkeypatch.setattr("modelwave_controller.broker.passwords.asyncio.sleep", sleep)
    monkeypatch.setattr("modelwave_controller.broker.passwords.WAIT_FACTOR", 1000)
    asyncio.run(scenario())
    assert len(pauses) == 1
    assert pauses[0] > 1  # argon2's check takes more than a millisecond of a core


def turns_of(*askers: tuple[str, str], wrong: tuple[str, str] | None = None) -> list[str]:
    """Returns the users in the order in which their turns come, one at a time."""

    async def scenario() -> list[str]:
        turns, order = Turns(1), []
        if wrong is not None:
            turns.count_wrong(*wrong)
        await turns.take("first", "first")

        async def ask(address: str, name: str) -> None:
            await turns.take(address, name)
            order.append(name)
            turns.give_back()

        tasks = [asyncio.ensure_future(ask(*asker)) for asker in askers]
        await asyncio.sleep(0)
        turns.give_back()
        await asyncio.gather(*tasks)
        return order

    return asyncio.run(scenario())


def test_addresses_have_turns_in_rotation() -> None:
    flood = [("10.0.0.1", f"a{number}") for number in range(60)]
    order = turns_of(*flood, ("10.0.0.2", "honest"))
    assert order.index("honest") <= 1


def test_address_with_wrong_passwords_has_its_turn_last() -> None:
    flood = [("10.0.0.1", f"a{number}") for number in range(60)]
    assert turns_of(*flood, ("10.0.0.2", "honest"), wrong=("10.0.0.1", "a0"))[0] == "honest"


def test_user_with_wrong_passwords_has_its_turn_after_others_of_its_address() -> None:
    flood = [("10.0.0.1", "attacked")] * 60
    assert turns_of(*flood, ("10.0.0.1", "honest"), wrong=("10.0.0.1", "attacked"))[0] == "honest"


def test_logins_that_wait_are_bounded_and_one_that_leaves_makes_room() -> None:
    async def scenario() -> None:
        turns = Turns(1)
        await turns.take("a", "u")
        tasks = [
            asyncio.ensure_future(turns.take("a", "u")) for _ in range(limits.MAX_CHECKS_BY_ADDRESS)
        ]
        await asyncio.sleep(0)
        with pytest.raises(TooManyChecks):
            await turns.take("a", "u")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        turns.give_back()
        await turns.take("b", "v")

    asyncio.run(scenario())


def test_who_gave_the_right_password_is_not_let_in_with_another() -> None:
    async def scenario() -> list[bool]:
        passwords = Passwords({"cam-1": HASHES["cam-1"]})
        found = [await passwords.check("cam-1", word, "a") for word in ("one", "two", "", "one")]
        passwords.close()
        return found

    assert asyncio.run(scenario()) == [True, False, False, True]


def test_password_that_was_right_is_checked_again_after_the_user_got_another() -> None:
    async def scenario() -> list[bool]:
        passwords = Passwords({"cam-1": HASHES["cam-1"]})
        found = [await passwords.check("cam-1", "one", "a")]
        passwords.replace({"cam-1": HASHES["cam-2"]})
        found += [await passwords.check("cam-1", word, "a") for word in ("one", "two")]
        passwords.close()
        return found

    assert asyncio.run(scenario()) == [True, False, True]


# Connections.


def test_connections_that_say_nothing_make_place_for_one_that_does(opened: Opened) -> None:
    host = opened(lambda: embedded(EmbeddedBrokerSettings(max_connections=5)))
    served = anyone(host.port, "served")
    silent = [RawClient(host.port) for _ in range(20)]
    anyone(host.port, "speaks")
    assert silent[0].until_closed() == []
    served.send(packet(PINGREQ))
    served.until(PINGRESP)


def test_fleet_that_comes_back_at_once_is_let_in(opened: Opened) -> None:
    """Their CONNECTs are all there before the broker gets to accept the first of them."""
    host = opened(embedded)
    busy = threading.Event()
    host.loop.call_soon_threadsafe(busy.wait)
    number = limits.MAX_WAITING_BY_ADDRESS + 150
    clients = [RawClient(host.port) for _ in range(number)]
    for name, client in enumerate(clients):
        client.send(connect(f"device-{name}"))
    busy.set()
    assert [client.receive() for client in clients] == [Packet(CONNACK, 0, b"\0\0")] * number


def test_one_connection_too_many_is_refused(opened: Opened) -> None:
    host = opened(lambda: embedded(EmbeddedBrokerSettings(max_connections=2)))
    first, _second = anyone(host.port, "a"), anyone(host.port, "b")
    assert RawClient(host.port).until_closed() == []
    first.send(packet(14))
    first.until_closed()
    anyone(host.port, "c")


def test_one_device_too_many_is_told_and_the_log_names_mosquitto(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "MAX_DEVICES", 1)
    port = opened(lambda: embedded(settings_with_users())).port
    first = user(port, "cam-1")
    user(port, "controller")
    credentials = {"user": "cam-2", "password": PASSWORDS["cam-2"]}
    assert RawClient(port).connect("cam-2", **credentials) == SERVER_UNAVAILABLE
    assert "use Mosquitto" in caplog.text
    user(port, "cam-1")  # its own place it may take again
    assert first.until_closed() == []


def test_refused_clients_do_not_fill_the_log(
    opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    port = opened(lambda: embedded(settings_with_users())).port
    for _ in range(40):
        assert RawClient(port).connect("x", user="nobody", password="x") == NOT_AUTHORIZED
    assert len(caplog.records) == 20


# Users that change.


def test_user_who_is_gone_is_disconnected_and_a_new_one_let_in(opened: Opened) -> None:
    host = opened(lambda: embedded(settings_with_users()))
    stays, leaves = user(host.port, "cam-1"), user(host.port, "cam-2")
    users = {**HASHES, "cam-3": HASHES["cam-1"]}
    del users["cam-2"]

    async def replace() -> None:
        settings = EmbeddedBrokerSettings(users=users, acl=FleetAcl(FLEET))
        host.broker.replace_users(settings)

    host.call(replace())
    assert leaves.until_closed() == []
    credentials = {"user": "cam-2", "password": PASSWORDS["cam-2"]}
    assert RawClient(host.port).connect("cam-2", **credentials) == NOT_AUTHORIZED
    assert RawClient(host.port).connect("cam-3", user="cam-3", password=PASSWORDS["cam-1"]) == 0
    stays.send(packet(PINGREQ))
    stays.until(PINGRESP)


def test_file_of_users_is_read_again_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "REREAD_SECONDS", 0.01)
    errors: list[str] = []
    told = asyncio.Event()

    def on_error(text: str, *_: object) -> None:
        errors.append(text)
        told.set()

    monkeypatch.setattr(running.log, "error", on_error)
    file = tmp_path / "credentials"

    def write(*names: str) -> None:
        new = tmp_path / "new"
        new.write_text("".join(f"{name}:{HASHES[name]}\n" for name in names))
        new.replace(file)

    def settings_of(found: Credentials) -> EmbeddedBrokerSettings:
        return EmbeddedBrokerSettings(users=found.hashes, acl=FleetAcl(FLEET))

    async def scenario() -> None:
        ports: asyncio.Queue[int] = asyncio.Queue()
        users = UsersFile(file, settings_of)
        task = asyncio.create_task(run_broker(users.read(), ports.put_nowait, users))
        client = await asyncio.to_thread(user, await ports.get(), "cam-1")
        file.write_text("broken")
        await told.wait()
        write("cam-2")
        assert await asyncio.to_thread(client.until_closed) == []
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    write("cam-1")
    try:
        asyncio.run(scenario())
    finally:
        RawClient.close_all()
    assert errors == ["the broker goes on with the users that it had: %s"]
