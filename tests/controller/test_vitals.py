"""What watchers of a service are told: /healthz, /livez and systemd."""

import asyncio
from pathlib import Path

import aiohttp
import pytest
from tests.notify import Notified, notified

from modelwave_controller.service import vitals
from modelwave_controller.service.files import FileServer
from modelwave_controller.service.supervised import supervised
from modelwave_controller.service.vitals import HANGS, NO_BROKER, NO_DATABASE, Vitals


class Steady:
    """A clock that the test sets."""

    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Steady:
    return Steady()


def test_database_or_broker_that_is_away_for_a_moment_is_no_trouble(clock: Steady) -> None:
    seen = Vitals(clock)
    seen.came_round(database=False, broker=False, leads=True)
    clock.seconds += vitals.PATIENCE_SECONDS
    seen.came_round(database=False, broker=False, leads=True)
    assert seen.problems() == []
    clock.seconds += 0.1
    assert seen.problems() == [NO_DATABASE, NO_BROKER]
    seen.came_round(database=True, broker=False, leads=True)
    assert seen.problems() == [NO_BROKER]
    seen.came_round(database=True, broker=True, leads=True)
    assert seen.problems() == []


def test_broker_is_no_matter_of_a_service_that_stands_by(clock: Steady) -> None:
    seen = Vitals(clock)
    for _ in range(2):
        seen.came_round(database=True, broker=False, leads=False)
        clock.seconds += vitals.PATIENCE_SECONDS + 1
    assert seen.problems() == []
    assert seen.words() == "stands by"


def test_loop_that_does_not_come_round_hangs(clock: Steady) -> None:
    seen = Vitals(clock)
    seen.came_round(database=True, broker=True, leads=True)
    clock.seconds += vitals.HUNG_SECONDS
    assert seen.alive
    clock.seconds += 0.1
    assert not seen.alive
    assert seen.words() == f"leads, but {HANGS}"


def test_healthz_and_livez_say_what_is_wrong_in_fixed_words(clock: Steady, tmp_path: Path) -> None:
    seen = Vitals(clock)

    async def ask() -> list[tuple[int, str]]:
        server = FileServer(tmp_path, seen)
        url = (await server.start("127.0.0.1", 0)).removesuffix("/files")
        found = []
        try:
            async with aiohttp.ClientSession() as session:
                for path in ("/healthz", "/livez"):
                    async with session.get(url + path) as answer:
                        found.append((answer.status, await answer.text()))
        finally:
            await server.stop()
        return found

    assert asyncio.run(ask()) == [(200, "ok\n"), (200, "ok\n")]
    seen.came_round(database=False, broker=False, leads=True)
    clock.seconds += vitals.PATIENCE_SECONDS + 1
    assert asyncio.run(ask()) == [(503, f"{NO_DATABASE}\n{NO_BROKER}\n"), (200, "ok\n")]
    clock.seconds += vitals.HUNG_SECONDS
    assert asyncio.run(ask())[1] == (503, f"{HANGS}\n")


def test_systemd_hears_how_the_service_is_and_nothing_of_life_once_it_hangs(
    clock: Steady, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Vitals(clock)
    monkeypatch.setenv("WATCHDOG_USEC", "30000")

    async def main(heard: Notified) -> None:
        async with supervised(seen):
            assert await asyncio.to_thread(heard.next) == ["READY=1"]
            assert await asyncio.to_thread(heard.next) == ["STATUS=stands by", "WATCHDOG=1"]
            seen.came_round(database=True, broker=True, leads=True)
            await asyncio.to_thread(heard.until, "STATUS=leads")
            clock.seconds += vitals.HUNG_SECONDS + 1
            hangs = f"STATUS=leads, but {HANGS}"
            assert await asyncio.to_thread(heard.until, hangs) == [hangs]

    with notified(tmp_path) as (path, heard):
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        asyncio.run(main(heard))
