"""Tests of a board's link and fetcher over a line to a gateway."""

import asyncio
import binascii
import hashlib

from modelwave_agent.board.serial_fetcher import SerialFetcher
from modelwave_agent.board.serial_link import SerialLink
from modelwave_agent.ports import FetchError, LinkLost
from modelwave_shared import line_messages as messages
from tests.core.line_gateway import Broker, Gateway
from tests.core.line_world import Time, wire

DATA = bytes(i * 7 % 251 for i in range(5_000))
SHA256 = hashlib.sha256(DATA).digest()
URL = "http://files.example/" + binascii.hexlify(SHA256).decode()


class Intake:
    def __init__(self, held=b"", wanted=len(DATA)):
        self.data = held
        self.wanted = wanted
        self.sha256 = binascii.hexlify(SHA256).decode()

    @property
    def offset(self):
        return len(self.data)

    def write(self, data):
        if self.offset + len(data) > self.wanted:
            raise OSError("too much")
        self.data += data


class World:
    def __init__(self, hosts=("files.example",)):
        self.time = Time()
        self.broker = Broker()
        self.broker.files[SHA256] = DATA
        self.ends = wire(self.time)
        self.link = SerialLink(self.ends[0], "pico-1", clock=self.time)
        self.fetcher = SerialFetcher(self.link, hosts)
        self.gateway = Gateway(self.time, self.ends[1], 115200, self.broker)

    def run(self, work):
        async def main():
            serving = asyncio.create_task(self.gateway.run())
            try:
                await self.link.connect("presence", b"offline")
                return await work
            finally:
                await self.link.close()
                serving.cancel()

        return self.time.run(main(), 20_000)

    async def came(self, count):
        found = []
        while len(found) < count:
            found.append(await self.link.receive())
        return found


async def raised(error, work):
    try:
        await work
    except error as found:
        return str(found)
    raise AssertionError("nothing was raised")


def test_link_has_the_gateways_name_once_it_is_connected():
    world = World()
    assert world.link.via == ""

    async def main():
        return world.link.via

    assert world.run(main()) == "gw-1"


def test_what_is_published_comes_to_the_broker_and_is_acknowledged():
    world = World()

    async def main():
        await world.link.publish("reported", bytes(3000), True)
        return list(world.broker.published)

    assert world.run(main()) == [("reported", bytes(3000))]


def test_retained_messages_come_before_the_answer_and_are_kept():
    world = World()
    world.broker.retained = {"a": b"1" * 2000, "b": b"2", "c": b""}

    async def main():
        await world.link.subscribe(["a", "b", "c"])
        return await world.came(3)

    assert world.run(main()) == [("a", b"1" * 2000), ("b", b"2"), ("c", b"")]


def test_denied_topics_are_told_and_the_connection_stands():
    world = World()
    world.broker.denied = ["b"]

    async def main():
        assert await world.link.denied(["a", "b"]) == ["b"]
        assert not await world.link.subscribe_if_allowed(["b"])
        await world.link.publish("x", b"", False)
        assert "denied" in await raised(LinkLost, world.link.subscribe(["b"]))
        assert "denied" in await raised(LinkLost, world.link.publish("x", b"", False))

    world.run(main())


def test_messages_wait_for_the_program_and_publishing_goes_on():
    world = World()

    async def main():
        for n in range(10):
            world.gateway.put(messages.MESSAGE, "t", bytes([n]) * 900)
        await world.time.sleep(60)
        publishing = asyncio.create_task(world.link.publish("x", b"y", False))
        came = await world.came(10)
        await publishing
        return came

    assert [payload[:1] for _, payload in world.run(main())] == [bytes([n]) for n in range(10)]


def test_lost_broker_is_told_with_its_reason():
    world = World()

    async def main():
        receiving = asyncio.create_task(raised(LinkLost, world.link.receive()))
        await world.time.sleep(1)
        world.gateway.put(messages.GONE, "the broker closed the connection")
        assert await receiving == "gw-1: the broker closed the connection"
        await world.link.connect("presence", b"offline")
        await world.link.publish("x", b"y", False)
        return list(world.broker.published)

    assert world.run(main()) == [("x", b"y")]


def test_link_connects_again_after_its_line_has_failed():
    world = World()
    write = world.ends[0].write

    async def no_memory(data):
        world.ends[0].write = write
        raise MemoryError("no memory")

    async def main():
        world.ends[0].write = no_memory
        assert "no memory" in await raised(LinkLost, world.link.publish("x", b"", False))
        await world.link.connect("presence", b"offline")
        await world.link.publish("x", b"y", False)
        return list(world.broker.published)

    assert world.run(main()) == [("x", b"y")]


def test_gateway_that_does_not_answer_is_left():
    world = World()
    world.gateway._do = lambda message, values: world.gateway.put(messages.ANSWER, 0, "", [])

    async def main():
        assert "gw-1 does not answer" in await raised(LinkLost, world.link.publish("x", b"", True))

    world.run(main())


def test_message_that_cannot_be_read_ends_the_connection():
    world = World()

    async def main():
        receiving = asyncio.create_task(raised(LinkLost, world.link.receive()))
        await world.time.sleep(1)
        await world.gateway.line.send(b"\x12\5ab")
        assert "message.topic" in await receiving

    world.run(main())


def test_clean_end_is_told_to_the_gateway_and_another_is_not():
    world = World()

    async def main():
        await world.link.close()
        await world.time.sleep(1)
        assert world.broker.wills == 0
        await world.link.connect("presence", b"offline")
        world.ends[1].unplug()
        await world.time.sleep(1)
        assert world.broker.wills == 1

    world.run(main())


def test_file_comes_whole_from_where_the_bank_ends():
    for held in (0, 1, 970, 4_999):
        world, intake = World(), Intake(DATA[:held])
        world.run(world.fetcher.fetch(URL, intake))
        assert intake.data == DATA
        assert world.broker.asked == [(SHA256, held, URL)]


def test_url_of_a_host_that_is_not_listed_is_not_passed_on():
    for hosts in ((), ("other.example",), ("files.example:8080",)):
        world, intake = World(hosts), Intake()
        world.run(world.fetcher.fetch(URL, intake))
        assert intake.data == DATA
        assert world.broker.asked == [(SHA256, 0, "")]


def test_problem_of_the_gateway_fails_the_download():
    world = World()
    world.broker.files = {}
    assert world.run(raised(FetchError, world.fetcher.fetch(URL, Intake()))) == "it is not here"


def test_gateway_that_sends_nothing_fails_the_download():
    world = World()
    do = world.gateway._do
    world.gateway._do = lambda message, values: message != messages.FETCH and do(message, values)
    said = world.run(raised(FetchError, world.fetcher.fetch(URL, Intake())))
    assert "sends nothing" in said


def test_more_bytes_than_signed_are_not_written():
    world, intake = World(), Intake(wanted=1_500)
    assert world.run(raised(OSError, world.fetcher.fetch(URL, intake))) == "too much"
    assert intake.data == DATA[:970]


def test_end_that_comes_together_with_the_last_bytes_is_no_problem():
    world, intake = World(), Intake()
    take = world.fetcher.take

    def take_and_end(message, values):
        take(message, values)
        if intake.offset == intake.wanted:
            take(messages.FETCHED, [values[0], 0, ""])

    world.fetcher.take = take_and_end
    world.run(world.fetcher.fetch(URL, intake))
    assert intake.data == DATA


def test_download_goes_on_after_a_lost_connection():
    world, intake = World(), Intake()

    async def main():
        fetching = asyncio.create_task(world.fetcher.fetch(URL, intake))
        while len(intake.data) < 1_000:
            await world.time.sleep(0.01)
        world.gateway.put(messages.GONE, "restarted")
        await raised(LinkLost, world.link.receive())
        await world.link.connect("presence", b"offline")
        await fetching
        return len(world.broker.asked)

    assert world.run(main()) == 2
    assert intake.data == DATA


def test_download_that_is_cancelled_is_stopped_at_the_gateway():
    world, intake = World(), Intake()

    async def main():
        fetching = asyncio.create_task(world.fetcher.fetch(URL, intake))
        while len(intake.data) < 1_000:
            await world.time.sleep(0.01)
        fetching.cancel()
        await world.time.sleep(5)
        assert not world.gateway.sending
        assert len(intake.data) < len(DATA)

    world.run(main())


def test_download_without_a_connection_fails_after_a_while():
    world = World()

    async def main():
        await world.link.close()
        return await raised(FetchError, world.fetcher.fetch(URL, Intake()))

    assert "no connection" in world.run(main())
