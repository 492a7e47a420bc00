"""The paths for those who watch a process: /metrics, /readyz, /healthz and /livez."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from aiohttp import web

from modelwave_controller.errors import StorageError
from modelwave_controller.metrics import readiness
from modelwave_controller.metrics.exposition import Exposition
from modelwave_controller.operations.health import Health, health
from modelwave_controller.service.vitals import HANGS, Vitals
from modelwave_controller.storage.store import Transactions

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
ANSWER_SECONDS = 5.0  # that the database may take; a scrape of Prometheus waits ten

Found = TypeVar("Found")


class Watched:
    """Answers for one process; use it in one event loop. The database is asked by one thread at a
    time, so that one that hangs holds one thread only."""

    def __init__(
        self,
        vitals: Vitals,
        store: Transactions,
        clock: Callable[[], float] = time.time,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        """`clock` returns Unix seconds; the database may take `answer_seconds`."""
        self._vitals = vitals
        self._store = store
        self._clock = clock
        self._answer_seconds = answer_seconds
        self._exposition = Exposition(vitals)
        self._asking = ThreadPoolExecutor(1, "watched")

    def add_routes(self, application: web.Application) -> None:
        application.router.add_get("/metrics", self.metrics)
        application.router.add_get("/readyz", self.readyz)
        application.router.add_get("/healthz", self.healthz)
        application.router.add_get("/livez", self.livez)
        application.on_cleanup.append(self._ended)

    async def metrics(self, _request: web.Request) -> web.Response:
        text = await self._ask(self._scraped)
        if text is None:
            text = self._exposition.render(None, self._clock())
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})

    async def readyz(self, _request: web.Request) -> web.Response:
        found = await self._ask(self._health)
        reasons = readiness.reasons(self._vitals, found)
        return _said(reasons, self._vitals.does if self._vitals.leads else "stands by")

    async def healthz(self, _request: web.Request) -> web.Response:
        return _said(self._vitals.problems())

    async def livez(self, _request: web.Request) -> web.Response:
        return _said([] if self._vitals.alive else [HANGS])

    async def _ended(self, _application: web.Application) -> None:
        self._asking.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, read: Callable[[], Found]) -> Found | None:
        """Returns what `read` reads of the database; None if that does not answer in time."""
        asked = asyncio.get_running_loop().run_in_executor(self._asking, read)
        try:
            return await asyncio.wait_for(asked, self._answer_seconds)
        except (TimeoutError, StorageError):  # the service's own loop logs the latter
            return None

    def _scraped(self) -> bytes:
        with self._store.read() as connection:
            return self._exposition.render(connection, self._clock())

    def _health(self) -> Health:
        with self._store.read() as connection:
            return health(connection, self._clock())


def _said(problems: list[str], well: str = "") -> web.Response:
    lines = problems or ["ok", *([well] if well else [])]
    return web.Response(text="".join(f"{one}\n" for one in lines), status=503 if problems else 200)
