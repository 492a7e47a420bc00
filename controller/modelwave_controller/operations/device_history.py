"""Reads the past of one device. It costs what is stored of the device, and not what the fleet has
answered: the log of answers is not read, but the newest answer to each part of a rollout
(storage/answered.py)."""

from collections import defaultdict
from collections.abc import Iterator
from math import inf

from sqlalchemy import Connection

from modelwave_controller.errors import NotFoundError
from modelwave_controller.operations import history, observations
from modelwave_controller.results.device_history import (
    DeviceAnswer,
    DeviceHistory,
    DeviceOrder,
    DeviceWindow,
)
from modelwave_controller.rollout import wanted
from modelwave_controller.rollout.events import Release
from modelwave_controller.rollout.numbers import Number
from modelwave_controller.rollout.state import Rollout, State
from modelwave_controller.storage import clock, device_past, gateways, log, windows
from modelwave_controller.storage.device_past import Place
from modelwave_controller.storage.tables import LIVE, SHADOW
from modelwave_controller.storage.waves import BACK, RETURNED, SETTLED, UNSHADOWED

ANSWERS, ACTS = 50, 20
WINDOWS = 48  # of a model, live and in shadow each

_PARTS = {
    BACK: "revert",
    SETTLED: "for all, after it",
    RETURNED: "for all, after the revert",
    UNSHADOWED: "end of the shadow",
}


def of(connection: Connection, device: str, now: float) -> DeviceHistory:
    """`now` is in Unix seconds. Raises NotFoundError for a device of which nothing is stored."""
    place = device_past.place(connection, device)
    acts = history.entries_of(connection, device_past.notes(connection, device, ACTS))
    if place is None and not acts and not gateways.of(connection, [device]):
        raise NotFoundError(f"DEVICE: nothing of {device} is stored; see `modelwave device list`")
    state = log.without_answers(connection)
    answers = list(_answers(connection, state, device))
    return DeviceHistory(
        device,
        list(_orders(state, device, place)) if place else [],
        answers[:ANSWERS],
        len(answers) > ANSWERS,
        list(_windows(connection, device, place, now)) if place else [],
        acts,
    )


def _orders(state: State, device: str, place: Place) -> Iterator[DeviceOrder]:
    for one in place.models:
        found = wanted.of(state, one.model, place.target, place.slot, device)
        if found:
            alone = state.alone.get(one.model, {}).get(device)
            yield DeviceOrder(
                one.model,
                found.release.release,
                found.release.version,
                found.rollout,
                _text(found.number),
                one.number >= found.number,
                alone is not None and alone.wanted == found,
                found.shadow,
            )


def _answers(connection: Connection, state: State, device: str) -> Iterator[DeviceAnswer]:
    rows = device_past.answers(connection, device, ANSWERS + 1)
    numbers: dict[str, list[Number]] = defaultdict(list)
    for row in rows:
        if row.rollout in state.rollouts:
            numbers[state.rollouts[row.rollout].model].append(row.number)
    issued = {m: device_past.issued(connection, m, found) for m, found in numbers.items()}
    for row in rows:
        rollout = state.rollouts.get(row.rollout)
        model = rollout.model if rollout else ""
        release = _release(rollout, row.number, device) if rollout else None
        yield DeviceAnswer(
            issued.get(model, {}).get(row.number),
            row.rollout,
            _PARTS.get(row.wave, f"stage {row.wave + 1}"),
            model,
            release.release if release else 0,
            release.version if release else "",
            _text(row.number),
            row.outcome,
            row.reason,
        )


def _release(rollout: Rollout, number: Number, device: str) -> Release | None:
    """Returns the release that an order of the rollout names."""
    wave = rollout.by_number.get(number)
    orders = (order for order in wave.orders if order.number == number) if wave else ()
    return next((order.release for order in orders if order.device in ("", device)), None)


def _windows(
    connection: Connection, device: str, place: Place, now: float
) -> Iterator[DeviceWindow]:
    clock_now = clock.shown(clock.stored(connection), log.service_seen_at(connection), now)
    since = clock_now - windows.KEPT_SECONDS
    for model in (one.model for one in place.models):
        for tables in (LIVE, SHADOW):
            read = windows.between(connection, model, [device], since, inf, tables)
            measured = [one for one in read.get(device, []) if one.seconds]
            for one in measured[-WINDOWS:]:
                yield DeviceWindow(
                    model,
                    one.release,
                    tables is SHADOW,
                    max(0.0, clock_now - one.end),
                    one.seconds,
                    one.inferences,
                    one.failures,
                    one.labelled,
                    one.correct,
                    observations.median_ms(one.latency()),
                )


def _text(number: Number) -> str:
    return f"{number.epoch}/{number.seq}" if number.epoch else f"{number.seq}"
