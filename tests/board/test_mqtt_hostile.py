"""The board's MQTT client on servers that are wrong, rude or endless."""

import ast
from pathlib import Path

import pytest

from tests import micropython
from tests.board.mqtt_servers import (
    CONNACK,
    CONNECT,
    PUBLISH,
    SUBSCRIBE,
    Script,
    compile_for_boards,
    message,
    packet,
    text,
)

PROGRAMS = Path(__file__).parent / "programs"
HEAP = "80k"  # as test_mqtt.py; with 64k the longest payload found room by chance only
TOPIC = b"modelwave/1/demo/desired/rp2040/digits/7"
MAX_PAYLOAD_BYTES = 8194


@pytest.fixture(scope="module")
def lib(tmp_path_factory):
    return compile_for_boards(tmp_path_factory.mktemp("lib"))


def visits(lib, *scenes, keepalive=60):
    """[(messages, what LinkLost said)] of a visit to each of them."""
    with Script(*scenes) as server:
        program = PROGRAMS / "mqtt_visits.py"
        done = micropython.run(lib, program, lib, server.port, len(scenes), keepalive, heap=HEAP)
    print(done.stdout + done.stderr)
    lines = done.stdout.splitlines()
    assert lines.pop() == "done"
    found = [ast.literal_eval(line) for line in lines]
    assert all(error.startswith(f"127.0.0.1:{server.port}: ") for _, error in found)
    return [(messages, error.split(": ", 1)[1]) for messages, error in found]


def answers(data, piece=0):
    """To CONNECT, whatever it is."""

    def scene(visitor):
        visitor.expect(CONNECT)
        visitor.send(data, piece)
        visitor.until_gone()

    return scene


def sends(data, piece=0):
    """To a client that is settled; then the connection ends."""

    def scene(visitor):
        visitor.accept()
        visitor.send(data, piece)

    return scene


def sends_and_waits(data):
    def scene(visitor):
        visitor.accept()
        visitor.send(data)
        visitor.until_gone()

    return scene


CLOSED = "the broker closed the connection"
MALFORMED = "a packet of the broker is malformed"
DENIED = "the broker denied a subscription: this user may not read a topic"


def unexpected(kind):
    return f"the broker sent an unexpected packet: 0x{kind:02x}"


def test_refused_connections_are_told_in_words(lib):
    codes = (1, 2, 3, 4, 5, 6, 255)
    found = visits(lib, *(answers(bytes([0x20, 2, 0, code])) for code in codes))
    assert [error for _, error in found] == [
        "the broker does not speak MQTT 3.1.1",
        "the broker does not take this client id",
        "the broker is not available",
        "wrong user name or password",
        "this user may not connect",
        "the broker refused the connection with the unknown code 6",
        "the broker refused the connection with the unknown code 255",
    ]


def test_other_services_on_the_port_are_told(lib):
    scenes = {
        answers(b"HTTP/1.1 400 Bad Request\r\n\r\n"): unexpected(0x48),
        answers(b"SSH-2.0-OpenSSH_9.2p1\r\n"): unexpected(0x53),
        answers(b"\x15\x03\x03\x00\x02\x02\x32"): unexpected(0x15),
        answers(b"\0" * 100): unexpected(0x00),
        (lambda visitor: None): "the broker closed the connection",
    }
    found = [error for _, error in visits(lib, *scenes)]
    assert found[:-1] == list(scenes.values())[:-1]
    assert found[-1] in (CLOSED, "[Errno 104] ECONNRESET")


def test_packets_before_connack_and_a_second_connack_are_refused(lib):
    scenes = {
        answers(message(TOPIC, b"early")): unexpected(0x30),
        answers(packet(0x40, b"\0\1")): unexpected(0x40),
        answers(packet(0xD0)): unexpected(0xD0),
        sends(CONNACK): unexpected(0x20),
    }
    assert [error for _, error in visits(lib, *scenes)] == list(scenes.values())


def test_every_unexpected_kind_of_packet_is_refused(lib):
    kinds = [kind for kind in range(256) if kind >> 4 != 3 and kind not in (0x40, 0x90, 0xD0)]
    some = kinds[::7] + [0x00, 0x10, 0x50, 0x60, 0x70, 0x80, 0xA0, 0xB0, 0xC0, 0xE0, 0xF0]
    found = visits(lib, *(sends_and_waits(packet(kind, b"\0\0")) for kind in some))
    assert [error for _, error in found] == [unexpected(kind) for kind in some]


def test_malformed_packets_end_the_connection(lib):
    scenes = {
        sends_and_waits(b"\x30\xff\xff\xff\xff\x01"): MALFORMED,  # five bytes of length
        sends_and_waits(b"\x30\x80\x80\x80\x80\x80"): MALFORMED,
        sends_and_waits(b"\x30\x00"): MALFORMED,  # no topic
        sends_and_waits(b"\x30\x01\x00"): MALFORMED,
        sends_and_waits(b"\x30\x03\x00\x05t"): MALFORMED,  # a topic longer than its packet
        sends_and_waits(b"\x32\x04\x00\x01t\x00"): MALFORMED,  # half a number
        sends_and_waits(packet(0x30, text(b"t" * 257))): "the broker sent a topic of 257 bytes",
        sends_and_waits(b"\x34\x06\x00\x01t\x00\x01x"): "the broker sent a message with QoS 2",
        sends_and_waits(b"\x36\x06\x00\x01t\x00\x01x"): "the broker sent a message with QoS 3",
        sends_and_waits(packet(0x40, b"\0")): "an answer of the broker has 1 bytes",
        sends_and_waits(packet(0x40, b"\0\1" * 200)): "an answer of the broker has 400 bytes",
        sends_and_waits(packet(0x90, b"")): "an answer of the broker has 0 bytes",
        sends_and_waits(packet(0xD0, b"\0")): "a PINGRESP of the broker has 1 bytes too many",
        sends_and_waits(packet(0x40, b"\x12\x34")): unexpected(0x40),
        sends_and_waits(packet(0x90, b"\0\0\1")): unexpected(0x90),
    }
    assert visits(lib, *scenes) == [([], error) for error in scenes.values()]


def test_topic_that_is_not_utf8_is_refused(lib):
    ((messages, error),) = visits(lib, sends_and_waits(message(b"\xff\xfe", b"x")))
    assert messages == []
    assert error == "the topic of a message is not UTF-8"


def test_cut_off_packets_end_the_connection(lib):
    whole = message(TOPIC, b"payload", 7)
    found = visits(lib, *(sends(whole[:length]) for length in range(len(whole))))
    assert found == [([], CLOSED)] * len(whole)


def test_one_byte_at_a_time_is_read(lib):
    def scene(visitor):
        visitor.accept(1)
        visitor.send(message(TOPIC, b"first", 7) + message(TOPIC, b"") + packet(0xD0), 1)
        visitor.send(message(TOPIC, b"2" * 300), 1)
        assert visitor.expect(0x40) == b"\0\7"

    topic = TOPIC.decode()
    messages = [(topic, 5, b"first"), (topic, 0, b""), (topic, 300, b"22222")]
    assert visits(lib, scene) == [(messages, CLOSED)]


@pytest.mark.slow
def test_payload_that_is_too_long_is_taken_in_pieces_and_told_as_too_long(lib):
    def scene(visitor):
        visitor.accept()
        visitor.send(message(TOPIC, b"x" * (MAX_PAYLOAD_BYTES - 1)))
        visitor.send(message(TOPIC, b"x" * MAX_PAYLOAD_BYTES))
        visitor.send(message(TOPIC, b"x" * 3_000_000, 8))
        assert visitor.expect(0x40) == b"\0\x08"  # before the end, which may reset the connection
        visitor.send(message(TOPIC, b"next"))

    topic, longest = TOPIC.decode(), MAX_PAYLOAD_BYTES
    assert visits(lib, scene) == [
        (
            [
                (topic, longest - 1, b"xxxxx"),
                (topic, longest, b"xxxxx"),
                (topic, longest, bytes(5)),
                (topic, 4, b"next"),
            ],
            CLOSED,
        )
    ]


def test_denied_subscription_is_told(lib):
    def scene(visitor):
        visitor.expect(CONNECT)
        visitor.send(CONNACK)
        visitor.send(packet(0x90, visitor.expect(SUBSCRIBE)[:2] + b"\x80"))
        visitor.until_gone()

    assert visits(lib, scene) == [([], DENIED)]


def test_topic_that_the_agent_can_do_without_may_be_denied(lib):
    """The connection stands, and its next subscription is granted."""

    def scene(visitor):
        visitor.expect(CONNECT)
        visitor.send(CONNACK)
        for granted in (b"\x80", b"\1"):
            visitor.send(packet(0x90, visitor.expect(SUBSCRIBE)[:2] + granted))
        visitor.until_gone()

    with Script(scene) as server:
        done = micropython.run(lib, PROGRAMS / "mqtt_allowed.py", lib, server.port, heap=HEAP)
    assert done.stdout.splitlines() == ["False", "True", "done"], done.stderr


def test_answer_to_another_packet_is_refused(lib):
    def scene(visitor):
        visitor.expect(CONNECT)
        visitor.send(CONNACK)
        number = visitor.expect(SUBSCRIBE)[:2]
        visitor.send(packet(0x90, bytes([number[0], number[1] ^ 1, 1])))
        visitor.until_gone()

    assert visits(lib, scene) == [([], unexpected(0x90))]


def test_retained_message_before_the_acknowledgement_is_kept(lib):
    def scene(visitor):
        visitor.expect(CONNECT)
        visitor.send(CONNACK)
        number = visitor.expect(SUBSCRIBE)[:2]
        visitor.send(message(TOPIC, b"early", 5))
        visitor.send(packet(0x90, number + b"\1"))
        body = visitor.expect(PUBLISH)
        visitor.send(packet(0x40, body[2 + len(TOPIC) :][:2]))
        # Acknowledged only now that it is taken.
        assert visitor.expect(0x40) == b"\0\5"

    assert visits(lib, scene) == [([(TOPIC.decode(), 5, b"early")], CLOSED)]


@pytest.mark.slow
def test_answers_that_never_come_are_a_lost_link(lib):
    """The server goes on to answer pings: it is the one packet that is not answered."""

    def answering_pings(visitor):
        kind, _ = visitor.read()
        while kind:
            if kind == 0xC0:
                visitor.send(packet(0xD0))
            kind, _ = visitor.read()

    def no_suback(visitor):
        visitor.expect(CONNECT)
        visitor.send(CONNACK)
        answering_pings(visitor)

    def no_puback(visitor):
        visitor.expect(CONNECT)
        visitor.send(CONNACK)
        visitor.send(packet(0x90, visitor.expect(SUBSCRIBE)[:2] + b"\1"))
        answering_pings(visitor)

    def silence(visitor):
        visitor.until_gone()

    found = visits(lib, silence, no_suback, no_puback, keepalive=2)
    assert found == [([], "the broker does not answer")] * 3
