"""Tests of the line between a board and its gateway, over a simulated wire."""

import asyncio
import binascii
import struct

from modelwave_agent.line import Line
from modelwave_agent.ports import LinkLost
from modelwave_shared import line_frames as wire
from tests.core.line_world import Time
from tests.core.line_world import wire as wired

SIZES = (1, 0, 243, 244, 245, 488, 1000, 5000, 3)
MESSAGES = [bytes([n]) * size for n, size in enumerate(SIZES)]
FEW = [b"a" * 600, b"b", b"c" * 300]


class Pair:
    def __init__(self, baud=115200, frames=2):
        self.time = Time()
        self.ends = wired(self.time, baud)
        self.said = []
        self.board = Line(self.ends[0], self.time, baud, frames)
        self.gateway = Line(self.ends[1], self.time, baud, 4, self.said.append)

    def run(self, work, most=20_000):
        async def main():
            runs = [asyncio.create_task(line.run()) for line in (self.board, self.gateway)]
            try:
                return await work
            finally:
                for run in runs:
                    run.cancel()

        return self.time.run(main(), most)

    async def meet(self):
        meeting = asyncio.create_task(self.gateway.meet_as_gateway("gw-1"))
        assert await self.board.meet_as_board("pico-1") == "gw-1"
        assert await meeting == "pico-1"

    async def exchange(self, messages=MESSAGES):
        """Both ways at once; the messages that came."""
        came = [[], []]

        async def take(line, found):
            while len(found) < len(messages):
                found.append(await line.receive())

        async def give(line):
            for message in messages:
                await line.send(message)

        works = (
            take(self.board, came[0]),
            take(self.gateway, came[1]),
            give(self.board),
            give(self.gateway),
        )
        await asyncio.gather(*works)
        await self.board.settle()
        await self.gateway.settle()
        return came


def whole(pair, messages=MESSAGES, most=1000):
    async def main():
        await pair.meet()
        return await pair.exchange(messages)

    assert pair.run(main(), most) == [messages, messages]


def lost(work):
    async def main():
        try:
            await work
        except LinkLost as error:
            return str(error)
        raise AssertionError("not lost")

    return main()


def test_messages_of_all_lengths_both_ways_at_once():
    whole(Pair())


def test_a_frame_is_repeated_only_if_it_was_lost():
    pair = Pair()
    whole(pair)
    sent = sum(map(len, MESSAGES))
    for end in pair.ends:
        assert end.bytes < sent * 1.25, end.bytes


def test_every_write_lost_once():
    for side in (0, 1):
        number = 0
        while True:
            number += 1
            pair = Pair()
            pair.ends[side].plan = lambda n, data, number=number: b"" if n == number else data
            whole(pair, FEW)
            if pair.ends[side].number < number:
                break
        assert number > 8


def test_slow_line():
    whole(Pair(300), MESSAGES, 10_000)


def test_gateway_that_stops_reading_makes_the_board_wait():
    pair = Pair()

    async def main():
        await pair.meet()
        sending = asyncio.create_task(pair.board.send(bytes(5000)))
        await pair.time.sleep(1)
        more = asyncio.create_task(pair.board.send(bytes(5000)))
        await pair.time.sleep(300)
        assert sending.done()
        assert not more.done()
        assert await pair.gateway.receive() == bytes(5000)
        assert await pair.gateway.receive() == bytes(5000)
        await more

    pair.run(main())


def test_silence_ends_the_session_at_both_ends():
    pair = Pair()

    async def main():
        await pair.meet()
        for end in pair.ends:
            end.plan = lambda n, data: b""
        assert "nothing comes from gw-1" in await lost(pair.board.receive())
        assert "nothing comes from pico-1" in await lost(pair.gateway.receive())

    pair.run(main(), 60)


def test_session_without_messages_stays():
    pair = Pair()

    async def main():
        await pair.meet()
        await pair.time.sleep(2_000)
        return await pair.exchange()

    assert pair.run(main()) == [MESSAGES, MESSAGES]


def test_board_that_begins_anew_ends_the_session_at_the_gateway():
    pair = Pair()

    async def main():
        await pair.meet()
        await pair.board.send(bytes(3000))
        losing = asyncio.create_task(lost(pair.gateway.receive()))
        await pair.gateway.receive()
        meeting = asyncio.create_task(pair.board.meet_as_board("pico-1"))
        assert "begins anew" in await losing
        assert await pair.gateway.meet_as_gateway("gw-2") == "pico-1"
        assert await meeting == "gw-2"
        return await pair.exchange()

    assert pair.run(main()) == [MESSAGES, MESSAGES]


def test_gateway_that_begins_anew_resets_the_board():
    pair = Pair()

    async def main():
        await pair.meet()
        meeting = asyncio.create_task(pair.gateway.meet_as_gateway("gw-1"))
        assert "does not know" in await lost(pair.board.receive())
        assert await pair.board.meet_as_board("pico-1") == "gw-1"
        assert await meeting == "pico-1"
        return await pair.exchange()

    assert pair.run(main(), 100) == [MESSAGES, MESSAGES]


def test_end_of_the_stream_ends_all():
    pair = Pair()

    async def main():
        await pair.meet()
        losing = asyncio.create_task(lost(pair.gateway.receive()))
        pair.ends[1].unplug()
        assert "the line has ended" in await losing
        assert "the line has ended" in await lost(pair.gateway.meet_as_gateway("gw-1"))

    pair.run(main())


def test_board_without_a_gateway_says_so():
    pair = Pair()
    pair.ends[0].plan = lambda n, data: b""
    assert "no gateway answers" in pair.run(lost(pair.board.meet_as_board("pico-1")))


def test_own_echo_is_not_taken_for_the_other_end():
    pair = Pair()
    for end in pair.ends:
        end.echoes = True
    whole(pair)


def test_console_output_is_kept_apart():
    pair = Pair()
    text = b"Traceback (most recent call last):\r\n" * 8
    pair.ends[0].plan = lambda n, data: text + data + b"x" * (n % 7)
    whole(pair)
    lines = sum(piece.count(b"\n") for piece in pair.said)
    assert lines >= 8 * (pair.ends[0].number - 1)
    assert not [piece for piece in pair.said if b"\0" in piece]


def test_cancelled_send_sends_all_or_nothing():
    for turns in range(40):
        pair = Pair()

        async def main(pair=pair, turns=turns):
            await pair.meet()
            await pair.board.send(b"a" * 600)
            sending = asyncio.create_task(pair.board.send(b"b" * 900))
            for _ in range(turns):
                await asyncio.sleep(0)
            sending.cancel()
            await pair.time.sleep(0.001 * turns)
            more = asyncio.create_task(pair.board.send(b"c" * 300))
            found = []
            while b"c" * 300 not in found:
                found.append(await pair.gateway.receive())
            await more
            assert found in ([b"a" * 600, b"b" * 900, b"c" * 300], [b"a" * 600, b"c" * 300])

        pair.run(main())


def test_message_that_is_too_long_ends_the_session():
    pair = Pair()

    async def main():
        await pair.meet()
        session = pair.board._session
        session.sender.offer(bytes(20_000))  # as no honest end does
        pair.board._work.set()
        assert "longer than" in await lost(pair.gateway.receive())

    pair.run(main())


def frame_of(payload, kind=wire.DATA):
    return wire.pack(kind, b"\0\1", 0, 255, payload)


def test_frame_reads_as_it_was_written():
    for size in (0, 1, 9, 100, wire.MAX_PAYLOAD_BYTES):
        for payload in (bytes(size), b"\xff" * size, b"\0a" * (size // 2)):
            data = frame_of(payload)
            assert len(data) <= wire.MAX_WIRE_BYTES
            assert data.count(b"\0") == 2
            assert wire.unpack(data[1:-1]) == (wire.DATA, b"\0\1", 0, 255, payload)


def test_frame_is_laid_out_as_documented():
    data = frame_of(b"\2\0")
    crc = struct.pack(">I", binascii.crc32(b"\3\0\1\0\xff\2\0"))
    assert data == b"\0\2\3\2\1\3\xff\2\5" + crc + b"\0"


def test_damaged_frame_is_none():
    data = frame_of(b"a piece of a\0message")[1:-1]
    for at in range(len(data)):
        for bit in range(8):
            spoilt = bytearray(data)
            spoilt[at] ^= 1 << bit
            assert wire.unpack(bytes(spoilt)) is None
        assert wire.unpack(data[:at]) is None
        assert wire.unpack(data[:at] + data[at : at + 1] + data[at:]) is None


def test_splitter_gives_the_same_pieces_however_the_bytes_come():
    data = b"text" + frame_of(b"abc") + b"more" + frame_of(bytes(40)) + b"rest"
    for step in (1, 2, 7, 100, 256):
        splitter = wire.Splitter()
        found = []
        for at in range(0, len(data), step):
            found += splitter.feed(data[at : at + step])
        found.append(splitter.flush())
        assert found == data.split(b"\0"), step


def test_those_that_send_take_turns():
    pair = Pair()

    async def main():
        await pair.meet()
        order = []

        async def give(name):
            for _ in range(5):
                await pair.board.send(name * 700)

        giving = [asyncio.create_task(give(name)) for name in (b"a", b"b", b"c")]
        while len(order) < 15:
            order.append((await pair.gateway.receive())[:1])
        for task in giving:
            await task
        return b"".join(order)

    assert pair.run(main()) == b"abc" * 5


def test_every_write_doubled():
    pair = Pair()
    for end in pair.ends:
        end.plan = lambda n, data: data * 2
    whole(pair)


def test_frames_of_another_session_are_ignored():
    pair = Pair()
    other = wire.pack(wire.LAST | wire.FROM_GATEWAY, b"\1\2", 0, 0, b"of another session")
    # With a tag of 2 random bytes it is that of the session once in 65,536 times.
    for end, data in zip(pair.ends, (frame_of(b"of another session", wire.LAST), other)):
        end.plan = lambda n, written, data=data: data + written
    whole(pair)


def test_gateway_that_the_board_has_not_chosen_stays_silent():
    pair = Pair()

    async def main():
        await pair.meet()
        late = Line(pair.ends[1], pair.time, 115200)
        late._side = wire.FROM_GATEWAY
        late._own_name = "gw-2"
        hello = wire.pack(wire.HELLO, b"\1\2", 0, 0, wire.hello(2, "pico-1"))
        late._take(*wire.unpack(hello[1:-1]))
        assert len(late._control) == 1  # WELCOME
        for _ in range(5):
            late._take(wire.ACK, pair.board._session.tag, 0, 0, b"")
        assert len(late._control) == 1

    pair.run(main())


def test_flood_beyond_the_window_is_dropped():
    pair = Pair()

    async def main():
        await pair.meet()
        tag = pair.board._session.tag
        for number in range(300):
            pair.gateway._take(wire.LAST, tag, number % 256, 0, b"flood")
        assert len(pair.gateway._session.receiver.inbox) == pair.gateway.frames

    pair.run(main())


def test_stream_that_fails_ends_the_line_at_once():
    for name in ("read", "write"):
        pair = Pair()

        async def main(pair=pair, name=name):
            running = asyncio.create_task(pair.board.run())
            setattr(pair.board.stream, name, failing)
            pair.board._put(wire.ACK, b"\1\2")
            await running
            assert "the line failed: pulled out" in await lost(pair.board.meet_as_board("pico-1"))

        pair.time.run(main())


async def failing(argument):
    raise OSError("pulled out")
