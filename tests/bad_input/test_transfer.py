"""A file server that does what it must not, to a whole device with a real connection: the live
model stays and serves, the report has the reason, and once the server is right the update goes on.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from modelwave_agent.host.http import HostHttpFetcher
from tests import signing
from tests.agent.fakes import TOPIC, World, live, settled
from tests.agent.host_server import Request, answering, serving

OLD = signing.Release(1, b"old model " * 250)
NEW = signing.Release(2, b"new model " * 300)
TURNS = 10_000_000  # of the event loop: the network takes its time
Answer = Callable[[Request], Awaitable[None]]


class Hosted(World):
    """A device that downloads as a host does."""

    fetcher: HostHttpFetcher | None = None

    def boot(self) -> Any:
        agent, update = super().boot()
        if self.fetcher:
            update.ports.fetcher = self.fetcher
        return agent, update


def saying(status: str, *heads: str, change: Callable[[bytes], bytes] = bytes) -> Any:
    """Answers with this head, and what `change` makes of the file; LENGTH stands for its length."""

    def made(data: bytes) -> Answer:
        async def answer(request: Request) -> None:
            body = change(data)
            told = [head.replace("LENGTH", str(len(body))) for head in heads]
            request.head_of(status, *told)
            request.say(body)

        return answer

    return made


def changing(data: bytes) -> Answer:
    """Half of the file, and at the next request the rest of another one."""

    async def answer(request: Request) -> None:
        if request.offset:
            return await answering(bytes(len(data)))(request)
        request.head_of("200 OK", f"Content-Length: {len(data)}")
        request.say(data[: len(data) // 2])

    return answer


def garbage(_data: bytes) -> Answer:
    async def answer(request: Request) -> None:
        request.say(b"\x16\x03\x01 no HTTP\r\n\r\n")

    return answer


def redirected(place: str) -> Any:
    return saying("302 Found", f"Location: {place}", "Content-Length: 0", change=lambda _: b"")


LENGTH = "Content-Length: LENGTH"
SERVERS: dict[str, Callable[[bytes], Answer]] = {
    "one byte short": saying("200 OK", LENGTH, change=lambda data: data[:-1]),
    "one byte long": saying("200 OK", LENGTH, change=lambda data: data + b"x"),
    "other bytes": saying("200 OK", LENGTH, change=lambda data: data[::-1]),
    "empty": saying("200 OK", LENGTH, change=lambda _: b""),
    "206 of another range": saying("206 Partial Content", "Content-Range: bytes 1-2/9", LENGTH),
    "206 without a range": saying("206 Partial Content", LENGTH),
    "redirect to another host": redirected("http://127.0.0.2:1/x"),
    "redirect to a file": redirected("file:///etc/passwd"),
    "redirect to a metadata service": redirected("https://169.254.169.254/x"),
    "redirect to itself": redirected("/again"),
    "compressed": saying("200 OK", "Content-Encoding: gzip", LENGTH),
    "two lengths": saying("200 OK", LENGTH, "Content-Length: 1"),
    "404": saying("404 Not Found", LENGTH),
    "changed between two ranges": changing,
    "garbage": garbage,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVERS)
def test_bad_server_changes_nothing_of_a_device_and_the_right_one_is_taken_later(
    name: str, tmp_path: Path
) -> None:
    files = {f"/{sha256}": data for sha256, data in NEW.files.items()}
    is_right: list[bool] = []

    async def answer(request: Request) -> None:
        data = files.get(request.head.split(" ")[1], b"")
        await (answering(data) if is_right else SERVERS[name](data))(request)

    async def main() -> None:
        async with serving(answer) as port:
            world.fetcher = HostHttpFetcher(hosts=[f"127.0.0.1:{port}"])
            urls = [f"http://127.0.0.1:{port}"]
            world.retained[TOPIC] = signing.order(NEW, 2, urls=urls)
            world.reports.clear()
            assert await live(world, has_failed, turns=TURNS)
            assert served(world) == OLD.files[OLD.document["files"][0]["sha256"]]
            told = world.last_report()
            assert told["release"] == 1
            assert told["state"] in ("fetching", "clearing")
            assert told["reason"].startswith(("download: ", "flash: "))
            assert told["reason"].isprintable()
            is_right.append(True)
            assert await live(world, settled(world, 2), turns=TURNS)

    def has_failed(_: object) -> bool:
        return bool(world.reports) and world.last_report()["outcome"] == "FAILED"

    world = Hosted(tmp_path)
    world.files.update(OLD.files)
    world.retained[TOPIC] = signing.order(OLD, 1)
    assert asyncio.run(live(world, settled(world, 1)))
    asyncio.run(main())
    assert world.last_report()["release"] == 2
    assert world.faults == []


def served(world: World) -> bytes:
    """The model's file of the live bank."""
    record = world.durable()
    return Path(world.folder, f"{'ab'[record['live']]}.model").read_bytes()
