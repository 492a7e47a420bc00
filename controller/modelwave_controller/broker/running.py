"""Runs the embedded broker until it is cancelled, and follows the file of its users."""

import asyncio
import logging
from collections.abc import Callable

from modelwave_controller.broker.embedded import EmbeddedBroker
from modelwave_controller.broker.errors import BrokerError
from modelwave_controller.broker.settings import EmbeddedBrokerSettings
from modelwave_controller.broker.users_file import UsersFile

log = logging.getLogger("modelwave_controller.broker")

REREAD_SECONDS = 2.0


async def run_broker(
    settings: EmbeddedBrokerSettings,
    ready: Callable[[int], None] | None = None,
    users: UsersFile | None = None,
) -> None:
    """Serves until cancelled, then stops in order. Calls `ready` with the port. `users`: the file
    that the settings' users are of; changes of it take effect within REREAD_SECONDS.

    Raises BrokerError if it cannot listen.
    """
    broker = EmbeddedBroker(settings)
    await broker.start()
    try:
        if ready is not None:
            ready(broker.port)
        while users is not None:
            await asyncio.sleep(REREAD_SECONDS)
            await _reread(broker, users)
        await asyncio.Event().wait()
    finally:
        await broker.stop()


async def _reread(broker: EmbeddedBroker, users: UsersFile) -> None:
    try:
        settings = await asyncio.to_thread(users.read_if_changed)
    except BrokerError as error:
        log.error("the broker goes on with the users that it had: %s", error)
        return
    if settings is not None:
        broker.replace_users(settings)
        log.info("the broker has read its users again: %d", len(settings.users or {}))
