"""Writes the message of one alert, or of several that come together. Pure.

The body is JSON in the form of Standard Webhooks: `type`, `timestamp` and `data`. It follows from
the events alone, so that a message that is sent again, perhaps by another service, is the same,
with the same id.
"""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from modelwave_controller.phrases import plural
from modelwave_controller.rollout.alerts import Alert

TEST, DIGEST = "test", "digest"
MAX_TOLD = 50  # alerts of a digest that are told one by one
MAX_LINES = 10  # of its text
MAX_WHY = 500  # characters


class Place(NamedTuple):
    """What a message says of where it comes from: the fleet, the name of the alert's settings, and
    the URL of the page, or ""."""

    fleet: str
    alert: str
    page: str


class Message(NamedTuple):
    """`until`: the id of the newest event in it."""

    id: str
    until: int
    body: bytes
    variables: dict[str, str]  # for a command


def message(place: Place, told: Sequence[Alert]) -> Message:
    """Returns the message of one alert, or the digest of several."""
    last = told[-1]
    if len(told) == 1:
        data = _data(place, last)
        return _made(place, f"{place.fleet}-{place.alert}-{last.event}", f"rollout.{last.on}", data)
    counts = Counter(one.status for one in told)
    head = ", ".join(f"{number} {status}" for status, number in counts.items())
    lines = [_line(one) for one in told[-MAX_LINES:]]
    data = {
        "text": "\n".join([f"{plural(len(told), 'alert')} of fleet {place.fleet}: {head}", *lines]),
        "fleet": place.fleet,
        "alert": place.alert,
        "event": last.event,
        "at": last.at,
        "status": "DIGEST",
        "number": len(told),
        "counts": dict(counts),
        "newest": [_data(place, one) for one in told[-MAX_TOLD:]],
        "url": place.page,
    }
    id = f"{place.fleet}-{place.alert}-{told[0].event}-{last.event}"
    return _made(place, id, DIGEST, data)


def trial_message(place: Place, now: float, chance: str, who: str) -> Message:
    """Returns one that tells nothing; `chance`: what makes its id its own."""
    data = {
        "text": f"TEST: an alert of fleet {place.fleet}, asked for by {_plain(who)}",
        "fleet": place.fleet,
        "alert": place.alert,
        "event": 0,
        "at": now,
        "status": "TEST",
        "url": place.page,
    }
    return _made(place, f"{place.fleet}-{place.alert}-test-{chance}", TEST, data)


def _data(place: Place, one: Alert) -> dict[str, Any]:
    return {
        "text": f"{_line(one)}\nnext: {one.next}",
        "fleet": place.fleet,
        "alert": place.alert,
        "event": one.event,
        "at": one.at,
        "status": one.status,
        "rollout": one.rollout,
        "model": one.model,
        "release": one.release,
        "stage": one.stage,
        "stages": one.stages,
        "why": _plain(one.why),
        "next": one.next,
        "url": f"{place.page}/rollouts/{one.rollout}" if place.page else "",
    }


def _line(one: Alert) -> str:
    which = f"rollout {one.rollout} ({_plain(f'{one.model} {one.release}')})"
    stage = "" if one.stage is None else f", stage {one.stage} of {one.stages}"
    return f"{one.status}: {which}{stage}: {_plain(one.why)}"


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:MAX_WHY])


def _made(place: Place, id: str, kind: str, data: dict[str, Any]) -> Message:
    at = datetime.fromtimestamp(max(0.0, min(data["at"], 1e11)), UTC)
    body = {"type": kind, "timestamp": at.isoformat(timespec="seconds"), "data": data}
    variables = {
        "MODELWAVE_ALERT_ID": id,
        "MODELWAVE_ALERT_TYPE": kind,
        "MODELWAVE_ALERT_STATUS": data["status"],
        "MODELWAVE_ALERT_FLEET": place.fleet,
        "MODELWAVE_ALERT_NAME": place.alert,
        "MODELWAVE_ALERT_TEXT": data["text"],
        "MODELWAVE_ALERT_URL": data["url"],
    }
    return Message(id, data["event"], json.dumps(body).encode(), variables)
