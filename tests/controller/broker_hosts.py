"""Brokers for the tests, each in an event loop of its own on its own thread."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from broker_clients import DEADLINE_SECONDS

from modelwave_controller.broker import (
    EmbeddedBroker,
    EmbeddedBrokerSettings,
    FleetAcl,
    hash_password,
)

FLEET = "demo"
PASSWORDS = {"controller": "c0ntrol", "cam-1": "one", "cam-2": "two"}
# Hashing is slow on purpose, and the same for every test.
HASHES = {name: hash_password(password) for name, password in PASSWORDS.items()}


def settings_with_users(**changes: Any) -> EmbeddedBrokerSettings:
    return EmbeddedBrokerSettings(users=HASHES, acl=FleetAcl(FLEET), **changes)


class Host:
    """A broker that runs; `call` runs a coroutine function in its loop and returns the result."""

    def __init__(self, loop: asyncio.AbstractEventLoop, broker: EmbeddedBroker) -> None:
        self.loop = loop
        self.broker = broker
        self.port = broker.port

    def call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(DEADLINE_SECONDS)


@contextmanager
def hosted(make: Callable[[], EmbeddedBroker]) -> Iterator[Host]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="broker-under-test")
    thread.start()

    async def start() -> Host:
        broker = make()
        await broker.start()
        return Host(loop, broker)

    async def stop(broker: EmbeddedBroker) -> None:
        await broker.stop()
        assert others() == [], "stop() left tasks running"

    def others() -> list[asyncio.Task[Any]]:
        return [task for task in asyncio.all_tasks(loop) if task is not asyncio.current_task()]

    try:
        host = asyncio.run_coroutine_threadsafe(start(), loop).result(DEADLINE_SECONDS)
        try:
            yield host
        finally:
            host.call(stop(host.broker))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


@contextmanager
def embedded(settings: EmbeddedBrokerSettings | None = None) -> Iterator[Host]:
    with hosted(lambda: EmbeddedBroker(settings or EmbeddedBrokerSettings())) as host:
        yield host
