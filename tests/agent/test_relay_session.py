"""One board's session at a gateway, and what a hostile board or broker can do to it: session.py."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from modelwave_agent.host.clock import HostClock
from modelwave_agent.host.http import HostHttpFetcher, Sink
from modelwave_agent.host.relay.board_log import BoardLog
from modelwave_agent.host.relay.session import Allowances, BoardSession, Served
from modelwave_agent.host.relay.store import FileStore
from modelwave_agent.host.relay.topics_of import MAX_SUBSCRIPTIONS
from modelwave_agent.ports import LinkLost
from modelwave_shared import line_messages as messages
from modelwave_shared import topics
from modelwave_shared.limits import MAX_REPORT_BYTES
from tests import signing
from tests.agent.relay_fakes import DATA, PRESENCE, SHA, Broker, QuickClock, Server, Wire

SECONDS = 20
URL = f"http://files.test/{SHA}"
REPORTED = topics.reported("demo", "pico-1")
ALL = topics.desired_all("demo", "rp2040", "digits")


class World:
    def __init__(self, folder: Path, clock: Any = None, http: Any = None) -> None:
        self.wire, self.broker, self.server = Wire(), Broker(), Server()
        clock = clock or HostClock()
        self.served = Served(
            "demo",
            "pico-1",
            self.broker,
            FileStore(folder / "files", 100_000),
            http or self.server,
            Allowances(clock),
            BoardLog("pico-1", clock),
            clock,
        )
        self.session = BoardSession(self.wire, self.served)
        self.running = asyncio.create_task(self.session.run())

    async def ends(self, why: str) -> None:
        with pytest.raises(LinkLost, match=why):
            await self.running
        assert self.broker.did[-1] == ("drop",)


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(SECONDS):
            await main()

    asyncio.run(limited())


def test_what_the_board_asks_for_is_done_in_its_name(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(tmp_path)
        assert await world.wire.connect() == [0, "", []]
        assert world.session.is_connected
        assert await world.wire.asks(messages.SUBSCRIBE, 1, [ALL]) == [1, "", []]
        assert await world.wire.asks(messages.PUBLISH, 2, 1, REPORTED, b"{}") == [2, "", []]
        world.broker.sends.put_nowait((ALL, b"order"))
        assert await world.wire.told.get() == (messages.MESSAGE, [ALL, b"order"])
        assert world.broker.did == [
            ("connect", PRESENCE, b"offline"),
            ("subscribe", ALL),
            ("publish", REPORTED, b"{}", True),
        ]
        world.wire.said.put_nowait(None)
        await world.ends("unplugged")

    run(main)


def test_board_that_closes_leaves_no_will(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(tmp_path)
        await world.wire.connect()
        world.wire.say(messages.CLOSE)
        await world.wire.connect()
        assert ("close",) in world.broker.did
        world.running.cancel()

    run(main)


def test_broker_that_refuses_or_goes_is_told_and_another_address_tried(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(tmp_path)
        world.broker.refuses = "not authorised"
        assert await world.wire.connect() == [0, "not authorised", []]
        world.broker.refuses = ""
        await world.wire.connect()
        world.broker.sends.put_nowait(LinkLost("it has gone"))
        assert await world.wire.told.get() == (messages.GONE, ["it has gone"])
        assert world.broker.did.count(("turn",)) == 2
        assert not world.session.is_connected
        world.running.cancel()

    run(main)


def test_board_speaks_for_no_other(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(tmp_path)
        wire = world.wire
        other = topics.presence("demo", "pico-2")
        answer = await wire.asks(messages.CONNECT, other, b"offline")
        assert "not this board's" in answer[1]
        await wire.connect()
        for topic in (other, topics.reported("demo", "pico-2"), "modelwave/1/other/reported/x"):
            answer = await wire.asks(messages.PUBLISH, 1, 1, topic, b"online")
            assert answer == [1, "this board may not publish there", []]
        heard = [topics.heartbeat("demo", "pico-2"), "#", "modelwave/1/demo/+/+", ALL]
        assert await wire.asks(messages.SUBSCRIBE, 2, heard) == [2, "", heard[:3]]
        assert world.broker.did == [("connect", PRESENCE, b"offline"), ("subscribe", ALL)]
        world.running.cancel()

    run(main)


def test_number_of_subscriptions_is_bounded(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(tmp_path)
        await world.wire.connect()
        asked = [topics.root("demo", n) for n in range(MAX_SUBSCRIPTIONS + 30)]
        denied = []
        for start in range(0, len(asked), 60):
            answer = await world.wire.asks(messages.SUBSCRIBE, 1, asked[start : start + 60])
            denied += answer[2]
        assert len(asked) - len(denied) <= MAX_SUBSCRIPTIONS
        assert asked[0] not in denied
        world.running.cancel()

    run(main)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x00",
        b"\xff" * 100,
        messages.pack(messages.ANSWER, 1, "", []),
        messages.pack(messages.MESSAGE, ALL, b"order"),
        messages.pack(messages.PUBLISH, 1, 1, REPORTED, b"")[:-1],
        b"\x03\x01\x01" + bytes([len(REPORTED)]) + REPORTED.encode() + bytes(MAX_REPORT_BYTES + 1),
    ],
)
def test_what_is_no_message_ends_the_session(tmp_path: Path, message: bytes) -> None:
    async def main() -> None:
        world = World(tmp_path)
        await world.wire.connect()
        world.wire.said.put_nowait(message)
        await world.ends(".")

    run(main)


def test_flood_is_done_no_faster_than_allowed(tmp_path: Path) -> None:
    """Nothing of it is lost: the board has to wait."""

    async def main() -> None:
        clock = QuickClock()
        world = World(tmp_path, clock)
        await world.wire.connect()
        start = clock.now()
        for _ in range(1000):
            assert await world.wire.asks(messages.PUBLISH, 1, 1, REPORTED, b"x") == [1, "", []]
        assert clock.now() - start > 150
        world.running.cancel()

    run(main)


def test_little_of_a_flood_is_held_in_memory(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(tmp_path)
        await world.wire.connect()
        world.wire.is_read.clear()
        for _ in range(1000):
            world.wire.say(messages.PUBLISH, 1, 1, REPORTED, bytes(1000))
        for _ in range(2000):
            await asyncio.sleep(0)
        assert world.wire.said.qsize() > 980  # the line keeps them from the board
        world.running.cancel()

    run(main)


def test_broker_sends_only_what_was_asked_for_and_nothing_huge(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(tmp_path)
        await world.wire.connect()
        await world.wire.asks(messages.SUBSCRIBE, 1, [ALL])
        for topic in (topics.desired_all("demo", "rp2040", "other"), REPORTED, "x" * 60_000):
            world.broker.sends.put_nowait((topic, b"of another"))
        world.broker.sends.put_nowait((ALL, bytes(messages.MAX_ORDER_BYTES + 1)))
        longest = bytes(messages.MAX_ORDER_BYTES)
        world.broker.sends.put_nowait((ALL, longest))
        assert await world.wire.told.get() == (messages.MESSAGE, [ALL, longest])
        world.running.cancel()

    run(main)


# Files.


def test_file_is_sent_from_the_offset_on(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(tmp_path)
        world.wire.say(messages.FETCH, 1, bytes.fromhex(SHA), len(DATA), 0, URL)
        assert await world.wire.fetched() == (DATA, "")
        world.wire.say(messages.FETCH, 1, bytes.fromhex(SHA), len(DATA), 4990, URL)
        kind, values = await world.wire.told.get()
        assert (kind, values) == (messages.PIECE, [1, 4990, DATA[4990:]])
        assert await world.wire.told.get() == (messages.FETCHED, [1, 0, ""])
        assert world.server.asked == [URL]
        world.running.cancel()

    run(main)


def test_file_without_url_comes_in_blocks_over_the_boards_connection(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(tmp_path)
        world.broker.files[SHA] = DATA
        world.wire.say(messages.FETCH, 1, bytes.fromhex(SHA), len(DATA), 0, "")
        world.broker.refuses = "no connection"
        _, problem = await world.wire.fetched()
        assert problem == "not connected to the broker: no connection"
        world.broker.refuses = ""
        await world.wire.connect()
        world.wire.say(messages.FETCH, 1, bytes.fromhex(SHA), len(DATA), 0, "")
        assert await world.wire.fetched() == (DATA, "")
        assert world.server.asked == []
        world.running.cancel()

    run(main)


@pytest.mark.parametrize(
    ("size", "offset", "url", "told"),
    [
        (len(DATA), 0, "http://files.test/other", "the URL does not end with the file's sha256"),
        (len(DATA), 0, f"file:///etc/{SHA}", "the URL is not an http or https URL"),
        (len(DATA), 0, f"ftp://files.test/{SHA}", "the URL is not an http or https URL"),
        (len(DATA), 0, f"http://files.test/delete?all=/{SHA}", "URL as an order has it"),
        (len(DATA), 0, f"http://files.test/delete#/{SHA}", "URL as an order has it"),
        (len(DATA), 0, f"http://me@files.test/{SHA}", "URL as an order has it"),
        (len(DATA), 0, f"http://other.test/{SHA}", "[files] in relay.toml"),
        (len(DATA), 0, f"http://files.test:22/{SHA}", "[files] in relay.toml"),
        (len(DATA), 0, f"http://127.0.0.1/{SHA}", "[files] in relay.toml"),
        (2**31 - 1, 0, URL, "raise keep_bytes"),
        (len(DATA), len(DATA) + 1, URL, "there is no byte 5001"),
    ],
)
def test_gateway_fetches_nothing_else_for_a_board(
    tmp_path: Path, size: int, offset: int, url: str, told: str
) -> None:
    async def main() -> None:
        http = HostHttpFetcher(hosts=["files.test"], settings="[files] in relay.toml")
        world = World(tmp_path, http=http)
        world.wire.say(messages.FETCH, 1, bytes.fromhex(SHA), size, offset, url)
        data, problem = await world.wire.fetched()
        assert data == b""
        assert told in problem
        world.running.cancel()

    run(main)


def test_wrong_bytes_are_told_to_the_board(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(tmp_path)
        wrong = signing.sha(b"other")
        url = f"http://files.test/{wrong}"
        world.wire.say(messages.FETCH, 1, bytes.fromhex(wrong), len(DATA), 0, url)
        assert await world.wire.fetched() == (b"", "its sha256 is not the one that was signed")
        world.running.cancel()

    run(main)


def test_million_digests_are_refused_but_for_two(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(tmp_path)
        gate = asyncio.Event()

        async def slow(url: str, intake: Sink) -> None:
            await gate.wait()

        world.server.fetch = slow  # type: ignore[method-assign]
        told = []
        for number in range(200):
            sha = signing.sha(bytes([number]))
            asked = (bytes.fromhex(sha), 10, 0, f"http://files.test/{sha}")
            world.wire.say(messages.FETCH, number + 1, *asked)
        for _ in range(198):
            told.append((await world.wire.told.get())[1][2])
        assert set(told) == {"the board asks for too many files at once"}
        assert len(list((tmp_path / "files").iterdir())) <= 2
        gate.set()
        world.running.cancel()

    run(main)


def test_one_after_the_other_they_are_asked_for_no_faster_than_allowed(tmp_path: Path) -> None:
    async def main() -> None:
        clock = QuickClock()
        world = World(tmp_path, clock)
        for number in range(120):
            sha = signing.sha(bytes([number]))
            asked = (bytes.fromhex(sha), 10, 0, f"http://files.test/{sha}")
            world.wire.say(messages.FETCH, 1, *asked)
            assert (await world.wire.fetched())[1] == "more than the 10 bytes signed"
        assert len(world.server.asked) == 120
        assert clock.now() > 95
        assert list((tmp_path / "files").iterdir()) == []
        world.running.cancel()

    run(main)


def test_stop_ends_a_download(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(tmp_path)
        world.wire.is_read.clear()
        world.wire.say(messages.FETCH, 1, bytes.fromhex(SHA), len(DATA), 0, URL)
        await world.server.was_asked.wait()
        world.wire.say(messages.STOP, 1)
        world.wire.is_read.set()
        world.wire.say(messages.FETCH, 2, bytes.fromhex(SHA), len(DATA), 4999, URL)
        assert await world.wire.told.get() == (messages.PIECE, [2, 4999, DATA[4999:]])
        world.running.cancel()

    run(main)
