"""Reads what is stored of one device's past: where it is, what it answered, and what was done to
it."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, or_, select, tuple_

from modelwave_controller.rollout import events as bodies
from modelwave_controller.rollout.events import (
    DeviceApproved,
    DeviceRevoked,
    Event,
    Forgotten,
    Replaced,
    Tagged,
)
from modelwave_controller.rollout.numbers import Number
from modelwave_controller.storage.chunks import chunks
from modelwave_controller.storage.tables import answered, device_models, devices, events, orders

KINDS = tuple(
    body.model_fields["kind"].default
    for body in (DeviceApproved, DeviceRevoked, Forgotten, Replaced, Tagged)
)


class Reported(NamedTuple):
    """A model that the device reports, and the order that it names."""

    model: str
    epoch: int
    seq: int

    @property
    def number(self) -> Number:
        return Number(self.epoch, self.seq)


class Place(NamedTuple):
    target: str
    slot: int
    models: list[Reported]


class Answer(NamedTuple):
    """A row of `answered`, of one device."""

    rollout: int
    wave: int
    epoch: int
    seq: int
    outcome: str
    reason: str

    @property
    def number(self) -> Number:
        return Number(self.epoch, self.seq)


def place(connection: Connection, device: str) -> Place | None:
    """Returns where the device is; None if no report of it is stored."""
    its = devices.c
    row = connection.execute(select(its.target, its.slot).where(its.device == device)).first()
    if row is None:
        return None
    held = device_models.c
    query = select(held.model, held.epoch, held.seq).where(held.device == device)
    models = [Reported(*one) for one in connection.execute(query.order_by(held.model))]
    return Place(row.target, row.slot, models)


def answers(connection: Connection, device: str, limit: int) -> list[Answer]:
    """Returns its newest answer to each part of its rollouts, those to the newest orders first; one
    that is awaited is there without an outcome."""
    its = answered.c
    query = select(*(its[name] for name in Answer._fields))
    query = query.where(its.device == device, or_(its.seq > 0, its.epoch > 0))
    query = query.order_by(its.rollout.desc(), its.epoch.desc(), its.seq.desc()).limit(limit)
    return [Answer(*row) for row in connection.execute(query)]


def issued(connection: Connection, model: str, numbers: Sequence[Number]) -> dict[Number, int]:
    """Returns when these orders of the model were signed, in Unix seconds, where that is stored."""
    its = orders.c
    query = select(its.epoch, its.seq, its.issued).where(its.model == model, its.issued > 0)
    return {
        Number(row.epoch, row.seq): row.issued
        for chunk in chunks(sorted(set(numbers)))
        for row in connection.execute(query.where(tuple_(its.epoch, its.seq).in_(chunk)))
    }


def notes(connection: Connection, device: str, limit: int) -> list[Event]:
    """Returns the newest events about the device itself, the newest first: what people did to it,
    and that it was replaced."""
    its = events.c
    query = select(its.id, its.rollout, its.at, its.kind, its.body)
    about = its.body.contains(f'"device":{json.dumps(device)}', autoescape=True)
    query = query.where(its.kind.in_(KINDS), about).order_by(its.id.desc()).limit(limit)
    return [bodies.load_event(*row) for row in connection.execute(query)]
