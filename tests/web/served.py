"""A listener on a world's home, whose token is the name of a role."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from aiohttp import web

from modelwave_controller.desk.desk import Desk
from modelwave_controller.errors import UnknownPersonError
from modelwave_controller.people.roles import ROLES, Person
from modelwave_controller.web.doorman import Doorman
from modelwave_controller.web.listener import Authenticate, Listener
from tests.controller.rollout_world import World


@contextlib.contextmanager
def served(
    world: World, is_token: Callable[[str], bool] = ROLES.__contains__, **options: Any
) -> Iterator[str]:
    """Yields the listener's URL."""

    def authenticate(request: web.Request) -> Person:
        role = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not is_token(role):
            raise UnknownPersonError("no such token")
        return Person(f"some-{role}", role)

    with listening(world, authenticate, **options) as url:
        yield url


@contextlib.contextmanager
def served_to_tokens(world: World) -> Iterator[str]:
    """The same for who has an access token of the world."""
    doorman = Doorman(world.store, lambda: world.now)
    with listening(world, doorman.person, still=doorman.still) as url:
        yield url


@contextlib.contextmanager
def listening(world: World, authenticate: Authenticate, **options: Any) -> Iterator[str]:
    """Yields the URL of a listener with these options."""

    @contextlib.contextmanager
    def desk_of(person: Person) -> Iterator[Desk]:
        yield Desk(world.home, world.store, person, lambda: world.now)

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def begin() -> tuple[Listener, int]:
        listener = Listener(authenticate, desk_of, **options)
        return listener, await listener.start("127.0.0.1", 0)

    try:
        listener, port = asyncio.run_coroutine_threadsafe(begin(), loop).result()
        yield f"http://127.0.0.1:{port}"
        asyncio.run_coroutine_threadsafe(listener.stop(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
