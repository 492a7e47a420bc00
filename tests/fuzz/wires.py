"""What comes over the wire between a board and its gateway."""

import zlib
from typing import Any

from modelwave_agent.line import GATEWAY, Line
from modelwave_shared import line_frames as frames
from modelwave_shared import line_messages as messages
from modelwave_shared.errors import LineError
from modelwave_shared.line_frames import ACK, DATA, FROM_GATEWAY, HELLO, LAST, RESET, WELCOME
from modelwave_shared.line_messages import FROM_BOARD, MAX_MESSAGE_BYTES, MAX_TOPICS
from modelwave_shared.line_messages import FROM_GATEWAY as TO_BOARD
from tests.fuzz.judging import require_plain

TAG = b"ab"
FEW_BYTES = 16  # a HELLO with a name


def frame(data: bytes) -> bool:
    """A second reader of COBS and of its checksum has the same verdict on each piece, and however
    the bytes come, the pieces are the same."""
    whole, single = frames.Splitter(), frames.Splitter()
    pieces = [*whole.feed(data), whole.flush()]
    if all(len(piece) < frames.MAX_WIRE_BYTES for piece in pieces):
        by_byte = [piece for at in range(len(data)) for piece in single.feed(data[at : at + 1])]
        assert [*by_byte, single.flush()] == pieces
    taken = False
    for piece in pieces:
        found = frames.unpack(piece)
        assert (found is not None) == _is_frame(piece)
        if found:
            assert frames.pack(*found) == b"\0%s\0" % piece
            taken = True
    return taken


def _is_frame(piece: bytes) -> bool:
    if len(piece) > frames.MAX_WIRE_BYTES - 2 or not piece:
        return False
    decoded, left, is_first = bytearray(), 0, True
    for byte in piece:
        if left:
            left -= 1
            decoded.append(byte)
            continue
        if not byte:
            return False
        if not is_first:
            decoded.append(0)
        left, is_first = byte - 1, False
    body, crc = decoded[:-4], decoded[-4:]
    return not left and len(body) >= frames.HEAD_BYTES and zlib.crc32(body).to_bytes(4) == crc


def message(data: bytes) -> bool:
    """What is taken is written again as the same bytes."""
    taken = False
    for allowed in (FROM_BOARD, TO_BOARD):
        try:
            kind, values = messages.unpack(data, allowed)
        except LineError as error:
            require_plain(str(error))
            continue
        assert messages.pack(kind, *values) == data
        for value in values:
            assert len(value) <= MAX_TOPICS if isinstance(value, list) else True
        taken = True
    return taken


class _Clock:
    """The part of a clock that a line asks for without waiting."""

    def now(self) -> float:
        return 0.0


def session(data: bytes) -> bool:
    """Both ends of a line get any frames in any order: nothing is raised, and memory is bounded.
    A message is taken if one has come whole. Of a payload the input has a few bytes, which are
    repeated."""
    taken = False
    for side in (0, GATEWAY):
        end = _met(side)
        at = 0
        while at + 4 <= len(data):
            head, number, ack, size = data[at : at + 4]
            few = data[at + 4 : at + 4 + min(size, FEW_BYTES)]
            payload = (few * size)[: min(size, frames.MAX_PAYLOAD_BYTES)]
            at += 4 + len(few)
            tag = TAG if head & 8 else b"\1\1"
            end._take(head & 7 | (FROM_GATEWAY - side), tag, number, ack, payload)
            taken = _look(end, head) or taken
    return taken


def _met(side: int) -> Line:
    """An end whose session is to begin with the tag TAG."""
    end = Line(None, _Clock(), 115200, frames=4)  # type: ignore[arg-type]
    end._side = side
    if side == GATEWAY:
        end._own_name = "gw-1"
    else:
        end._own_tag = TAG
    return end


def _look(end: Line, head: int) -> bool:
    """Checks what the line holds, and does what its users do; returns whether a message came."""
    if end._meeting:  # its random part would make the tag of the session another in each run
        end._meeting.session = TAG
    found = False
    state = end._session
    if state:
        receiver, sender = state.receiver, state.sender
        assert receiver.size <= MAX_MESSAGE_BYTES
        assert len(receiver.parts) <= MAX_MESSAGE_BYTES
        assert len(sender.window) <= sender.most
        if head & 16 and receiver.inbox:
            message, _ = receiver.pop()
            assert len(message) <= MAX_MESSAGE_BYTES
            found = True
        if head & 32 and sender.message is None:
            sender.offer(bytes(500))
    for _ in range(frames.MAX_FRAMES):
        sent = end._next(state)
        if sent is None:
            break
        assert frames.unpack(sent[1:-1]) is not None
    return found


def frame_seeds() -> list[bytes]:
    hello = frames.pack(HELLO, TAG, 0, 0, frames.hello(2, "pico-1"))
    welcome = frames.pack(WELCOME | FROM_GATEWAY, TAG, 0, 0, frames.welcome(2, b"\0\1", "gw-1"))
    data = frames.pack(LAST, TAG, 3, 4, bytes(range(240)))
    return [hello, welcome + b"console\r\n" + data, frames.pack(ACK, TAG, 0, 1, b"")]


def message_seeds() -> list[bytes]:
    samples: dict[int, tuple[Any, ...]] = {
        messages.CONNECT: ("a/b", b"offline"),
        messages.SUBSCRIBE: (1, ["a/b", "c/#"]),
        messages.PUBLISH: (1, 1, "a", b"x"),
        messages.FETCH: (1, bytes(32), 5, 0, "http://h/f"),
        messages.STOP: (1,),
        messages.CLOSE: (),
        messages.ANSWER: (1, "no", ["a"]),
        messages.MESSAGE: ("a", b"x"),
        messages.PIECE: (1, 0, b"data"),
        messages.FETCHED: (1, 60, "gone"),
        messages.GONE: ("lost",),
    }
    return [messages.pack(kind, *values) for kind, values in samples.items()]


def session_seeds() -> list[bytes]:
    def one(kind: int, number: int, ack: int, payload: bytes = b"", flags: int = 8) -> bytes:
        return bytes((kind | flags, number, ack, len(payload))) + payload

    both = one(HELLO, 0, 0, frames.hello(2, "pico-1"))
    both += one(WELCOME, 0, 0, frames.welcome(2, b"\0\0", "gw-1"))
    endless = b"".join(bytes((DATA | 8, number, 0, 244)) + b"x" * FEW_BYTES for number in range(80))
    whole = one(DATA, 0, 0, b"some") + one(LAST, 1, 0, b"more", 8 | 16)
    sent = one(ACK, 0, 0, b"", 8 | 32) + one(ACK, 0, 2) + one(ACK, 0, 1, frames.GAP)
    return [
        both + whole,
        both + whole + both + endless,
        both + whole + sent + one(RESET, 0, 0) + both,
    ]
