"""The messages between a board and its gateway, which line.py carries whole: a byte for what it
is, then its fields as LAYOUTS lists them.

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

# {message: its name, then its fields as name:how}
LAYOUTS = {
    CONNECT: "connect will_topic:t will:w",
    SUBSCRIBE: "subscribe number:n topics:T",
    PUBLISH: "publish number:n retain:f topic:t payload:p",
    FETCH: "fetch number:n sha256:d size:i offset:i url:u",
    STOP: "stop number:n",
    CLOSE: "close",
    ANSWER: "answer number:n problem:s denied:T",
    MESSAGE: "message topic:t payload:o",
    PIECE: "piece number:n offset:i data:c",
    FETCHED: "fetched number:n retry_after:r problem:e",
    GONE: "gone reason:e",
}
# How a field is written: {how: most that it may be}. The sizes of FIXED are in bytes, and the most
# is the number's; SHORT is a text with a byte for its length before it, and T several of them up to
# the end; the others are all that is left, and those of TEXTS are texts.
BOUNDS = {
    "n": 255,
    "f": 1,
    "i": MAX_BYTES,
    "r": MAX_RETRY_SECONDS,
    "t": MAX_TOPIC_BYTES,
    "T": MAX_TOPIC_BYTES,
    "s": MAX_TEXT,
    "w": MAX_WILL_BYTES,
    "p": MAX_REPORT_BYTES,
    "o": MAX_ORDER_BYTES,
    "c": MAX_PIECE_BYTES,
    "u": MAX_FILE_URL_BYTES,
    "e": MAX_TEXT,
    "d": SHA256_BYTES,
}
FIXED = {"n": 1, "f": 1, "i": 4, "r": 4, "d": SHA256_BYTES}
SHORT, TEXTS = "ts", "ue"


def fields(message: int) -> "list[tuple[str, str]]":
    """Returns the fields of a message as (message.field, how)."""
    name, _, rest = LAYOUTS[message].partition(" ")
    found = []
    for field in rest.split():
        of, how = field.split(":")
        found.append((name + "." + of, how))
    return found


def pack(message: int, *values: "Any") -> bytes:
    """Returns the message with these values of its fields, in their order. Raises LineError for a
    value that the reader would refuse."""
    found = [bytes((message,))]
    for (where, how), value in zip(fields(message), values):
        most = BOUNDS[how]
        if how == "T":
            _check(len(value), MAX_TOPICS, where, "topics")
            found += [_short(text, most, where) for text in value]
        elif how in SHORT:
            found.append(_short(value, most, where))
        elif how in FIXED and how != "d":
            _check(value, most, where, "")
            found.append(int(value).to_bytes(FIXED[how], "big"))
        else:
            data = value.encode() if how in TEXTS else value
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
    for where, how in fields(message):
        value, at = _read(data, at, how, where)
        values.append(value)
    if at != len(data):
        raise LineError("message", "%d bytes too many" % (len(data) - at))
    return message, values


def _read(data: bytes, at: int, how: str, where: str) -> "tuple[Any, int]":
    """Returns (value, where the next field begins) of the field that begins at `at`."""
    most = BOUNDS[how]
    if how in SHORT:
        return _read_short(data, at, most, where)
    if how == "T":
        found = []
        while at < len(data):
            text, at = _read_short(data, at, most, where)
            found.append(text)
        _check(len(found), MAX_TOPICS, where, "topics")
        return found, at
    end = at + FIXED.get(how, len(data) - at)
    value = data[at:end]
    if end > len(data):
        raise LineError(where, "missing")
    if how not in FIXED:
        _check(len(value), most, where, "bytes")
        return _text(value, where) if how in TEXTS else value, end
    if how == "d":
        return value, end
    number = int.from_bytes(value, "big")
    _check(number, most, where, "")
    return number, end


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
