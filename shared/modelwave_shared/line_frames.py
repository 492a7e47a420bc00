"""The frames on a wire between a board and its gateway.

    00 COBS(kind tag seq ack payload crc32) 00      at most 256 bytes with both zeros

COBS is that of Cheshire and Baker, "Consistent Overhead Byte Stuffing", 1999: the bytes between
two zeros hold no zero. Frames are so short that its blocks of 254 bytes never occur. What stands
between two zeros and is no frame is console output of the board.

    kind      1 byte of KINDS; FROM_GATEWAY is added in frames of the gateway, so that no end
              takes its own echo for the other's
    tag       2 bytes. HELLO and WELCOME have the board's, which it draws for each meeting; all
              other frames that of their session (session_tag)
    seq       1 byte: the number of a DATA or LAST
    ack       1 byte: the number of the next DATA or LAST that the sender of this frame expects
    crc32     of all before it, big-endian

    HELLO     version, frames that the board takes at once, its device id
    WELCOME   version, frames that the gateway takes at once, 2 random bytes, the gateway's name
    DATA      a piece of a message
    LAST      the last piece of a message
    ACK       only the header; payload GAP: a frame was missing, go back to `ack`
    RESET     the gateway does not know the session with this tag: the board is to say HELLO
"""

import binascii
import struct

from modelwave_shared.errors import LineError
from modelwave_shared.limits import MAX_NAME

HELLO, WELCOME, DATA, LAST, ACK, RESET = KINDS = (1, 2, 3, 4, 5, 6)
FROM_GATEWAY = 0x80
GAP = b"\x01"
VERSION = 1  # an end that reads more versions goes on with the lower one of both
MAX_FRAMES = 16  # that an end may take at once

MAX_WIRE_BYTES = 256
HEAD = ">B2sBB"
HEAD_BYTES = 5
CRC_BYTES = 4
# Besides these: two zeros and the first byte of COBS.
MAX_PAYLOAD_BYTES = MAX_WIRE_BYTES - 3 - HEAD_BYTES - CRC_BYTES
MIN_BYTES = HEAD_BYTES + CRC_BYTES
NAME_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789-_"


def pack(kind: int, tag: bytes, seq: int, ack: int, payload: bytes) -> bytes:
    """Returns the frame as it stands on the wire; `payload`: at most MAX_PAYLOAD_BYTES."""
    data = struct.pack(HEAD, kind, tag, seq, ack) + payload
    data += struct.pack(">I", binascii.crc32(data))
    blocks = [b"%c%s" % (len(block) + 1, block) for block in data.split(b"\0")]
    return b"\0%s\0" % b"".join(blocks)


def unpack(data: bytes) -> "tuple[int, bytes, int, int, bytes] | None":
    """Returns (kind, tag, seq, ack, payload) of what stood between two zeros, or None if it is no
    frame."""
    if not MIN_BYTES < len(data) <= MAX_WIRE_BYTES - 2:
        return None
    blocks, at = [], 0
    while at < len(data):
        end = at + data[at]
        if not at < end <= len(data):
            return None
        blocks.append(data[at + 1 : end])
        at = end
    whole = b"\0".join(blocks)
    if len(whole) < MIN_BYTES:
        return None
    body = whole[:-CRC_BYTES]
    if binascii.crc32(body) != struct.unpack(">I", whole[-CRC_BYTES:])[0]:
        return None
    kind, tag, seq, ack = struct.unpack(HEAD, body[:HEAD_BYTES])
    return kind, tag, seq, ack, body[HEAD_BYTES:]


class Splitter:
    """Cuts what comes from a wire at its zeros."""

    def __init__(self) -> None:
        self.rest = b""  # since the last zero

    def feed(self, data: bytes) -> "list[bytes]":
        """Returns the pieces that `data` completes; some are empty. One that is too long to be a
        frame may come in several."""
        pieces = (self.rest + data).split(b"\0")
        self.rest = pieces.pop()
        if len(self.rest) >= MAX_WIRE_BYTES:
            pieces.append(self.rest)
            self.rest = b""
        return pieces

    def flush(self) -> bytes:
        """Returns what has come since the last zero."""
        rest, self.rest = self.rest, b""
        return rest


def session_tag(tag: bytes, drawn: bytes) -> bytes:
    """Returns the tag of the session of the board's `tag` and the 2 bytes that the gateway has
    `drawn`: if two gateways answer one HELLO, their sessions have different tags."""
    return bytes((tag[0] ^ drawn[0], tag[1] ^ drawn[1]))


def hello(frames: int, device: str) -> bytes:
    return struct.pack(">BB", VERSION, frames) + device.encode()


def welcome(frames: int, drawn: bytes, gateway: str) -> bytes:
    return struct.pack(">BB2s", VERSION, frames, drawn) + gateway.encode()


def read_hello(payload: bytes) -> "tuple[int, str]":
    """Returns (frames, device). Raises LineError."""
    if len(payload) < 2:
        raise LineError("hello", "%d bytes" % len(payload))
    return _frames(payload, "hello"), _name(payload[2:], "hello.device")


def read_welcome(payload: bytes) -> "tuple[int, bytes, str]":
    """Returns (frames, drawn, gateway). Raises LineError."""
    if len(payload) < 4:
        raise LineError("welcome", "%d bytes" % len(payload))
    return _frames(payload, "welcome"), payload[2:4], _name(payload[4:], "welcome.gateway")


def _frames(payload: bytes, where: str) -> int:
    version, frames = payload[0], payload[1]
    if not version:
        raise LineError(where + ".version", "0 is none")
    if not 1 <= frames <= MAX_FRAMES:
        raise LineError(where + ".frames", "%d, 1 to %d may be" % (frames, MAX_FRAMES))
    return frames


def _name(data: bytes, where: str) -> str:
    """As fields.name, without the modules that this needs."""
    if 1 <= len(data) <= MAX_NAME and not data.strip(NAME_LETTERS.encode()):
        name = data.decode()
        if name[0] not in "-_":
            return name
    raise LineError(where, "no name: 1 to %d characters of a-z 0-9 _ -" % MAX_NAME)
