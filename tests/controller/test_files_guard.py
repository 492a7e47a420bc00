"""Tests that strangers cannot hold up the file server: half requests, answers that nobody reads,
too many connections, and requests that are written into the log."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from modelwave_controller.connections import Bounds
from modelwave_controller.service import guard
from modelwave_controller.service.files import FileServer
from modelwave_controller.service.vitals import Vitals

LARGE = "a" * 64
LARGE_BYTES = 64 * 1024 * 1024  # more than the sockets hold
ROOMY = Bounds(all=100, by_address=100, waiting_by_address=100)

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Place:
    """A file server that runs; `raw` opens a connection that says what the test wants."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._writers: list[asyncio.StreamWriter] = []

    async def raw(self, said: bytes) -> Stream:
        parts = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1024)
        self._writers.append(writer)
        writer.write(said)
        return reader, writer

    async def healthy(self) -> bool:
        health = self.url.removesuffix("/files") + "/healthz"
        async with aiohttp.ClientSession() as session, session.get(health) as answer:
            return answer.status == 200

    async def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)


def serve(
    folder: Path, ask: Callable[[Place], Coroutine[Any, Any, None]], bounds: Bounds = ROOMY
) -> None:
    (folder / LARGE).touch()
    with (folder / LARGE).open("r+b") as file:
        file.truncate(LARGE_BYTES)

    async def run() -> None:
        server = FileServer(folder, Vitals(), bounds)
        place = Place(await server.start("127.0.0.1", 0))
        try:
            await asyncio.wait_for(ask(place), 20)
        finally:
            await place.close()
            await server.stop()

    asyncio.run(run())


async def rest_of(stream: Stream) -> bytes:
    """What the server sends until it ends the connection."""
    found = bytearray()
    try:
        while piece := await stream[0].read(2**20):
            found += piece
    except ConnectionError:
        pass
    return bytes(found)


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def test_complete_request_is_answered_however_many_are_half_sent(tmp_path: Path) -> None:
    async def ask(place: Place) -> None:
        half = [await place.raw(b"GET /healthz HTTP/1.1\r\nHost:") for _ in range(40)]
        assert await place.healthy()
        assert await rest_of(half[0]) == b""

    serve(tmp_path, ask, Bounds(all=20, by_address=20, waiting_by_address=10))


@pytest.mark.parametrize(
    "said", [b"", b"GET /healthz HTTP/1.1\r\nHost:", b"POST /healthz HTTP/1.1\r\nContent-Length:"]
)
def test_request_that_is_not_completed_is_ended_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(guard, "REQUEST_SECONDS", 0.05)

    async def ask(place: Place) -> None:
        assert await rest_of(await place.raw(said)) == b""

    serve(tmp_path, ask)


def test_connection_that_was_answered_waits_no_longer_for_another_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "REQUEST_SECONDS", 0.05)

    async def ask(place: Place) -> None:
        answer = await rest_of(await place.raw(get("/healthz") + b"GET /h"))
        assert answer.startswith(b"HTTP/1.1 200 OK")

    serve(tmp_path, ask)


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Is set whenever a connection has given its place back."""
    event = asyncio.Event()
    original = guard.Guard.left

    def leave(*arguments: Any) -> None:
        original(*arguments)
        event.set()

    monkeypatch.setattr(guard.Guard, "left", leave)
    return event


def test_answer_may_take_the_time_of_the_least_rate() -> None:
    assert guard.longest_seconds(0) == 300
    assert guard.longest_seconds(20_000_000) == 300 + 20_000


def test_answer_that_nobody_reads_is_ended_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: asyncio.Event
) -> None:
    monkeypatch.setattr("modelwave_controller.service.files.longest_seconds", lambda _size: 0.05)

    async def ask(place: Place) -> None:
        stream = await place.raw(get(f"/files/{LARGE}"))
        await left.wait()
        assert len(await rest_of(stream)) < LARGE_BYTES

    serve(tmp_path, ask)


def test_connection_without_a_place_is_told_to_come_later(
    tmp_path: Path, left: asyncio.Event
) -> None:
    async def ask(place: Place) -> None:
        downloading = await place.raw(get(f"/files/{LARGE}"))
        await downloading[0].read(10)
        answer = await rest_of(await place.raw(b""))
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: " in answer
        left.clear()
        downloading[1].transport.abort()
        await left.wait()
        assert await place.healthy()

    serve(tmp_path, ask, Bounds(all=1, by_address=1, waiting_by_address=1))


def test_bad_requests_do_not_fill_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def ask(place: Place) -> None:
        for _ in range(40):
            answer = await rest_of(await place.raw(b"GET / HTTP/1.1\r\nbad header\r\n\r\n"))
            assert answer.startswith(b"HTTP/1.0 400") or answer.startswith(b"HTTP/1.1 400")

    serve(tmp_path, ask)
    assert len(caplog.records) <= 20
