"""The messages between a board and its gateway, which line.py carries whole: a byte for what it
is, then its fields as FIELDS lists them.

    board     CONNECT, SUBSCRIBE, PUBLISH: as in MQTT, for the gateway to do at the broker
              FETCH: a file, from `offset` on. STOP: no more of that file
              CLOSE: the end, without last will
    gateway   ANSWER: what became of the operation with this number
              MESSAGE: from the broker
              PIECE: of a file. FETCHED: no more of it comes
              GONE: the connection to the broker is lost

`number` is the board's, 1 to 255, for answers to name the operation; CONNECT has 0. `problem` is ""
if there is none. An empty `url` means that the board names no place for the file: the gateway has
it, or gets it from the controller in blocks.
"""

import struct

from modelwave_shared.errors import LineError
from modelwave_shared.limits import (
    MAX_BYTES,
    MAX_ENVELOPE_BYTES,
    MAX_REPORT_BYTES,
    MAX_TEXT,
    MAX_URL_CHARACTERS,
)
from modelwave_shared.line_frames import MAX_PAYLOAD_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CONNECT, SUBSCRIBE, PUBLISH, FETCH, STOP, CLOSE = FROM_BOARD = (1, 2, 3, 4, 5, 6)
ANSWER, MESSAGE, PIECE, FETCHED, GONE = FROM_GATEWAY = (17, 18, 19, 20, 21)

MAX_TOPIC_BYTES = 255  # the longest topic of topics.py has 223
MAX_TOPICS = 64  # three for each model, and a few more
MAX_WILL_BYTES = 64
MAX_ORDER_BYTES = 2 * MAX_ENVELOPE_BYTES + 1  # on the topics that a board reads
MAX_MESSAGE_BYTES = MAX_REPORT_BYTES + 512  # no message is longer
MAX_FILE_URL_BYTES = MAX_URL_CHARACTERS + 66  # /sha256 follows what an order has
SHA256_BYTES = 32
MAX_RETRY_SECONDS = 86400
PIECE_BYTES = 4 * MAX_PAYLOAD_BYTES - 6  # of a file, so that a PIECE fills whole frames
MAX_PIECE_BYTES = 4096

# How a field is written. Those of REST take what is left, so only the last one may be so.
NUMBER, FLAG, INTEGER, DIGEST, SHORT, SHORTS, REST, TEXT = range(8)

# {message: ((name of the field, how, most that it may be), …)}. SHORT is a text with its length
# before it, SHORTS several up to the end; most: bytes, and for INTEGER its value.
FIELDS = {
    CONNECT: (("will_topic", SHORT, MAX_TOPIC_BYTES), ("will", REST, MAX_WILL_BYTES)),
    SUBSCRIBE: (("number", NUMBER, 255), ("topics", SHORTS, MAX_TOPIC_BYTES)),
    PUBLISH: (
        ("number", NUMBER, 255),
        ("retain", FLAG, 1),
        ("topic", SHORT, MAX_TOPIC_BYTES),
        ("payload", REST, MAX_REPORT_BYTES),
    ),
    FETCH: (
        ("number", NUMBER, 255),
        ("sha256", DIGEST, SHA256_BYTES),
        ("size", INTEGER, MAX_BYTES),
        ("offset", INTEGER, MAX_BYTES),
        ("url", TEXT, MAX_FILE_URL_BYTES),
    ),
    STOP: (("number", NUMBER, 255),),
    CLOSE: (),
    ANSWER: (
        ("number", NUMBER, 255),
        ("problem", SHORT, MAX_TEXT),
        ("denied", SHORTS, MAX_TOPIC_BYTES),
    ),
    MESSAGE: (("topic", SHORT, MAX_TOPIC_BYTES), ("payload", REST, MAX_ORDER_BYTES)),
    PIECE: (
        ("number", NUMBER, 255),
        ("offset", INTEGER, MAX_BYTES),
        ("data", REST, MAX_PIECE_BYTES),
    ),
    FETCHED: (
        ("number", NUMBER, 255),
        ("retry_after", INTEGER, MAX_RETRY_SECONDS),
        ("problem", TEXT, MAX_TEXT),
    ),
    GONE: (("reason", TEXT, MAX_TEXT),),
}
NAMES = {
    CONNECT: "connect",
    SUBSCRIBE: "subscribe",
    PUBLISH: "publish",
    FETCH: "fetch",
    STOP: "stop",
    CLOSE: "close",
    ANSWER: "answer",
    MESSAGE: "message",
    PIECE: "piece",
    FETCHED: "fetched",
    GONE: "gone",
}


def pack(message: int, *values: "Any") -> bytes:
    """Returns the message with these values of its fields, in their order. Raises LineError for a
    value that the reader would refuse."""
    found = [bytes((message,))]
    for (name, how, most), value in zip(FIELDS[message], values):
        where = "%s.%s" % (NAMES[message], name)
        if how == SHORTS:
            _check(len(value), MAX_TOPICS, where, "topics")
            found += [_short(text, most, where) for text in value]
        elif how == SHORT:
            found.append(_short(value, most, where))
        elif how in (NUMBER, FLAG):
            found.append(bytes((value,)))
        elif how == INTEGER:
            _check(value, most, where, "")
            found.append(struct.pack(">I", value))
        else:
            data = value.encode() if how == TEXT else value
            _check(len(data), most, where, "bytes")
            found.append(data)
    return b"".join(found)


def unpack(data: bytes, allowed: "tuple[int, ...]") -> "tuple[int, list[Any]]":
    """Returns (message, values of its fields). `allowed`: FROM_BOARD or FROM_GATEWAY, what the
    other end may say. Raises LineError, which names the field."""
    if not data or data[0] not in allowed:
        raise LineError("message", "none that this end takes")
    message, at = data[0], 1
    values: "list[Any]" = []
    for name, how, most in FIELDS[message]:
        where = "%s.%s" % (NAMES[message], name)
        value: "Any"
        if how == SHORT:
            value, at = _read_short(data, at, most, where)
        elif how == SHORTS:
            value = []
            while at < len(data):
                one, at = _read_short(data, at, most, where)
                value.append(one)
            _check(len(value), MAX_TOPICS, where, "topics")
        elif how in (REST, TEXT):
            value = data[at:]
            _check(len(value), most, where, "bytes")
            if how == TEXT:
                value = _text(value, where)
            at = len(data)
        else:
            end = at + (4 if how == INTEGER else SHA256_BYTES if how == DIGEST else 1)
            value = data[at:end]
            if end > len(data):
                raise LineError(where, "missing")
            if how != DIGEST:
                value = int.from_bytes(value, "big")
                _check(value, most, where, "")
            at = end
        values.append(value)
    if at != len(data):
        raise LineError(NAMES[message], "%d bytes too many" % (len(data) - at))
    return message, values


def _short(text: str, most: int, where: str) -> bytes:
    data = text.encode()
    _check(len(data), most, where, "bytes")
    return bytes((len(data),)) + data


def _read_short(data: bytes, at: int, most: int, where: str) -> "tuple[str, int]":
    if at >= len(data):
        raise LineError(where, "missing")
    end = at + 1 + data[at]
    if end > len(data):
        raise LineError(where, "%d bytes missing" % (end - len(data)))
    _check(data[at], most, where, "bytes")
    return _text(data[at + 1 : end], where), end


def _text(data: bytes, where: str) -> str:
    """A text has no control characters: it may get into topics, logs and reports."""
    try:
        text = data.decode()
    except ValueError:  # UnicodeError
        raise LineError(where, "not UTF-8")
    if b"\x7f" in data or (data and min(data) < 0x20):
        raise LineError(where, "has a control character")
    return text


def _check(value: int, most: int, where: str, unit: str) -> None:
    if value > most:
        raise LineError(where, "%d %s, %d is most" % (value, unit, most))
