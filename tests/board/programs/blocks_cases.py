"""What BlockFetcher makes of a line that loses, repeats, reorders and lies, on MicroPython:

    micropython blocks_cases.py FOLDER

Prints each failure and last "N passed, M failed".
"""

import asyncio
import binascii
import hashlib
import sys

HERE = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
ROOT = HERE + "/../../.."
sys.path[:0] = [ROOT, ROOT + "/shared", ROOT + "/agent"]

from tests.board.programs import cases  # noqa: E402

from modelwave_agent import block_fetcher as board  # noqa: E402
from modelwave_agent import ports  # noqa: E402
from modelwave_agent.banks import Banks  # noqa: E402
from modelwave_agent.block_fetcher import BlockFetcher  # noqa: E402
from modelwave_shared import blocks, topics  # noqa: E402

FOLDER = sys.argv[1]
DATA = bytes(i * 7 % 251 for i in range(20_500))  # 20 blocks and a short one
GET = topics.file_get("demo", "pico-1")


class Line(ports.BrokerLink):
    """The way to a controller that has DATA. `spoil` gets the blocks that answer a request,
    as (offset, payload), and returns the payloads that arrive."""

    def __init__(self, spoil=None):
        self.spoil = spoil or plain
        self.asked = []  # (offset, number of blocks)
        self.silences = 0
        self.lost = False
        self.back_after = 0  # so many silences
        self.files = {hashlib.sha256(DATA).digest(): DATA}
        self.fetcher = BlockFetcher(self, "demo", "pico-1", self)

    async def publish(self, topic, payload, retain):
        if self.lost:
            raise ports.LinkLost("the line is cut")
        assert (topic, retain) == (GET, False)
        sha256, offset, count = blocks.read_request(payload)
        self.asked.append((offset, count))
        for block in self.spoil(self.answer(sha256, offset, count)):
            self.fetcher.take(block)
        await asyncio.sleep(0)

    def answer(self, sha256, offset, count):
        data = self.files[sha256]
        return [
            (at, blocks.head(sha256, at) + data[at : at + blocks.BLOCK_BYTES])
            for at in range(offset, offset + count * blocks.BLOCK_BYTES, blocks.BLOCK_BYTES)
        ]

    async def wait(self, event, seconds):
        """Clock.wait: nothing comes by itself, so what is not there is silence."""
        await asyncio.sleep(0)
        if not event.is_set():
            self.silences += 1
            self.lost = self.lost and self.silences != self.back_after
        return event.is_set()

    def run(self, intake):
        """What the fetch raises, or None."""
        try:
            asyncio.run(self.fetcher.fetch("http://nobody/", intake))
        except Exception as error:
            return error
        return None


def plain(answer):
    return [payload for _, payload in answer]


def intake_of(held=0, data=DATA, role="model"):
    """Of `data`, of which `held` bytes are there."""
    banks = Banks(FOLDER)
    with open(banks.path(0, role), "wb") as file:
        file.write(data[:held])
    sha256 = binascii.hexlify(hashlib.sha256(data).digest()).decode()
    intake = banks.intake(0, {"role": role, "size": len(data), "sha256": sha256})
    asyncio.run(intake.catch_up(never_wait))
    return intake


async def never_wait():
    pass


def content(intake):
    intake.close()
    with open(intake.path, "rb") as file:
        return file.read()


def whole(line, intake):
    error = line.run(intake)
    assert error is None, error
    assert content(intake) == DATA
    assert intake.matches()


def refused(line, intake, said, written=0):
    """The fetch fails with these words, and so many bytes were written."""
    error = line.run(intake)
    assert isinstance(error, ports.FetchError), error
    assert said in str(error), error
    assert content(intake) == DATA[:written]


# Good lines.


def test_whole_file_in_windows_asked_for_before_the_last_is_empty():
    line = Line()
    whole(line, intake_of())
    assert line.silences == 0
    kib = blocks.BLOCK_BYTES
    assert line.asked == [(0, 8), (8 * kib, 8), (16 * kib, 5)]


def test_next_blocks_are_asked_for_while_some_are_on_their_way():
    late = []

    def delayed(answer):
        """The second half of an answer comes only after the next request."""
        last = answer[-1][0] + blocks.BLOCK_BYTES >= len(DATA)
        half = len(answer) if last else len(answer) // 2
        come = late + answer[:half]
        late[:] = answer[half:]
        return plain(come)

    line = Line(delayed)
    whole(line, intake_of())
    assert line.silences == 0
    assert len(line.asked) == 3


def test_it_goes_on_at_whatever_byte_the_file_ends():
    for held in (1, 1023, 1024, 5000, len(DATA) - 1):
        line = Line()
        whole(line, intake_of(held))
        assert line.asked[0][0] == held


def test_file_that_is_there_is_not_asked_for():
    line = Line()
    whole(line, intake_of(len(DATA)))
    assert line.asked == []


# Bad lines.


def test_lost_block_is_asked_for_again_after_a_silence():
    def lossy(answer):
        return [p for at, p in answer if at != 3072 or len(line.asked) > 1]

    line = Line(lossy)
    whole(line, intake_of())
    assert line.silences == 1
    assert line.asked[:2] == [(0, 8), (3072, 8)]


def test_third_of_the_messages_lost():
    state = [1]

    def lossy(answer):
        kept = []
        for _, payload in answer:
            state[0] = (state[0] * 1103 + 12345) % 30011
            if state[0] % 3:
                kept.append(payload)
        return kept

    line = Line(lossy)
    whole(line, intake_of())
    assert line.silences > 1


def test_repeated_blocks_count_once():
    line = Line(lambda answer: [p for _, p in answer for _ in range(2)])
    whole(line, intake_of())
    assert line.silences == 0


def test_whole_answers_that_come_again_later_are_passed_over():
    seen = []

    def echoing(answer):
        seen.extend(plain(answer))
        return seen[-20 : -len(answer)] + plain(answer) + seen[:3]

    whole(Line(echoing), intake_of())


def test_reordered_blocks_are_not_written_in_the_wrong_place():
    whole(Line(lambda answer: reversed(plain(answer))), intake_of())


def test_blocks_of_another_file_are_passed_over():
    other = hashlib.sha256(b"another").digest()

    def mixed(answer):
        found = []
        for at, payload in answer:
            found.append(blocks.head(other, at) + bytes(len(payload) - blocks.HEAD_BYTES))
            found.append(payload)
        return found

    line = Line(mixed)
    whole(line, intake_of())
    assert line.silences == 0


def test_what_is_no_block_is_passed_over():
    def noisy(answer):
        head = answer[0][1][: blocks.HEAD_BYTES]
        return [b"", b"x", head[:-1], bytes(5000)] + plain(answer)

    line = Line(noisy)
    whole(line, intake_of())
    assert line.silences == 0


def test_block_with_a_byte_too_many_is_not_taken():
    refused(Line(lambda answer: [p + b"x" for p in plain(answer)]), intake_of(), "sends no blocks")


def test_file_that_is_longer_than_signed_ends_where_it_was_signed():
    """The last block would bring more: it is not taken."""
    line = Line()
    shorter = DATA[:2500]
    line.files[hashlib.sha256(shorter).digest()] = DATA
    intake = intake_of(data=shorter)
    refused(line, intake, "sends no blocks", written=2048)


def test_blocks_that_are_too_short_end_it():
    """A byte at a time would hold the board for days."""
    drip = Line(lambda answer: [p[: blocks.HEAD_BYTES + 1] for p in plain(answer)])
    refused(drip, intake_of(), "the controller does not have the file from byte 0 on")
    assert len(drip.asked) == 1


def test_controller_without_the_file_ends_it_at_once():
    empty = Line(lambda answer: [answer[0][1][: blocks.HEAD_BYTES]])
    refused(empty, intake_of(), "the controller does not have the file from byte 0 on")
    assert len(empty.asked) == 1


def test_file_that_is_shorter_than_signed_is_named_where_it_ends():
    line = Line()
    line.files[hashlib.sha256(DATA).digest()] = DATA[:4096]
    refused(line, intake_of(), "from byte 4096 on", written=4096)


def test_wrong_bytes_come_through_to_who_compares_the_digest():
    line = Line()
    line.files[hashlib.sha256(DATA).digest()] = bytes(len(DATA))
    intake = intake_of()
    assert line.run(intake) is None
    intake.close()
    assert not intake.matches()


def test_silence_ends_it_after_a_few_requests():
    line = Line(lambda answer: [])
    refused(line, intake_of(), "sends no blocks")
    assert line.asked == [(0, 8)] * board.SILENCES


def test_silences_count_only_one_after_the_other():
    """A line that loses all but one block of each answer is slow, and ends."""
    line = Line(lambda answer: plain(answer)[:1])
    whole(line, intake_of())
    assert line.silences > board.SILENCES


def test_without_a_connection_the_download_waits_however_long_that_takes():
    def cut(answer):
        line.lost, line.spoil = True, plain
        return plain(answer)

    line = Line(cut)
    line.back_after = 100
    intake = intake_of()
    whole(line, intake)
    assert line.silences == line.back_after
    assert line.asked[1][0] == 8192


def test_write_that_fails_comes_through_and_nothing_is_written_after_it():
    line = Line(lambda answer: [p for _, p in answer for _ in range(2)])
    intake = intake_of()
    write = intake.write
    calls = []

    def full(data):
        calls.append(len(data))
        if len(calls) == 3:
            raise OSError(28)
        write(data)

    intake.write = full
    error = line.run(intake)
    assert isinstance(error, OSError), error
    assert error.errno == 28
    assert len(calls) == 3
    assert content(intake) == DATA[:2048]


# Several at once, and nobody any more.


def test_two_files_are_fetched_one_after_the_other():
    line = Line()
    other = bytes(reversed(DATA))
    line.files[hashlib.sha256(other).digest()] = other
    one, two = intake_of(), intake_of(data=other, role="golden")

    async def both():
        fetch = line.fetcher.fetch
        await asyncio.gather(fetch("", one), fetch("", two))

    asyncio.run(both())
    assert content(one) == DATA
    assert content(two) == other
    assert line.silences == 0


def test_blocks_that_nobody_waits_for_are_passed_over():
    line = Line()
    digest = hashlib.sha256(DATA).digest()
    line.fetcher.take(line.answer(digest, 0, 1)[0][1])
    intake = intake_of()
    whole(line, intake)
    line.fetcher.take(line.answer(digest, 0, 1)[0][1])
    line.fetcher.take(blocks.head(digest, len(DATA)))
    assert intake.offset == len(DATA)


def test_cancelled_fetch_writes_nothing_more_and_the_next_one_goes_on():
    line = Line(lambda answer: plain(answer)[:3])
    intake = intake_of()

    async def stopped():
        task = asyncio.create_task(line.fetcher.fetch("", intake))
        while intake.offset < 3072:
            await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass
        at = intake.offset
        for _, payload in line.answer(hashlib.sha256(DATA).digest(), at, 2):
            line.fetcher.take(payload)
        assert intake.offset == at

    asyncio.run(stopped())
    line.spoil = plain
    whole(line, intake)


cases.run(globals())
