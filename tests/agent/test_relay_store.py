"""The files that a gateway keeps for its boards: store.py."""

import asyncio
import errno
import os
from pathlib import Path

import pytest

from modelwave_agent.host.relay import store as module
from modelwave_agent.host.relay.store import FileStore
from modelwave_agent.intake import Intake
from modelwave_agent.ports import FetchError
from tests import signing

DATA = bytes(range(250)) * 40
SHA = signing.sha(DATA)


class Server:
    """Brings `data` in two pieces. `waits`: an event between the two."""

    def __init__(self, data: bytes = DATA, waits: asyncio.Event | None = None) -> None:
        self.data = data
        self.waits = waits
        self.asked: list[int] = []  # offsets
        self.came = asyncio.Event()

    async def bring(self, intake: Intake) -> None:
        self.asked.append(intake.offset)
        half = max(intake.offset, len(self.data) // 2)
        intake.write(self.data[intake.offset : half])
        self.came.set()
        if self.waits:
            await self.waits.wait()
        intake.write(self.data[half:])


async def content(store: FileStore, server: Server, data: bytes = DATA) -> bytes:
    with await store.opened(signing.sha(data), len(data), server.bring) as file:
        return file.read()


def test_file_is_fetched_once_for_all_boards(tmp_path: Path) -> None:
    async def main() -> None:
        store, gate = FileStore(tmp_path, 100_000), asyncio.Event()
        server = Server(waits=gate)
        boards = [asyncio.create_task(content(store, server)) for _ in range(32)]
        await server.came.wait()
        gate.set()
        assert set(await asyncio.gather(*boards)) == {DATA}
        assert (server.asked, store.fetched) == ([0], 1)
        again = FileStore(tmp_path, 100_000)  # after a restart
        assert await content(again, server) == DATA
        assert server.asked == [0]

    asyncio.run(main())


def test_board_that_is_unplugged_leaves_its_part_to_the_next(tmp_path: Path) -> None:
    async def main() -> None:
        store = FileStore(tmp_path, 100_000)
        server = Server(waits=asyncio.Event())
        first = asyncio.create_task(content(store, server))
        await server.came.wait()
        second = asyncio.create_task(content(store, server))
        await asyncio.sleep(0)
        server.waits = None
        first.cancel()
        assert await second == DATA
        assert server.asked == [0, len(DATA) // 2]
        assert os.listdir(tmp_path) == [SHA]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (DATA[::-1], "its sha256 is not the one that was signed"),
        (DATA + b"x", "more than the 10000 bytes signed"),
        (DATA[:-1], "the server sent too little"),
    ],
)
def test_wrong_bytes_are_told_and_not_kept(tmp_path: Path, sent: bytes, told: str) -> None:
    async def main() -> None:
        store = FileStore(tmp_path, 100_000)
        with pytest.raises(FetchError, match=told):
            await content(store, Server(sent))
        assert not (tmp_path / SHA).exists()
        assert await content(store, Server()) == DATA

    asyncio.run(main())


def test_kept_file_that_has_changed_is_fetched_anew(tmp_path: Path) -> None:
    (tmp_path / SHA).write_bytes(DATA[::-1])
    server = Server()
    assert asyncio.run(content(FileStore(tmp_path, 100_000), server)) == DATA
    assert server.asked == [0]


def test_other_size_than_the_file_has_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        store = FileStore(tmp_path, 100_000)
        await content(store, Server())
        with pytest.raises(FetchError, match="has 10000 bytes, not 5"):
            await store.opened(SHA, 5, Server().bring)

    asyncio.run(main())


def test_oldest_unused_file_goes_first(tmp_path: Path) -> None:
    async def main() -> None:
        store = FileStore(tmp_path, 25_000)
        three = [bytes([n]) * 10_000 for n in range(3)]
        for age, data in ((3, three[0]), (2, three[1])):
            await content(store, Server(data), data)
            os.utime(tmp_path / signing.sha(data), (age * -1000, age * -1000))
        await content(store, Server(three[0]), three[0])  # used again
        await content(store, Server(three[2]), three[2])
        kept = set(os.listdir(tmp_path))
        assert kept == {signing.sha(three[0]), signing.sha(three[2])}

    asyncio.run(main())


def test_number_of_files_and_bytes_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_FILES", 2)

    async def main() -> None:
        store = FileStore(tmp_path, 15_000)
        for n in range(4):
            await content(store, Server(bytes([n])), bytes([n]))
        assert len(os.listdir(tmp_path)) == 2
        with pytest.raises(FetchError, match="raise keep_bytes"):
            await store.opened(SHA, 15_001, Server().bring)

    asyncio.run(main())


def test_what_comes_at_once_is_bounded_too(tmp_path: Path) -> None:
    async def main() -> None:
        store, gate = FileStore(tmp_path, 12_000), asyncio.Event()
        server = Server(waits=gate)
        first = asyncio.create_task(content(store, server))
        await server.came.wait()
        other = DATA[1:]
        with pytest.raises(FetchError, match="too many other files"):
            await content(store, Server(other), other)
        gate.set()
        assert await first == DATA

    asyncio.run(main())


def test_board_that_lies_about_a_size_does_not_spoil_the_file_for_others(tmp_path: Path) -> None:
    async def main() -> None:
        store = FileStore(tmp_path, 100_000)
        liar, honest = Server(), Server()
        asked = await asyncio.gather(
            store.opened(SHA, 6_000, liar.bring), content(store, honest), return_exceptions=True
        )
        assert isinstance(asked[0], FetchError)
        assert asked[1] == DATA

    asyncio.run(main())


def test_disk_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        store = FileStore(tmp_path / "store", 100_000)
        (tmp_path / "store").rmdir()
        (tmp_path / "store").write_text("a file")
        with pytest.raises(FetchError, match="the gateway cannot keep the file: Not a directory"):
            await content(store, Server())

    asyncio.run(main())


def test_kept_files_make_room_on_a_full_disk(tmp_path: Path) -> None:
    class Disk(Server):
        async def bring(self, intake: Intake) -> None:
            intake.write(self.data[intake.offset : 100])
            if (tmp_path / signing.sha(b"older")).exists():
                raise OSError(errno.ENOSPC, "No space left on device")
            await super().bring(intake)

    async def main() -> None:
        store = FileStore(tmp_path, 100_000)
        for data in (b"older", b"newer"):
            await content(store, Server(data), data)
            os.utime(tmp_path / signing.sha(data), (len(os.listdir(tmp_path)),) * 2)
        with pytest.raises(FetchError, match="No space left"):
            await content(store, Disk())
        assert os.listdir(tmp_path) == [signing.sha(b"newer")]
        assert await content(store, Disk()) == DATA

    asyncio.run(main())


def test_foreign_files_stay(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("x" * 100)
    FileStore(tmp_path, 10)
    assert (tmp_path / "README").exists()
