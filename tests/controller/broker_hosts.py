"""Brokers for the tests, each in an event loop of its own on its own thread."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from amqtt.broker import Broker
from broker_clients import DEADLINE_SECONDS, RawClient

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

    def __init__(self, loop: asyncio.AbstractEventLoop, broker: Broker) -> None:
        self.loop = loop
        self.broker = broker
        self.port: int = broker._servers["default"].instance.sockets[0].getsockname()[1]

    def call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(DEADLINE_SECONDS)


@contextmanager
def hosted(make: Callable[[], Broker]) -> Iterator[Host]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="broker-under-test")
    thread.start()

    async def start() -> Host:
        broker = make()
        await broker.start()
        return Host(loop, broker)

    async def stop(broker: Broker) -> None:
        if isinstance(broker, EmbeddedBroker):
            await broker.stop()
            assert others() == [], "stop() left tasks running"
            return
        RawClient.close_all()  # or amqtt keeps their connections
        if broker.transitions.state == "started":
            await broker.shutdown()
        while others():  # amqtt leaves some behind
            for task in others():
                task.cancel()
            await asyncio.wait(others(), timeout=1)

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


@contextmanager
def plain(**plugins: dict[str, Any]) -> Iterator[Host]:
    """amqtt as it comes, with anonymous access unless a password plugin is named."""
    known = {
        "acl": "amqtt.plugins.topic_checking.TopicAccessControlListPlugin",
        "passwords": "amqtt.plugins.authentication.FileAuthPlugin",
    }
    configured = {known[name]: options for name, options in plugins.items()}
    if "passwords" not in plugins:
        configured["amqtt.plugins.authentication.AnonymousAuthPlugin"] = {}
    config = {
        "listeners": {"default": {"type": "tcp", "bind": "127.0.0.1:0"}},
        "plugins": configured,
    }
    with hosted(lambda: Broker(config)) as host:
        yield host
