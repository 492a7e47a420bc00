"""/metrics and /readyz of a process, by HTTP; and when a process is ready."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from rollout_world import World
from scraped import Scrape
from sqlalchemy import Connection
from tests.controller.test_metrics import lead
from tests.controller.test_vitals import Steady

from modelwave_controller.errors import OperatorError, StorageError
from modelwave_controller.metrics import readiness
from modelwave_controller.metrics.handlers import Watched
from modelwave_controller.metrics.listener import listening
from modelwave_controller.operations.health import Health
from modelwave_controller.service import vitals
from modelwave_controller.service.vitals import HANGS, NO_BROKER, NO_DATABASE, Vitals
from modelwave_controller.service.writer import Inbox
from modelwave_controller.storage.store import Transactions

SEEN = Health(seen_at=1000, link=None, leader=None, now=1001)
UNSEEN = SEEN._replace(now=2000)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=1)) as found:
        yield found


class Away:
    """A database that does not answer; or not before `over`."""

    def __init__(self, over: threading.Event | None = None) -> None:
        self.over = over

    @contextmanager
    def read(self) -> Iterator[Connection]:
        if self.over:
            self.over.wait()
        raise StorageError("it is away")
        yield

    write = read


def asked(watched: Watched, *paths: str) -> list[tuple[int, str]]:
    async def ask() -> list[tuple[int, str]]:
        application = web.Application()
        watched.add_routes(application)
        async with TestClient(TestServer(application)) as client:
            answers = [await client.get(path) for path in paths]
            return [(one.status, await one.text()) for one in answers]

    return asyncio.run(ask())


def made(
    store: Transactions, now: float, seen: Vitals | None = None, answer_seconds: float = 60
) -> Watched:
    if seen is None:
        seen = Vitals()
        seen.came_round(database=True, broker=True, leads=True)
    return Watched(seen, store, lambda: now, answer_seconds)


def test_service_that_leads_is_ready_and_says_its_figures(world: World) -> None:
    lead(world)
    (ready, said), (status, text), *others = asked(
        made(world.store, world.now), "/readyz", "/metrics", "/healthz", "/livez"
    )
    assert (ready, said) == (200, "ok\nleads\n")
    assert status == 200
    found = Scrape(text.encode())
    assert (found.value("leads"), found.value("service_leads")) == (1, 1)
    assert others == [(200, "ok\n")] * 2


def test_one_that_stands_by_is_ready_while_another_leads(world: World) -> None:
    seen = Vitals()
    seen.came_round(database=True, broker=False, leads=False)
    alone = made(world.store, world.now, seen)
    assert asked(alone, "/readyz") == [(503, "no service leads\n")]
    lead(world)
    beside = made(world.store, world.now, seen)
    assert asked(beside, "/readyz") == [(200, "ok\nstands by\n")]


def test_without_the_database_it_is_not_ready_and_says_its_own_figures() -> None:
    over = threading.Event()
    for store in (Away(), Away(over)):
        readyz, metrics = asked(made(store, 0.0, answer_seconds=0.05), "/readyz", "/metrics")
        assert readyz == (503, f"{NO_DATABASE}\n")
        assert metrics[0] == 200
        assert Scrape(metrics[1].encode()).value("database_answers") == 0
        assert "it is away" not in metrics[1]
    over.set()


def test_thread_that_asks_the_database_ends_with_the_listener(world: World) -> None:
    before = set(threading.enumerate())
    watched = made(world.store, world.now)
    asked(watched, "/readyz")
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
        assert not thread.is_alive()
    assert asked(watched, "/livez") == [(200, "ok\n")]  # `watched` was there all the time


def test_reasons_not_to_be_ready() -> None:
    clock = Steady()
    seen = Vitals(clock)
    assert readiness.reasons(seen, SEEN) == [readiness.STARTS]
    seen.came_round(database=True, broker=False, leads=True)
    assert readiness.reasons(seen, SEEN) == []  # a broker that is away for a moment
    assert readiness.reasons(seen, None) == [NO_DATABASE]
    clock.seconds += vitals.PATIENCE_SECONDS + 1
    seen.came_round(database=True, broker=False, leads=True)
    assert readiness.reasons(seen, SEEN) == [NO_BROKER]
    seen.came_round(database=True, broker=False, leads=False)
    assert readiness.reasons(seen, SEEN) == []
    assert readiness.reasons(seen, UNSEEN) == [readiness.NO_LEADER]
    clock.seconds += vitals.HUNG_SECONDS + 1
    assert readiness.reasons(seen, SEEN) == [HANGS]


def test_a_writer_that_is_behind_makes_the_leader_not_ready() -> None:
    clock = Steady()
    seen = Vitals(clock)
    seen.figures.inbox = Inbox(clock)
    seen.figures.inbox.put("t", b"x")
    clock.seconds += readiness.LAG_SECONDS
    seen.came_round(database=True, broker=True, leads=True)
    assert readiness.reasons(seen, SEEN) == []
    clock.seconds += 1
    assert readiness.reasons(seen, SEEN) == [readiness.LAGS]


def test_process_listens_and_names_an_address_that_is_taken(world: World) -> None:
    lead(world)

    async def main() -> None:
        watched = made(world.store, world.now)
        async with listening(watched, "127.0.0.1", 0) as url, aiohttp.ClientSession() as session:
            for path in ("/readyz", "/metrics", "/healthz", "/livez"):
                async with session.get(url + path) as answer:
                    assert answer.status == 200
            port = int(url.rpartition(":")[2])
            with pytest.raises(OperatorError, match=f"--listen: cannot listen on 127.0.0.1:{port}"):
                async with listening(watched, "127.0.0.1", port):
                    pass

    asyncio.run(main())


def test_commands_that_serve_nothing_do_not_load_what_only_a_service_needs() -> None:
    code = (
        "import sys, modelwave_controller.__main__ as program\n"
        "sys.argv[1:] = ['fleet', 'status', '--help']\n"
        "try:\n    program.main()\n"
        "finally:\n    print('prometheus_client' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "False\n")
