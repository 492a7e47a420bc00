"""Finds which devices are listed, a page of names at a time: what a page costs does not grow with
the fleet. The names are in the order in which the database compares texts.

Listed are devices that have reported, those that are enrolled, and names in which something came
that does not count.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, exists, or_, select, union

from modelwave_controller.results.devices import VIEW_TROUBLES
from modelwave_controller.storage.tables import (
    bad_messages,
    device_models,
    devices,
    enrolled,
    last_heard,
    presence,
    tags,
    unproven,
    waiting,
)
from modelwave_shared.words import SHADOWED, SUCCEEDED


class Wanted(NamedTuple):
    """Which names are wanted: those to which all of it applies. `trouble` and `offline` leave out
    most of the others only: the caller looks at what is found. `silent_before`: by the rollout
    clock, whoever reported before that is silent. `with_unproven`: names in which something came
    that was not proven are listed too."""

    named: str | None = None  # it has this in it
    target: str | None = None  # that it reported, or else that it was enrolled with
    tag: str | None = None
    model: str | None = None  # that it reports
    not_on: int | None = None  # it reports a model, or `model`, with another release live
    outcome: str | None = None  # it reports a model, or `model`, with this last answer
    gateway: str | None = None  # that it is reached through
    offline: bool = False
    trouble: bool = False
    silent_before: float = 0.0
    with_unproven: bool = False


def names(connection: Connection, wanted: Wanted, after: str, limit: int) -> list[str]:
    """Returns the first `limit` wanted names after `after`."""
    tables = [devices, enrolled, waiting, bad_messages]
    pages = [
        select(_page(table, wanted, after, limit).subquery().c.device)
        for table in (*tables, unproven)
        if wanted.with_unproven or table is not unproven
    ]
    found = union(*pages).subquery()
    query = select(found.c.device).order_by(found.c.device).limit(limit)
    return list(connection.scalars(query))


def models(connection: Connection, limit: int) -> list[str]:
    """Returns models that devices report, at most `limit`."""
    query = select(device_models.c.model).distinct().limit(limit)
    return sorted(connection.scalars(query))


def _page(table: Any, wanted: Wanted, after: str, limit: int) -> Any:
    name = table.c.device
    query = select(name).where(name > after, *_conditions(name, wanted))
    if table is enrolled:
        query = query.where(enrolled.c.revoked_at == 0)
    return query.order_by(name).limit(limit)


def _conditions(name: Any, wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    if wanted.named is not None:
        yield name.contains(wanted.named, autoescape=True)
    if wanted.target is not None:
        reported, expected = devices.alias(), enrolled.alias()
        is_of = reported.c.target == wanted.target, expected.c.target == wanted.target
        yield or_(
            _has(reported, name, is_of[0]),
            and_(~_has(devices.alias(), name), _has(expected, name, is_of[1])),
        )
    if wanted.gateway is not None:
        its = devices.alias()
        yield _has(its, name, its.c.via == wanted.gateway)
    if wanted.tag is not None:
        its = tags.alias()
        yield _has(its, name, its.c.tag == wanted.tag)
    if wanted.model is not None or wanted.not_on is not None:
        its, model = _of_model(wanted)
        other = () if wanted.not_on is None else (its.c.release != wanted.not_on,)
        yield _has(its, name, *model, *other)
    if wanted.outcome is not None:
        its, model = _of_model(wanted)
        yield _has(its, name, *model, its.c.outcome == wanted.outcome)
    if wanted.offline:
        its = presence.alias()
        yield or_(~_has(its, name, its.c.online), _is_silent(name, wanted))
    if wanted.trouble and not wanted.with_unproven:
        yield or_(*_troubles(name, wanted))


def _of_model(wanted: Wanted) -> tuple[Any, tuple[ColumnElement[bool], ...]]:
    """Returns the models that devices report, and the condition that it is the wanted one."""
    its = device_models.alias()
    return its, () if wanted.model is None else (its.c.model == wanted.model,)


def _troubles(name: Any, wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    """Yields what each device with a trouble, or a silent one, has at least one of."""
    yield _is_silent(name, wanted)
    yield _has(bad_messages.alias(), name)
    yield _has(waiting.alias(), name)
    yield ~_has(devices.alias(), name)
    its = devices.alias()
    noted = its.c.stale > 0, its.c.clones > 0, its.c.refused != ""
    yield _has(its, name, or_(*noted, its.c.view.in_(list(VIEW_TROUBLES))))
    state = device_models.alias()
    ended_well = state.c.outcome.in_(["", SUCCEEDED, SHADOWED])
    yield _has(state, name, or_(state.c.tries > 0, ~ended_well))


def _is_silent(name: Any, wanted: Wanted) -> ColumnElement[bool]:
    its, repeated = devices.alias(), last_heard.alias()
    return and_(
        _has(its, name, its.c.seen_clock < wanted.silent_before),
        ~_has(repeated, name, repeated.c.clock >= wanted.silent_before),
    )


def _has(its: Any, name: Any, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(its.c.device == name, *conditions)
