"""Shows how far the alerts have come, and sends one to try it."""

import asyncio
import secrets
import threading

from sqlalchemy import Connection

from modelwave_controller.alerts.carrier import carrier
from modelwave_controller.alerts.outcome import NotSent
from modelwave_controller.alerts.settings import AlertSettings
from modelwave_controller.errors import NotFoundError, NotTakenError
from modelwave_controller.home import Home
from modelwave_controller.results.alerts import AlertState, Tested
from modelwave_controller.rollout.alert_message import Place, trial_message
from modelwave_controller.storage import alert_reading, alert_rows, log
from modelwave_controller.storage.alert_rows import AlertRow


def states(connection: Connection, alerts: list[AlertSettings]) -> list[AlertState]:
    """Returns the state of each alert of the settings."""
    return [_state(connection, one) for one in alerts]


def _state(connection: Connection, settings: AlertSettings) -> AlertState:
    found = alert_rows.get(connection, settings.name)
    row, waiting = found or AlertRow(settings.name, 0), 0
    if found is not None:
        newest = log.newest_id(connection)
        waiting = len(alert_reading.events(connection, settings.on, row.cursor, newest).events)
    return AlertState(
        name=settings.name,
        on=[*settings.on],
        way=settings.way,
        cursor=row.cursor if found is not None else None,
        waiting=waiting,
        sent=row.sent,
        sent_at=row.sent_at or None,
        tries=row.tries,
        given_up=row.given_up,
        error=row.error,
        error_at=row.error_at or None,
    )


def send_test(home: Home, name: str, now: float, who: str) -> Tested:
    """Sends a message that tells nothing, once; `now` is in Unix seconds. Raises NotFoundError, and
    NotTakenError if it is not taken."""
    named = {one.name: one for one in home.config.alerts}
    if name not in named:
        known = ", ".join(named) or "it has none"
        raise NotFoundError(f"controller.toml has no alert {name}: {known}")
    settings = named[name]
    place = Place(home.config.fleet, name, home.config.api.url)
    message = trial_message(place, now, secrets.token_hex(8), who)

    async def send() -> None:
        await carrier(settings, home.path, threading.Event())(message, now)

    try:
        asyncio.run(send())
    except NotSent as error:
        raise NotTakenError(f"alert {name}: {error}") from error
    return Tested(name, message.id, settings.way)
