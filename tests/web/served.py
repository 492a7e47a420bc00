"""A listener on a world's home, whose token is the name of a role."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from aiohttp import web

from modelwave_controller.desk.desk import desks
from modelwave_controller.errors import UnknownPersonError
from modelwave_controller.home import Home
from modelwave_controller.people.roles import ROLES, Person
from modelwave_controller.service.vitals import Vitals
from modelwave_controller.web.doorman import Doorman
from modelwave_controller.web.listener import Authenticate, Listener
from modelwave_controller.web.page.logins import Logins
from modelwave_controller.web.page.page import Door, Page
from modelwave_controller.web.public_url import PublicUrl
from modelwave_controller.web.running import listening
from tests.controller.rollout_world import World


@contextlib.contextmanager
def served(
    world: World,
    is_token: Callable[[str], bool] = ROLES.__contains__,
    tokens: Mapping[str, str] = MappingProxyType({}),
    **options: Any,
) -> Iterator[str]:
    """Yields the listener's URL. `tokens`: the roles of other tokens."""

    logins = Logins(world.home.config.fleet)
    door = _ByRole(is_token, tokens)

    def authenticate(request: web.Request) -> Person:
        header = request.headers.get("Authorization", "")
        token = header.removeprefix("Bearer ") or logins.token_of(request) or ""
        return door.holder(lambda: token, "")

    with _listening(world, authenticate, door, logins, **options) as url:
        yield url


class _ByRole(Door):
    def __init__(self, is_token: Callable[[str], bool], tokens: Mapping[str, str]) -> None:
        self._is_token = is_token
        self._tokens = tokens

    def holder(self, token: Callable[[], str], address: str) -> Person:
        role = self._tokens.get(token(), token())
        if not self._is_token(role):
            raise UnknownPersonError("no such token")
        return Person(f"some-{role}", role)

    def address(self, request: web.Request) -> str:
        return ""

    def signed_on(self, request: web.Request) -> Person | None:
        return None


@contextlib.contextmanager
def served_to_tokens(world: World) -> Iterator[str]:
    """The same for who has an access token of the world."""
    logins = Logins(world.home.config.fleet)
    doorman = Doorman(world.store, lambda: world.now, logins.token_of)
    with _listening(world, doorman.person, doorman, logins, still=doorman.still) as url:
        yield url


@contextlib.contextmanager
def as_set(world: World) -> Iterator[str]:
    """Yields the URL at which a service of the world's home answers, by the home's settings."""
    home = Home(world.home.path)  # which reads them anew
    with _looping() as loop:
        block = listening(home, world.store, Vitals(), lambda: world.now)
        yield asyncio.run_coroutine_threadsafe(block.__aenter__(), loop).result()
        asyncio.run_coroutine_threadsafe(block.__aexit__(None, None, None), loop).result()


@contextlib.contextmanager
def _listening(
    world: World,
    authenticate: Authenticate,
    door: Door,
    logins: Logins,
    public_url: str = "",
    **options: Any,
) -> Iterator[str]:
    """Yields the URL of a listener with these options, and with the page. `public_url`: where a
    proxy has put it."""
    public = PublicUrl(public_url)
    desk_of = desks(world.home, world.store, lambda: world.now)

    async def begin() -> tuple[Listener, int]:
        listener = Listener(authenticate, desk_of, prefix=public.prefix, **options)
        page = Page(world.home.config.fleet, door, desk_of, logins, public)
        page.add_routes(listener.add)
        return listener, await listener.start("127.0.0.1", 0)

    with _looping() as loop:
        listener, port = asyncio.run_coroutine_threadsafe(begin(), loop).result()
        yield f"http://127.0.0.1:{port}"
        asyncio.run_coroutine_threadsafe(listener.stop(), loop).result()


@contextlib.contextmanager
def _looping() -> Iterator[asyncio.AbstractEventLoop]:
    """Yields an event loop that runs in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
