"""Brings a message once, by an alert's webhook or command."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from modelwave_controller.alerts import program, signing, webhook
from modelwave_controller.alerts.outcome import NotSent
from modelwave_controller.alerts.settings import AlertSettings
from modelwave_controller.errors import OperatorError

logger = logging.getLogger(__name__)


class Brought(Protocol):
    """What is brought: rollout/alert_message.py's Message."""

    @property
    def id(self) -> str: ...
    @property
    def body(self) -> bytes: ...
    @property
    def variables(self) -> dict[str, str]: ...


Carry = Callable[[Brought, float], Awaitable[None]]


def require(settings: AlertSettings, folder: Path) -> None:
    """Raises OperatorError if a file that the settings name cannot be used."""
    if settings.url:
        _secrets(settings, folder)


def carrier(settings: AlertSettings, folder: Path, stopping: threading.Event) -> Carry:
    """Returns what brings a message at a time, in Unix seconds; it raises NotSent. `folder` is the
    home's: paths are relative to it. `stopping` ends commands early."""

    async def post(what: Brought, now: float) -> None:
        try:
            secrets = _secrets(settings, folder)  # each time: it may have been exchanged
        except OperatorError as error:
            raise NotSent(str(error)) from error
        headers = signing.headers(secrets, what.id, now, what.body)
        headers |= {"content-type": "application/json", "user-agent": "modelwave"}
        await webhook.post(settings.url, headers, what.body, settings.seconds)

    async def run(what: Brought, _now: float) -> None:
        said = await asyncio.to_thread(
            program.run,
            settings.command,
            folder,
            what.variables,
            what.body,
            settings.seconds,
            stopping,
        )
        if said:
            logger.info("alert %s: %s says: %s", settings.name, settings.command[0], said)

    return post if settings.url else run


def _secrets(settings: AlertSettings, folder: Path) -> list[bytes]:
    what = f"alerts, {settings.name}: secret_file"
    return signing.read_secrets(folder / settings.secret_file, what)
