"""Answers of file servers, as hosts and boards read them, and the blocks that come over MQTT."""

import contextlib
import http.client
import io
import struct
from collections.abc import Iterator
from typing import Any

from modelwave_agent.block_fetcher import BlockFetcher
from modelwave_agent.board import http as board_http
from modelwave_agent.host import answer
from modelwave_agent.host import http as host_http
from modelwave_agent.intake import TooLong
from modelwave_agent.ports import FetchError
from modelwave_controller.service.blocks import Requests, logger
from modelwave_shared import blocks
from modelwave_shared.blocks import BLOCK_BYTES, HEAD_BYTES, MAX_BLOCKS
from modelwave_shared.limits import MAX_BYTES
from tests.fuzz.judging import require_line, run

OFFSET, WANTED = 100, 3000
BODY = bytes(range(250)) * 12
SHA256 = bytes(range(32))


class _Intake:
    """An Intake in memory, of a file of which there is something already."""

    def __init__(self, offset: int = OFFSET, wanted: int = WANTED) -> None:
        self.offset, self.wanted, self.sha256 = offset, wanted, SHA256.hex()
        self.data = b""

    def write(self, data: Any) -> None:
        if self.offset + len(data) > self.wanted:
            raise TooLong(f"more than the {self.wanted} bytes signed")
        self.data += bytes(data)
        self.offset += len(data)


def host(data: bytes) -> bool:
    """http.client reads the same status and the same body, if it reads it at all."""
    stream = io.BufferedReader(io.BytesIO(data))  # type: ignore[arg-type]
    try:
        head = answer.read_head(stream)
        skip, left = host_http._agreed(head, OFFSET, WANTED)
        body = _body(answer.body_of(head, stream), left)
    except FetchError as error:
        require_line(error)
        return False
    assert head.status in (200, 206)
    assert 0 <= skip <= OFFSET
    assert 0 < left <= WANTED
    theirs = _by_client(data, left)
    if theirs and theirs[0] >= 200:  # of interim answers it passes over 100 alone
        assert theirs == (head.status, body)
    return True


def _body(body: answer.Body, most: int) -> bytes:
    found = b""
    while len(found) < most:
        piece = body.read(min(1000, most - len(found)))
        if not piece:
            break
        found += piece
    return found


class _Socket:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def _by_client(data: bytes, most: int) -> tuple[int, bytes] | None:
    with contextlib.suppress(http.client.HTTPException, ValueError, OSError):
        found = http.client.HTTPResponse(_Socket(data))  # type: ignore[arg-type]
        found.begin()
        encoding = found.getheader("Transfer-Encoding", "")
        if encoding == encoding.strip(" \t"):  # it leaves spaces there, and knows none with them
            return found.status, found.read(most)
    return None


class _Stream:
    """The part of a board's stream that a head is read with."""

    def __init__(self, data: bytes) -> None:
        self.file = io.BytesIO(data)

    async def readinto(self, buffer: memoryview) -> int:
        return self.file.readinto(buffer)

    def write(self, data: bytes) -> None: ...

    async def drain(self) -> None: ...


def board(data: bytes) -> bool:
    """What a board takes for the head of a good answer, a host takes too, and with it as many
    bytes."""
    intake, stream = _Intake(), _Stream(data)
    buffer = memoryview(bytearray(board_http.BUFFER_BYTES))
    try:
        size = run(board_http._ask(stream, "GET", buffer, intake))  # type: ignore[arg-type]
    except FetchError as error:
        require_line(error)
        return False
    assert size in (WANTED, *range(WANTED - OFFSET + 1))
    with contextlib.suppress(FetchError):  # a host is stricter with the form
        head = answer.read_head(io.BufferedReader(io.BytesIO(data)))  # type: ignore[arg-type]
        _, left = host_http._agreed(head, OFFSET, WANTED)
        if not head.is_chunked():
            assert size == left
    return True


def request(data: bytes) -> bool:
    """A request for blocks, as the service reads it: what is taken is written again the same."""
    waiting = Requests("demo")
    with _quiet():
        waiting.put("modelwave/1/demo/file/pi-1/get", data)
    found = waiting.take()
    if found is None:
        assert waiting.counts["bad"] == 1
        return False
    device, job = found
    assert device == "pi-1"
    assert 1 <= job.count <= MAX_BLOCKS
    assert job.offset <= MAX_BYTES
    assert blocks.request(job.sha256, job.offset, job.count) == data
    return True


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """It logs each first problem, and here each is the first."""
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = False


_PIECE = struct.Struct(">BH")


def block(data: bytes) -> bool:
    """Blocks in any order, doubled, cut and of other files: only bytes of the file are written,
    each at its place."""
    intake = _Intake(0, 2 * BLOCK_BYTES + 100)
    whole = (BODY * 2)[: intake.wanted]
    fetcher = BlockFetcher(None, "demo", "pi-1", None)  # type: ignore[arg-type]
    fetcher.intake = intake  # type: ignore[assignment]
    at = 0
    while at + _PIECE.size <= len(data):
        kind, number = _PIECE.unpack_from(data, at)
        at += _PIECE.size
        offset = (kind & 3) * BLOCK_BYTES + (number if kind & 128 else 0)
        payload = blocks.head(SHA256 if kind & 64 else bytes(32), offset)
        honest = whole[offset : offset + BLOCK_BYTES]
        if kind & 32:
            raw, at = data[at : at + number % 64], at + number % 64
            payload = payload[: number % (HEAD_BYTES + 1)] + raw
            if payload.startswith(blocks.head(SHA256, intake.offset)):
                continue  # other bytes at the right place: the hash of the file finds them
        else:
            payload += honest[: number if kind & 16 else BLOCK_BYTES]
        fetcher.take(payload)
        assert whole.startswith(intake.data)
        assert len(intake.data) == intake.offset
    return intake.offset == intake.wanted


def _answer(status: int, *fields: str, body: bytes = BODY) -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status} OK", *fields, "", "")).encode() + body


def host_seeds() -> list[bytes]:
    rest = BODY[OFFSET:WANTED]
    chunked = b"800\r\n%s\r\n354;x=y\r\n%s\r\n0\r\n\r\n" % (rest[:2048], rest[2048:])
    rested = f"Content-Range: bytes {OFFSET}-{WANTED - 1}/{WANTED}"
    early = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    return [
        _answer(200, f"Content-Length: {WANTED}"),
        early + _answer(206, rested, f"Content-Length: {len(rest)}", body=rest),
        _answer(206, rested, "Transfer-Encoding: chunked", body=chunked),
    ]


def board_seeds() -> list[bytes]:
    rest = f"Content-Range: bytes {OFFSET}-{WANTED - 1}/*"
    return [
        _answer(200, f"Content-Length: {WANTED}", body=b""),
        _answer(206, rest, f"Content-Length: {WANTED - OFFSET}", "Retry-After: 5", body=b""),
        _answer(200, "Content-Encoding: identity", body=b""),
    ]


def request_seeds() -> list[bytes]:
    return [blocks.request(SHA256, 0, 1), blocks.request(SHA256, 2**31 - 1, 16)]


def block_seeds() -> list[bytes]:
    three = [_PIECE.pack(64 | number, 0) for number in range(3)]
    return [b"".join(three), b"".join((three[1], three[0], three[0], three[1], three[2]))]
