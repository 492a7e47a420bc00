"""Sends the log as it grows, as Server-Sent Events: GET /api/v1/log/stream.

Each event has the id of the log's event, so who was cut off goes on after the last one that it had,
by the header Last-Event-ID or the field `after`; without either it begins with what comes next. A
comment shows that the connection stands while nothing happens. A reader that takes nothing is
ended, and so is one whose token is revoked or expires.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

from aiohttp import web

from modelwave_controller.api import fleet
from modelwave_controller.api.rollouts import none_if_newest
from modelwave_controller.desk.desk import Desk
from modelwave_controller.errors import BusyError, ForbiddenError, OperatorError, UnknownPersonError
from modelwave_controller.operations import history
from modelwave_controller.people.roles import VIEWER, Person
from modelwave_controller.service.guard import whole_body
from modelwave_controller.storage.log import Wanted
from modelwave_controller.storage.store import Store
from modelwave_controller.web import said
from modelwave_controller.web.doorman import require
from modelwave_controller.web.feed import Feed

MAX_READERS, MAX_OF_ONE = 300, 250  # all, and those of one person
FULL_SECONDS = 30.0  # after which another one may find a place
HEARTBEAT_SECONDS = 15.0
UNTAKEN_SECONDS = 30.0  # for which a reader may take nothing of what was sent
LOOK_SECONDS = 60.0  # between two looks at a reader's token
RETRY_MILLISECONDS = 2000  # after which a reader comes again
FEED = Person("stream", VIEWER)

Known = Callable[[web.Request], Awaitable[Person]]
Still = Callable[[web.Request, float], Awaitable[Person]]
DeskOf = Callable[[Person], contextlib.AbstractContextManager[Desk]]


class Live:
    """Create it and use it in one event loop."""

    def __init__(self, known: Known, still: Still, desk_of: DeskOf) -> None:
        """`known` returns who sends a request; `still` does after so many seconds, and costs them
        nothing."""
        self._known = known
        self._still = still
        self._desk_of = desk_of
        self._feed = Feed(self._reading)
        self._readers = Counter[str]()

    async def handler(self, request: web.Request) -> web.StreamResponse:
        person = await self._known(request)
        require(person, fleet.STREAM)
        query = list(request.query.items())
        asked = said.read(fleet.STREAM, {}, query, await whole_body(request))
        with self._place(person):
            wanted = Wanted(await asyncio.to_thread(self._number, asked.rollout), asked.answers)
            async with self._feed.following(wanted.answers) as newest:
                after = _last_id(request.headers.get("Last-Event-ID", ""), asked.after)
                place = newest if after is None else min(after, newest)
                return await self._send(request, wanted, place)

    async def close(self, _application: web.Application) -> None:
        self._feed.close()

    async def _send(self, request: web.Request, wanted: Wanted, place: int) -> web.StreamResponse:
        answer = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",  # nginx would keep events back
            }
        )
        await answer.prepare(request)
        loop = asyncio.get_running_loop()
        text = f"retry: {RETRY_MILLISECONDS}\nid: {place}\n\n".encode()
        begun = looked = written = loop.time()
        while not self._feed.closed:
            if text and not await _taken(request, answer, text):
                break
            if text:
                written = loop.time()
            if loop.time() - looked >= LOOK_SECONDS:
                if not await self._is_known(request, loop.time() - begun):
                    break
                looked = loop.time()
            text, place = await self._feed.after(wanted, place)
            if not text:
                await self._feed.wait(written + HEARTBEAT_SECONDS - loop.time())
                text = b":\n\n" if loop.time() - written >= HEARTBEAT_SECONDS else b""
        return answer

    async def _is_known(self, request: web.Request, seconds: float) -> bool:
        try:
            require(await self._still(request, seconds), fleet.STREAM)
        except (UnknownPersonError, ForbiddenError):
            return False
        return True

    @contextlib.contextmanager
    def _place(self, person: Person) -> Iterator[None]:
        if self._readers.total() >= MAX_READERS or self._readers[person.name] >= MAX_OF_ONE:
            raise BusyError("too many follow the log already", FULL_SECONDS)
        self._readers[person.name] += 1
        try:
            yield
        finally:
            self._readers[person.name] -= 1
            self._readers += Counter()  # without names that have none

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Store]:
        with self._desk_of(FEED) as desk:
            yield desk.store

    def _number(self, rollout: str | None) -> int | None:
        if rollout is None:
            return None
        with self._reading() as store:
            return history.number_of(store, none_if_newest(rollout))


async def _taken(request: web.Request, answer: web.StreamResponse, text: bytes) -> bool:
    """Sends the text; returns whether the reader takes it. If not, its connection is ended; it may
    have left."""
    try:
        async with asyncio.timeout(UNTAKEN_SECONDS):
            await answer.write(text)
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        return False
    except ConnectionError:
        return False
    return True


def _last_id(header: str, after: int | None) -> int | None:
    """Returns the id of the last event that the reader has. The header is the newer of the two:
    whoever connects again has the field still."""
    if not header:
        return after
    if not (header.isascii() and header.isdigit() and len(header) <= 18):
        raise OperatorError("Last-Event-ID: give the id of an event, or leave it out")
    return int(header)
