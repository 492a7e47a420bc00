"""The HTTP listener for people and programs that operate the fleet: the API, and the page.

It is not the one of devices (service/files.py), so that a firewall can tell them apart. What a
request may do is decided by its person's role before anything of it is read. Calls run in threads:
they read and write the database.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from modelwave_controller.api import fleet
from modelwave_controller.api.call import GET, POST, PREFIX, Call
from modelwave_controller.api.every import CALLS
from modelwave_controller.api.problem import MEDIA_TYPE
from modelwave_controller.connections import Bounds
from modelwave_controller.desk.desk import Desk
from modelwave_controller.people.roles import Person
from modelwave_controller.service.guard import BODY_SECONDS, GUARD, Guard, whole_body
from modelwave_controller.web import answers, once, openapi, said
from modelwave_controller.web.doorman import require
from modelwave_controller.web.live import Live
from modelwave_controller.web.uploads import Taken, Uploads

MAX_BODY_BYTES = 1 << 20
BOUNDS = Bounds(all=400, by_address=300, waiting_by_address=100)
AT_ONCE, OF_ONE = 8, 3  # calls that run, and those of one person; further ones wait

logger = logging.getLogger(__name__)

AnyCall = Call[Any, Any]
Authenticate = Callable[[web.Request], Person]
Still = Callable[[web.Request, float], Person]
DeskOf = Callable[[Person], AbstractContextManager[Desk]]
Found = TypeVar("Found")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Listener:
    """Create it and use it in one event loop."""

    def __init__(
        self,
        authenticate: Authenticate,
        desk_of: DeskOf,
        bounds: Bounds = BOUNDS,
        still: Still | None = None,
        prefix: str = "",
    ) -> None:
        """`authenticate` returns who sends a request, in a thread; it raises UnknownPersonError.
        `still` does so again for a request that has lasted for so many seconds; None: as
        `authenticate`. `prefix`: the path below which a reverse proxy has put it: what begins with
        that is found there too."""
        self._prefix = prefix
        self._authenticate = authenticate
        self._desk_of = desk_of
        self._guard = Guard(bounds)
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._turns, self._shares = once.Turns(), once.Turns(OF_ONE)
        self._uploads = Uploads()
        self.application = web.Application(
            middlewares=[self._guard.middleware, answers.problems], client_max_size=MAX_BODY_BYTES
        )
        self.application[GUARD] = self._guard
        self.application.on_response_prepare.append(answers.add_headers)
        self._document = b""
        self.add(GET, PREFIX + "/openapi.json", self._openapi)
        self._still = still or self._as_at_first
        live = Live(self._known, partial(self._run, self._still), desk_of)
        self.add(GET, PREFIX + fleet.STREAM.path, live.handler, with_head=False)
        self.application.on_shutdown.append(live.close)
        for call in CALLS:
            expected = _no_continue if call.sends else None
            self.add(call.method, PREFIX + call.path, self._does(call), expected=expected)
        self._runner = web.AppRunner(self.application, access_log=None, lingering_time=BODY_SECONDS)
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int, tls: Any = None) -> int:
        """Returns the port; 0 takes a free one. `tls`: an SSLContext, None: none. Raises
        OSError."""
        await self._runner.setup()
        make = self._runner.server
        assert make is not None
        guarded = answers.with_own_errors(make)
        self._server = await asyncio.get_running_loop().create_server(
            lambda: self._guard.protocol(guarded), host, port, ssl=tls
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()

    async def _known(self, request: web.Request) -> Person:
        return await self._run(self._authenticate, request)

    def _as_at_first(self, request: web.Request, _seconds: float) -> Person:
        return self._authenticate(request)

    def add(
        self,
        method: str,
        path: str,
        handler: Handler,
        with_head: bool = True,
        expected: Callable[[web.Request], Awaitable[None]] | None = None,
    ) -> None:
        """Adds a path, also below the prefix. A GET has its HEAD, unless it has no end. `expected`
        answers who waits for `100 Continue`; None: it is said at once."""
        for place in {path, self._prefix + path}:
            if method == GET:
                self.application.router.add_get(place, handler, allow_head=with_head)
            else:
                self.application.router.add_route(method, place, handler, expect_handler=expected)

    def _does(self, call: AnyCall) -> Handler:
        async def handler(request: web.Request) -> web.StreamResponse:
            person = await self._known(request)
            require(person, call)
            if call.sends is None:
                answers.require_readable(request)
                body = await whole_body(request)
                async with self._shares.turn(person.name):  # a long one takes a while to read
                    asked = await self._run(_asked, call, request, body)
                return await self._done(request, call, asked, person, _key(call, request), None)
            asked, key = _asked(call, request, b""), _key(call, request)
            home = await self._run(self._home, person)
            async with self._uploads.taken(request, person, call.sends, home) as taken:
                # That may have taken hours.
                require(person := await self._run(self._still, request, 0.0), call)
                return await self._done(request, call, asked, person, key, taken)

        return handler

    async def _done(
        self,
        request: web.Request,
        call: AnyCall,
        asked: Any,
        person: Person,
        key: str,
        sent: Taken | None,
    ) -> web.StreamResponse:
        if not key:
            async with self._shares.turn(person.name):
                return _tagged(request, await self._run(self._answer, call, asked, person, sent))
        async with self._turns.turn(person.name, key), self._shares.turn(person.name):
            return _kept(await self._run(self._once, call, asked, person, key, sent))

    def _home(self, person: Person) -> Path:
        with self._desk_of(person) as desk:
            return desk.home.path

    async def _run(self, does: Callable[..., Found], *arguments: Any) -> Found:
        async with self._at_once:
            return await asyncio.to_thread(does, *arguments)

    def _answer(self, call: AnyCall, asked: Any, person: Person, sent: Taken | None) -> bytes:
        with self._desk_of(person) as desk:
            return call.written(desk.ask(call, asked, sent.file if sent else None))

    def _once(
        self, call: AnyCall, asked: Any, person: Person, key: str, sent: Taken | None
    ) -> once.Answer:
        with self._desk_of(person) as desk:
            return once.do(desk, call, asked, key, sent)

    async def _openapi(self, request: web.Request) -> web.Response:
        if not self._document:  # once: it takes long, and anybody may ask for it
            self._document = json.dumps(openapi.document(self._prefix)).encode()
        return _tagged(request, self._document)


def _asked(call: AnyCall, request: web.Request, body: bytes) -> Any:
    return said.read(call, request.match_info, list(request.query.items()), body)


def _key(call: AnyCall, request: web.Request) -> str:
    return once.key_of(request.headers.getall(once.HEADER, [])) if call.method == POST else ""


async def _no_continue(_request: web.Request) -> None:
    """Who sends a file is told to go on when it is known that it is wanted (uploads.py)."""


def _tagged(request: web.Request, body: bytes) -> web.Response:
    """Returns the answer; that to a GET with an ETag, or 304 if who asks has it."""
    if request.method not in ("GET", "HEAD"):
        return web.Response(body=body, content_type="application/json")
    tag = '"' + hashlib.sha256(body).hexdigest()[:32] + '"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, content_type="application/json", headers=headers)


def _kept(answer: once.Answer) -> web.Response:
    headers = {"Cache-Control": "no-store"} | ({once.AGAIN: "true"} if answer.again else {})
    kind = "application/json" if answer.status == once.DONE else MEDIA_TYPE
    return web.Response(status=answer.status, body=answer.body, content_type=kind, headers=headers)
