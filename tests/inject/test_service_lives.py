"""Tests that a service which is started again while it is stopped is stopped, too."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.inject.lives import End
from tests.inject.service import Service


class _Life:
    """It was killed before it is known, or runs until SIGTERM."""

    def __init__(self, code: int | None) -> None:
        self.code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if code is not None:
            self.code.set_result(code)

    def send(self, number: int) -> None:
        if not self.code.done():
            self.code.set_result(-number)

    def end(self) -> End:
        return End(self.code.result(), "")


class _Forker:
    def __init__(self) -> None:
        self.lives = 0
        self.begins = asyncio.Event()
        self.may_begin = asyncio.Event()

    @contextlib.asynccontextmanager
    async def life(self, *_: Any) -> AsyncIterator[_Life]:
        self.lives += 1
        if self.lives == 1:
            yield _Life(1)
        else:
            self.begins.set()
            await self.may_begin.wait()
            yield _Life(None)


def test_a_life_that_begins_while_the_service_is_stopped_ends(tmp_path: Path) -> None:
    async def main() -> None:
        forker = _Forker()
        service = Service(forker, tmp_path / "home", None)  # type: ignore[arg-type]
        running = asyncio.create_task(service.run())
        await forker.begins.wait()
        await service.stop()
        forker.may_begin.set()
        async with asyncio.timeout(60):
            await running
        assert service.faults == ["it ended with 1: "]  # the first life
        assert forker.lives == 2
        assert service._life is not None
        assert service._life.end().code == -signal.SIGTERM

    asyncio.run(main())
