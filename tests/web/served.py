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
from modelwave_controller.people.roles import ROLES, Person
from modelwave_controller.web.doorman import Doorman
from modelwave_controller.web.listener import Authenticate, Listener
from modelwave_controller.web.page.logins import Logins
from modelwave_controller.web.page.page import Page
from modelwave_controller.web.public_url import PublicUrl
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

    def authenticate(request: web.Request) -> Person:
        header = request.headers.get("Authorization", "")
        return holder(lambda: header.removeprefix("Bearer ") or logins.token_of(request) or "", "")

    def holder(token: Callable[[], str], _address: str) -> Person:
        role = tokens.get(token(), token())
        if not is_token(role):
            raise UnknownPersonError("no such token")
        return Person(f"some-{role}", role)

    with listening(world, authenticate, holder, logins, **options) as url:
        yield url


@contextlib.contextmanager
def served_to_tokens(world: World) -> Iterator[str]:
    """The same for who has an access token of the world."""
    logins = Logins(world.home.config.fleet)
    doorman = Doorman(world.store, lambda: world.now, logins.token_of)
    with listening(world, doorman.person, doorman.holder, logins, still=doorman.still) as url:
        yield url


@contextlib.contextmanager
def listening(
    world: World,
    authenticate: Authenticate,
    holder: Callable[[Callable[[], str], str], Person],
    logins: Logins,
    public_url: str = "",
    **options: Any,
) -> Iterator[str]:
    """Yields the URL of a listener with these options, and with the page. `public_url`: where a
    proxy has put it."""
    public = PublicUrl(public_url)
    desk_of = desks(world.home, world.store, lambda: world.now)

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def begin() -> tuple[Listener, int]:
        listener = Listener(authenticate, desk_of, prefix=public.prefix, **options)
        page = Page(world.home.config.fleet, holder, desk_of, logins, lambda _request: "", public)
        page.add_routes(listener.add)
        return listener, await listener.start("127.0.0.1", 0)

    try:
        listener, port = asyncio.run_coroutine_threadsafe(begin(), loop).result()
        yield f"http://127.0.0.1:{port}"
        asyncio.run_coroutine_threadsafe(listener.stop(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
