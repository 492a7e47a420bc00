"""Tests the file server: ranges, and that it serves only files by their sha256."""

import asyncio
import hashlib
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from modelwave_controller.errors import OperatorError
from modelwave_controller.service.files import FileServer, doubt
from modelwave_controller.service.vitals import Vitals

DATA = bytes(range(256)) * 5000
SHA256 = hashlib.sha256(DATA).hexdigest()

Ask = Callable[[aiohttp.ClientSession, str], Coroutine[Any, Any, Any]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / SHA256).write_bytes(DATA)
    (tmp_path / "order.key").write_text("secret")
    (tmp_path / "files" / "order.key").write_text("secret")
    return tmp_path / "files"


def serve(folder: Path, ask: Ask) -> Any:
    async def run() -> Any:
        server = FileServer(folder, Vitals())
        url = await server.start("127.0.0.1", 0)
        try:
            async with aiohttp.ClientSession(auto_decompress=False) as session:
                return await ask(session, url)
        finally:
            await server.stop()

    return asyncio.run(run())


def get(folder: Path, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    async def ask(session: aiohttp.ClientSession, url: str) -> tuple[int, dict[str, str], bytes]:
        async with session.get(url + path, headers=headers) as answer:
            return answer.status, dict(answer.headers), await answer.read()

    found: tuple[int, dict[str, str], bytes] = serve(folder, ask)
    return found


def test_a_file_is_at_its_sha256_and_may_be_cached_for_ever(folder: Path) -> None:
    status, headers, body = get(folder, f"/{SHA256}")
    assert (status, body) == (200, DATA)
    assert "immutable" in headers["Cache-Control"]
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("bytes=0-9", DATA[:10]),
        ("bytes=1000000-", DATA[1000000:]),
        ("bytes=-7", DATA[-7:]),
        ("bytes=1279999-2000000", DATA[-1:]),
    ],
)
def test_a_range_is_answered_with_206_and_just_that(
    folder: Path, wanted: str, expected: bytes
) -> None:
    status, headers, body = get(folder, f"/{SHA256}", Range=wanted)
    assert (status, body) == (206, expected)
    assert headers["Content-Range"].endswith(f"/{len(DATA)}")


@pytest.mark.parametrize("wanted", ["bytes=1280000-", "bytes=9-3", "bytes=x-y"])
def test_a_range_that_is_none_is_refused(folder: Path, wanted: str) -> None:
    assert get(folder, f"/{SHA256}", Range=wanted)[0] == 416


def test_head_tells_the_size_without_the_body(folder: Path) -> None:
    async def ask(session: aiohttp.ClientSession, url: str) -> tuple[int, str, bytes]:
        async with session.head(f"{url}/{SHA256}") as answer:
            return answer.status, answer.headers["Content-Length"], await answer.read()

    assert serve(folder, ask) == (200, str(len(DATA)), b"")


def test_nothing_is_compressed_on_the_way_though_the_client_would_take_it(folder: Path) -> None:
    _, headers, body = get(folder, f"/{SHA256}", **{"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in headers
    assert body == DATA


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/order.key",
        "/../order.key",
        "/%2e%2e/order.key",
        f"/{SHA256.upper()}",
        f"/{SHA256}.part",
        f"/{SHA256[:-1]}",
        f"/{SHA256}/",
        f"/{'0' * 64}",
        "/" + "a" * 5000,
        f"/{SHA256}%00",
    ],
)
def test_a_name_that_is_no_sha256_or_not_here_is_not_found(folder: Path, path: str) -> None:
    async def ask(session: aiohttp.ClientSession, url: str) -> tuple[int, bytes]:
        from yarl import URL

        async with session.get(URL(url + path, encoded=True)) as answer:
            return answer.status, await answer.read()

    status, body = serve(folder, ask)
    assert status == 404
    assert b"secret" not in body


def test_a_folder_or_a_broken_link_named_as_a_sha256_is_not_found(folder: Path) -> None:
    (folder / ("1" * 64)).mkdir()
    (folder / ("2" * 64)).symlink_to(folder / "nowhere")
    assert get(folder, "/" + "1" * 64)[0] == 404
    assert get(folder, "/" + "2" * 64)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed(folder: Path, method: str) -> None:
    async def ask(session: aiohttp.ClientSession, url: str) -> int:
        async with session.request(method, f"{url}/{SHA256}", data=b"x" * 2**20) as answer:
            return answer.status

    assert serve(folder, ask) == 405
    assert (folder / SHA256).read_bytes() == DATA


def test_healthz_says_that_it_runs(folder: Path) -> None:
    async def ask(session: aiohttp.ClientSession, url: str) -> int:
        async with session.get(url.removesuffix("/files") + "/healthz") as answer:
            return answer.status

    assert serve(folder, ask) == 200


def test_an_address_that_is_taken_is_one_clear_error(folder: Path) -> None:
    async def run(port: int) -> None:
        await FileServer(folder, Vitals()).start("127.0.0.1", port)

    taken = socket.create_server(("127.0.0.1", 0))
    with taken, pytest.raises(OperatorError, match=r"files\.listen: cannot listen on 127"):
        asyncio.run(run(taken.getsockname()[1]))


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "[0:0::0]", "0", "0.0"])
def test_an_address_that_no_device_can_use_is_refused(host: str) -> None:
    with pytest.raises(OperatorError, match=r"files\.urls: devices cannot download from"):
        doubt([f"http://{host}:8180/files"], "broker.example")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.1"])
@pytest.mark.parametrize("broker", ["broker.example", "192.0.2.1", "é.example"])
def test_loopback_is_doubted_where_the_broker_is_elsewhere(host: str, broker: str) -> None:
    assert "is the device itself" in doubt([f"http://{host}:8180/files"], broker)


@pytest.mark.parametrize(
    ("urls", "broker"),
    [
        (["http://127.0.0.1:8180/files"], "localhost"),
        (["http://127.0.0.1:8180/files"], "127.0.0.1"),
        (["http://files.example/files"], "broker.example"),
        (["http://192.0.2.1:8180/files"], "localhost"),
        (["http://127.0.0.1:8180/files", "http://192.0.2.1/files"], "192.0.2.1"),
    ],
)
def test_an_address_that_devices_may_reach_is_not_doubted(urls: list[str], broker: str) -> None:
    assert doubt(urls, broker) == ""
