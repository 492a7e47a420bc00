"""The MQTT link on a real Mosquitto, and on brokers that misbehave."""

import asyncio
import contextlib
import shutil
import socket
import threading
import tracemalloc
from dataclasses import replace

import pytest

from modelwave_agent.host import link as host_link
from modelwave_agent.host.link import MAX_PAYLOAD_BYTES, MAX_WAITING, BrokerAddress, PahoLink
from modelwave_agent.ports import LinkLost
from tests.agent.host_places import Mosquitto, refused_port
from tests.certificates import Authority

PRESENCE = "modelwave/1/demo/presence/pi-1"
TOPIC = "modelwave/1/demo/desired/linux-cpu/digits/7"
SECONDS = 20  # for what takes a fraction of one


def link_to(port, client_id="pi-1", **settings):
    return PahoLink(BrokerAddress("127.0.0.1", port, **settings), client_id)


async def connected(link):
    await link.connect(PRESENCE, b"offline")
    return link


async def watcher(port, topic, **settings):
    """Another client that has subscribed to `topic`."""
    link = link_to(port, "watcher", **settings)
    await link.connect("modelwave/1/demo/presence/watcher", b"offline")
    await link.subscribe([topic])
    return link


def run(main):
    async def limited():
        async with asyncio.timeout(SECONDS):
            await main()

    asyncio.run(limited())


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with Mosquitto(tmp_path_factory.mktemp("broker")) as running:
        yield running


def test_publish_reaches_a_subscriber_and_is_retained(broker):
    async def main():
        link = await connected(link_to(broker.port))
        await link.publish(TOPIC, b"first", True)
        other = await watcher(broker.port, TOPIC)
        assert await other.receive() == (TOPIC, b"first")
        await link.publish(TOPIC, b"second", False)
        assert await other.receive() == (TOPIC, b"second")
        await link.publish(TOPIC, b"", True)
        await link.close()
        await other.close()

    run(main)


def test_small_packets_do_not_wait_for_each_other(broker):
    async def main():
        link = await connected(link_to(broker.port))
        sock = link._client.socket()
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        await link.close()

    run(main)


def test_last_will_is_retained_when_the_device_dies(broker):
    async def main():
        link = await connected(link_to(broker.port))
        await link.publish(PRESENCE, b"online", True)
        other = await watcher(broker.port, PRESENCE)
        assert await other.receive() == (PRESENCE, b"online")
        link._client.socket().shutdown(socket.SHUT_RDWR)  # no DISCONNECT is sent
        assert await other.receive() == (PRESENCE, b"offline")
        await other.close()
        later = await watcher(broker.port, PRESENCE)
        assert await later.receive() == (PRESENCE, b"offline")
        await later.close()

    run(main)


def test_dropping_makes_the_broker_send_the_last_will(broker):
    async def main():
        link = await connected(link_to(broker.port))
        await link.publish(PRESENCE, b"online", True)
        other = await watcher(broker.port, PRESENCE)
        assert await other.receive() == (PRESENCE, b"online")
        await link.drop()
        assert await other.receive() == (PRESENCE, b"offline")
        await link.drop()  # once more does nothing
        with pytest.raises(LinkLost):
            await link.publish(PRESENCE, b"online", True)
        await other.close()

    run(main)


def test_closing_sends_no_last_will(broker):
    async def main():
        link = await connected(link_to(broker.port))
        await link.publish(PRESENCE, b"online", True)
        other = await watcher(broker.port, PRESENCE)
        assert await other.receive() == (PRESENCE, b"online")
        await link.close()
        again = await connected(link_to(broker.port))
        await again.publish(PRESENCE, b"here again", True)
        assert await other.receive() == (PRESENCE, b"here again")
        await again.close()
        await other.close()

    run(main)


def test_closing_without_a_connection_is_nothing():
    run(lambda: link_to(1).close())


def test_refused_connection_names_the_broker():
    async def main():
        with refused_port() as port, pytest.raises(LinkLost, match=rf"127.0.0.1:{port}.*refused"):
            await connected(link_to(port))

    run(main)


def test_name_that_nobody_knows_is_a_lost_link():
    async def main():
        with pytest.raises(LinkLost, match=r"nowhere\.invalid"):
            await connected(PahoLink(BrokerAddress("nowhere.invalid"), "pi-1"))

    run(main)


def test_wrong_password_is_said_clearly(tmp_path):
    broker = Mosquitto(tmp_path, f"password_file {tmp_path}/passwords")
    broker.add_user("pi-1", "right")

    async def main():
        good = await connected(link_to(broker.port, user="pi-1", password="right"))
        await good.close()
        with pytest.raises(LinkLost, match=r"the broker refused the connection: Not authorized"):
            await connected(link_to(broker.port, user="pi-1", password="wrong"))

    with broker:
        run(main)


def test_tls_with_the_fleets_authority_and_without(tmp_path):
    authority = Authority(tmp_path)
    lines = (f"certfile {authority.cert_file}", f"keyfile {authority.key_file}")

    async def main(port):
        def to(host, ca):
            return PahoLink(BrokerAddress(host, port, tls=True, ca=ca), "pi-1")

        good = await connected(to("localhost", authority.ca_file))
        await good.publish(TOPIC, b"over TLS", False)
        await good.close()
        with pytest.raises(LinkLost, match="its certificate is not trusted"):
            await connected(to("localhost", ""))
        with pytest.raises(LinkLost, match="its certificate is not trusted"):
            await connected(to("127.0.0.1", authority.ca_file))

    with Mosquitto(tmp_path, *lines) as broker:
        run(lambda: main(broker.port))


def test_broker_that_asks_for_a_certificate_knows_the_device_by_it(tmp_path):
    authority = Authority(tmp_path)
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other").issue("pi-1")
    certificate, key = (tmp_path / "own.pem", tmp_path / "own.key")

    def issued(files):
        for source, place in zip(files, (certificate, key), strict=True):
            shutil.copy(source, place)

    async def main(port):
        to = BrokerAddress("localhost", port, tls=True, ca=authority.ca_file)
        for address in (to, replace(to, certificate=other[0], key=other[1])):
            with pytest.raises(LinkLost):
                await connected(PahoLink(address, "pi-1"))
        issued(authority.issue("pi-2"))
        link = PahoLink(replace(to, certificate=str(certificate), key=str(key)), "pi-1")
        await connected(link)
        await link.publish(TOPIC, b"as pi-2", True)  # acknowledged, and denied
        issued(authority.issue("pi-1"))  # it is read at the next connection
        await connected(link)
        await link.publish(TOPIC, b"as pi-1", True)
        assert await link.subscribe_if_allowed([TOPIC])
        assert await link.receive() == (TOPIC, b"as pi-1")
        await link.close()

    (tmp_path / "acl").write_text(f"user pi-1\ntopic readwrite {TOPIC}\n")
    lines = (
        f"certfile {authority.cert_file}",
        f"keyfile {authority.key_file}",
        f"cafile {authority.ca_file}",
        "require_certificate true",
        "use_identity_as_username true",
        f"acl_file {tmp_path}/acl",
    )
    with Mosquitto(tmp_path, *lines) as broker:
        run(lambda: main(broker.port))


def test_authorities_are_read_at_each_connection(tmp_path):
    """A rotated file serves without a restart. One that cannot be used does no harm meanwhile."""
    authority = Authority(tmp_path)
    (tmp_path / "other").mkdir()
    ca_file = tmp_path / "agent-ca.pem"
    shutil.copy(Authority(tmp_path / "other").ca_file, ca_file)

    async def main(port):
        link = PahoLink(BrokerAddress("localhost", port, tls=True, ca=str(ca_file)), "pi-1")
        with pytest.raises(LinkLost, match="its certificate is not trusted"):
            await connected(link)
        shutil.copy(authority.ca_file, ca_file)
        await connected(link)
        for spoil in (lambda: ca_file.write_text("garbage"), ca_file.unlink):
            spoil()
            await connected(link)
            assert str(ca_file) in link.authorities.problem
        shutil.copy(authority.ca_file, ca_file)
        await connected(link)
        assert link.authorities.problem == ""
        await link.close()

    lines = (f"certfile {authority.cert_file}", f"keyfile {authority.key_file}")
    with Mosquitto(tmp_path, *lines) as broker:
        run(lambda: main(broker.port))


def test_broker_that_ends_is_a_lost_link_and_a_new_one_is_connected_to(tmp_path):
    broker = Mosquitto(tmp_path)

    async def main():
        link = await connected(link_to(broker.port))
        await link.subscribe([TOPIC])
        broker.stop()
        with pytest.raises(LinkLost, match="the connection was lost"):
            await link.receive()
        with pytest.raises(LinkLost):
            await link.publish(TOPIC, b"lost", False)
        with pytest.raises(LinkLost):
            await connected(link)
        broker.start()
        await connected(link)
        await link.subscribe([TOPIC])
        await link.publish(TOPIC, b"back", False)
        assert await link.receive() == (TOPIC, b"back")
        await link.close()

    with broker:
        run(main)


def test_link_connects_to_the_address_that_it_was_turned_to(broker):
    async def main(away):
        link = link_to(away, others=(("127.0.0.1", broker.port),))
        for _ in range(2):
            with pytest.raises(LinkLost, match=f"127.0.0.1:{away}: "):
                await connected(link)
            link.turn()
            await connected(link)
            link.turn()
        await link.close()

    with refused_port() as away:
        run(lambda: main(away))


def test_same_client_id_elsewhere_is_a_lost_link(broker):
    async def main():
        link = await connected(link_to(broker.port))
        taker = await connected(link_to(broker.port))
        with pytest.raises(LinkLost):
            await link.receive()
        await link.close()
        await taker.close()

    run(main)


def test_flood_that_nobody_takes_keeps_the_newest(broker):
    async def main():
        link = await connected(link_to(broker.port))
        await link.subscribe([TOPIC])
        for number in range(MAX_WAITING + 50):
            await link.publish(TOPIC, b"%d" % number, False)
        await link.publish(TOPIC, b"last", False)
        await link.subscribe([TOPIC])  # its answer comes after all messages
        waiting = [link._messages.get_nowait() for _ in range(link._messages.qsize())]
        assert len(waiting) == MAX_WAITING
        assert waiting[-1] == (TOPIC, b"last")
        await link.close()

    run(main)


# Brokers that misbehave, byte by byte.

ACCEPTED = b"\x20\x02\x00\x00"  # CONNACK


@contextlib.asynccontextmanager
async def strange_broker(answer):
    """Reads the CONNECT, then does `answer(reader, writer)`. The port."""
    running = set()

    async def serve(reader, writer):
        running.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await reader.read(1000)
            await answer(reader, writer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def silence(reader, writer):
    await asyncio.Event().wait()


def test_broker_that_never_answers_a_connect_runs_into_the_deadline(monkeypatch):
    monkeypatch.setattr(host_link, "ANSWER_SECONDS", 0.2)

    async def main():
        async with strange_broker(silence) as port:
            with pytest.raises(LinkLost, match="no answer"):
                await connected(link_to(port))

    run(main)


@pytest.mark.slow
def test_broker_that_never_acknowledges_runs_into_the_deadline(monkeypatch):
    monkeypatch.setattr(host_link, "ANSWER_SECONDS", 0.2)

    async def accept(reader, writer):
        writer.write(ACCEPTED)
        await asyncio.Event().wait()

    async def main():
        async with strange_broker(accept) as port:
            link = await connected(link_to(port))
            with pytest.raises(LinkLost, match="does not answer"):
                await link.publish(TOPIC, b"?", True)
            with pytest.raises(LinkLost, match="does not answer"):
                await link.receive()  # who waits there makes the next connection
            with pytest.raises(LinkLost, match="does not answer"):
                await link.subscribe([TOPIC])
            await link.close()

    run(main)


def test_publish_under_way_ends_with_the_connection():
    async def close_on_publish(reader, writer):
        writer.write(ACCEPTED)
        await reader.read(1000)

    async def main():
        async with strange_broker(close_on_publish) as port:
            link = await connected(link_to(port))
            with pytest.raises(LinkLost, match="the connection was lost"):
                await link.publish(TOPIC, b"?", True)
            await link.close()

    run(main)


def test_denied_subscription_is_a_lost_link():
    async def deny(reader, writer):
        writer.write(ACCEPTED)
        packet = await reader.read(1000)
        writer.write(b"\x90\x03" + packet[2:4] + b"\x80")
        await asyncio.Event().wait()

    async def main():
        async with strange_broker(deny) as port:
            link = await connected(link_to(port))
            with pytest.raises(LinkLost, match="denied a subscription"):
                await link.subscribe([TOPIC])
            await link.close()

    run(main)


def test_topic_that_the_agent_can_do_without_may_be_denied():
    """The connection stands, and its next subscription is granted."""

    async def deny(reader, writer):
        writer.write(ACCEPTED)
        for granted in (b"\x80", b"\x01"):
            packet = await reader.read(1000)
            writer.write(b"\x90\x03" + packet[2:4] + granted)
        await asyncio.Event().wait()

    async def main():
        async with strange_broker(deny) as port:
            link = await connected(link_to(port))
            assert await link.subscribe_if_allowed([TOPIC]) is False
            assert await link.subscribe_if_allowed([TOPIC]) is True
            await link.close()

    run(main)


def test_message_too_large_is_handed_on_cut_and_costs_no_memory():
    """256 MB is what MQTT allows; paho would collect it all."""
    size, piece, head = 16_000_000, b"x" * 100_000, b"\x00\x05topic"
    limit = 1_000_000

    async def flood(reader, writer):
        writer.write(ACCEPTED)
        writer.write(b"\x30" + remaining_length(len(head) + size) + head)
        for _ in range(size // len(piece)):
            writer.write(piece)
            await writer.drain()
        writer.write(b"\x30" + remaining_length(len(head) + 5) + head + b"small")
        await asyncio.Event().wait()

    async def main():
        async with strange_broker(flood) as port:
            tracemalloc.start()
            link = await connected(link_to(port))
            assert await link.receive() == ("topic", b"x" * MAX_PAYLOAD_BYTES)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < limit
            assert await link.receive() == ("topic", b"small")
            await link.close()

    run(main)


def remaining_length(number):
    """As MQTT writes it: 7 bits a byte, the lowest first."""
    found = b""
    while number > 127:
        found += bytes([number % 128 | 128])
        number //= 128
    return found + bytes([number])


@pytest.mark.parametrize(
    "packet",
    [
        b"\x32\x01\x00",  # PUBLISH shorter than the length of its topic
        b"\x32\x04\x00\x01\xff\x00",  # a topic that is not UTF-8, without a number
        b"\x30\x05\x00\x02\xff\xffx",  # a topic that is not UTF-8
        b"\x90\x00",  # SUBACK of nothing
        b"\x40\x00",  # PUBACK of nothing
        b"\x20\x00",  # CONNACK of nothing
        b"\xf0\x00",  # no such packet
        b"\x30\xff\xff\xff\xff\xff",  # a length without an end
    ],
)
def test_packet_that_cannot_be_read_is_a_lost_link(packet):
    """And no thread ends unheard, which would leave the device deaf for good."""

    async def garbage(reader, writer):
        writer.write(ACCEPTED + packet)
        await asyncio.Event().wait()

    async def main():
        async with strange_broker(garbage) as port:
            link = link_to(port)
            with pytest.raises(LinkLost):
                await (await connected(link)).receive()
            await link.close()

    run(main)


def test_device_without_a_thread_for_the_connection_is_a_lost_link(broker, monkeypatch):
    start = threading.Thread.start

    def only_others(thread):
        if thread.name.startswith("paho"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", only_others)

    async def main():
        with pytest.raises(LinkLost, match="can't start new thread"):
            await connected(link_to(broker.port))

    run(main)


def test_cancelled_connect_leaves_nothing_connected(broker):
    async def main():
        link = link_to(broker.port)
        connecting = asyncio.create_task(connected(link))
        await asyncio.sleep(0)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        await link.close()
        with pytest.raises(LinkLost, match="not connected"):
            await link.publish(TOPIC, b"?", True)

    run(main)


def test_host_that_does_not_answer_does_not_hold_up_the_end() -> None:
    """A listener whose backlog is full takes no connection and refuses none."""
    before = set(threading.enumerate())
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        link = PahoLink(BrokerAddress("127.0.0.1", listener.getsockname()[1]), "pi-1")

        async def cancelled() -> None:
            task = asyncio.ensure_future(link.connect("will", b"offline"))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(cancelled())
        threads = {thread for thread in threading.enumerate() if not thread.daemon}
        for one in waiting:
            one.close()
    assert threads <= before
