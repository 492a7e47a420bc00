"""Tests that the messages of a line read as written, and that others are refused."""

from modelwave_shared import line_messages as messages
from modelwave_shared.errors import LineError
from modelwave_shared.line_messages import FROM_BOARD, FROM_GATEWAY
from tests.core.helpers import refused

DIGEST = bytes(range(32))
SAMPLES = (
    (messages.CONNECT, "presence/pico-1", b"offline"),
    (messages.SUBSCRIBE, 1, ["a/b", "c"]),
    (messages.SUBSCRIBE, 255, []),
    (messages.PUBLISH, 2, 1, "reported/pico-1", b'{"n": 1}'),
    (messages.FETCH, 3, DIGEST, 100_000, 2**31 - 1, "http://files.example/" + "0" * 64),
    (messages.FETCH, 3, DIGEST, 0, 0, ""),
    (messages.STOP, 3),
    (messages.CLOSE,),
    (messages.ANSWER, 1, "", ["a/b"]),
    (messages.ANSWER, 0, "the broker refuses the password", []),
    (messages.MESSAGE, "desired/x", b""),
    (messages.PIECE, 3, 970, bytes(970)),
    (messages.FETCHED, 3, 60, "404"),
    (messages.GONE, "the broker closed the connection"),
)


def side(message):
    return FROM_BOARD if message in FROM_BOARD else FROM_GATEWAY


def test_messages_read_as_they_were_written():
    for message, *values in SAMPLES:
        data = messages.pack(message, *values)
        assert messages.unpack(data, side(message)) == (message, values)


def test_message_of_the_other_end_is_refused():
    for message, *values in SAMPLES:
        data = messages.pack(message, *values)
        other = FROM_GATEWAY if side(message) == FROM_BOARD else FROM_BOARD
        assert refused(LineError, messages.unpack, data, other).startswith("message:")
    assert refused(LineError, messages.unpack, b"", FROM_BOARD).startswith("message:")


def test_cut_message_is_refused_or_reads_as_another():
    for message, *values in SAMPLES:
        data = messages.pack(message, *values)
        for size in range(1, len(data)):
            try:
                found = messages.unpack(data[:size], side(message))
            except LineError:
                continue
            assert messages.pack(found[0], *found[1]) == data[:size]


def test_fields_beyond_their_bounds_are_refused_by_name():
    short = bytes((255,)) + b"a" * 255
    for data, where in (
        (b"\1\3ab", "connect.will_topic"),
        (b"\1\2ab" + bytes(65), "connect.will"),
        (b"\2", "subscribe.number"),
        (b"\2\1" + b"\1a" * 65, "subscribe.topics"),
        (b"\2\1\2a", "subscribe.topics"),
        (b"\3\1\2\1a", "publish.retain"),
        (b"\3\1\1\1a" + bytes(16385), "publish.payload"),
        (b"\4\1" + DIGEST + b"\x80\0\0\0" + bytes(4), "fetch.size"),
        (b"\4\1" + DIGEST + bytes(4) + b"\xff\0\0\0", "fetch.offset"),
        (b"\4\1" + DIGEST[1:], "fetch.sha256"),
        (b"\4\1" + DIGEST + bytes(8) + b"h" * 267, "fetch.url"),
        (b"\4\1" + DIGEST + bytes(8) + b"http://a\r\nb", "fetch.url"),
        (b"\4\1" + DIGEST + bytes(8) + b"\xff\xfe", "fetch.url"),
        (b"\5\1\1", "message"),
        (b"\6\1", "message"),
        (b"\x11\1" + short, "answer.problem"),
        (b"\x12" + short + bytes(8194), "message.payload"),
        (b"\x13\1\0\0\0\0" + bytes(4097), "piece.data"),
        (b"\x14\1\0\1\x51\x81", "fetched.retry_after"),
        (b"\x15" + b"a" * 201, "gone.reason"),
        (b"\x15a\nb", "gone.reason"),
    ):
        allowed = FROM_BOARD if data[0] in FROM_BOARD else FROM_GATEWAY
        said = refused(LineError, messages.unpack, data, allowed)
        assert said.startswith(where + ":"), (where, said)


def test_writer_refuses_what_the_reader_would():
    for message, *values in (
        (messages.GONE, "a" * 201),
        (messages.PIECE, 1, 0, bytes(4097)),
        (messages.MESSAGE, "t" * 256, b""),
        (messages.SUBSCRIBE, 1, ["a"] * 65),
        (messages.FETCH, 1, DIGEST, 2**31, 0, ""),
    ):
        said = refused(LineError, messages.pack, message, *values)
        assert said.startswith(messages.LAYOUTS[message].split()[0])
