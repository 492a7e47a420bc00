"""Compares the order numbers that devices report, and those that the broker holds, with the numbers
that this controller has given.

A device is ahead if it has taken an order with a higher number than any that the controller knows
of: the database was lost, or restored from a backup. It then refuses every order that is not above
its own. Reports are not signed, so a single device can name any number. The orders at the broker
are: one that the service has noted in the log (service/differences.py) proves its number.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from modelwave_controller.rollout.events import FLEET, FOUND_NEWER, FoundNewer, load_event
from modelwave_controller.rollout.numbers import NO_NUMBER, Number
from modelwave_controller.storage import floors
from modelwave_controller.storage.tables import device_models, devices, events, orders, reporting

MAX_JUMP = 1_000_000  # a device that is further ahead than this is not believed by itself


class Ahead(NamedTuple):
    """A device whose newest order is above the controller's newest number."""

    device: str
    target: str
    slot: int
    seq: int


class Comparison(NamedTuple):
    """The numbers of one model."""

    given: int  # the controller's newest number, or the floor if that is above it
    devices: int  # that report the model
    ahead: Sequence[Ahead]  # the highest number first
    at_broker: int = 0  # the highest number found there and not recovered yet; 0: none

    @property
    def proved(self) -> int:
        """The highest number that one of our orders is known to have."""
        return max(self.given, self.at_broker)

    @property
    def believed(self) -> list[Ahead]:
        return [one for one in self.ahead if one.seq - self.proved <= MAX_JUMP]


def compare(connection: Connection, model: str, epoch: int) -> Comparison:
    """Compares the model's numbers in `epoch`, that of the fleet's root: a higher epoch begins new
    ones."""
    given = newest_given(connection, model, epoch)
    count = select(func.sum(reporting.c.devices)).where(reporting.c.model == model)
    query = (
        select(devices.c.device, devices.c.target, devices.c.slot, device_models.c.seq)
        .join(device_models, devices.c.device == device_models.c.device)
        .where(device_models.c.model == model)
        .where(device_models.c.epoch == epoch, device_models.c.seq > given)
        .order_by(device_models.c.seq.desc(), devices.c.device)
    )
    found = found_newer(connection).get(model, NO_NUMBER)
    at_broker = found.seq if found.epoch == epoch else 0
    return Comparison(
        given=given,
        at_broker=at_broker if at_broker > floors.of(connection, model, epoch) else 0,
        devices=int(connection.scalar(count) or 0),
        ahead=[Ahead(*row) for row in connection.execute(query)],
    )


def newest_given(connection: Connection, model: str, epoch: int) -> int:
    """Returns the highest number in the epoch that the controller has given, or that its floor
    stands at."""
    query = select(func.max(orders.c.seq)).where(orders.c.model == model, orders.c.epoch == epoch)
    return max(connection.scalar(query) or 0, floors.of(connection, model, epoch))


def newest_signed(connection: Connection, model: str) -> Number:
    """Returns the highest number of the model's orders in this database."""
    query = select(orders.c.epoch, orders.c.seq).where(orders.c.model == model)
    row = connection.execute(
        query.order_by(orders.c.epoch.desc(), orders.c.seq.desc()).limit(1)
    ).first()
    return Number(*row) if row else NO_NUMBER


def found_newer(connection: Connection) -> dict[str, Number]:
    """Returns {model: the highest number of an order that was found at the broker when this
    database did not know it}."""
    query = select(events.c.id, events.c.rollout, events.c.at, events.c.kind, events.c.body)
    query = query.where(events.c.kind == FOUND_NEWER, events.c.rollout == FLEET)
    found: dict[str, Number] = {}
    for row in connection.execute(query):
        body = load_event(*row).body
        if isinstance(body, FoundNewer):
            found[body.model] = max(body.number, found.get(body.model, NO_NUMBER))
    return found


def not_surpassed(connection: Connection, epoch: int) -> dict[str, Number]:
    """Returns {model: the number} of the models for which no order of this controller is newer than
    such an order: what it has signed must not take the place of what the broker holds. Orders of
    before `epoch`, in which orders are signed, count for nothing."""
    return {
        model: number
        for model, number in found_newer(connection).items()
        if number.epoch >= epoch and number >= newest_signed(connection, model)
    }


def newest_epoch(connection: Connection, model: str) -> int:
    """Returns the highest epoch of the model's orders; 0 if there are none."""
    return connection.scalar(select(func.max(orders.c.epoch)).where(orders.c.model == model)) or 0


def models(connection: Connection) -> list[str]:
    """Returns the models that have orders, here or at the broker, or that devices report."""
    found = [*connection.scalars(select(orders.c.model).distinct()), *found_newer(connection)]
    return sorted({*found, *connection.scalars(select(device_models.c.model).distinct())})


def releases(connection: Connection, model: str) -> list[tuple[str, int, str, int]]:
    """Returns (target, release, manifest's sha256, number of devices) for each release that devices
    run, the one that most run first."""
    what = (devices.c.target, device_models.c.release, device_models.c.sha256)
    query = (
        select(*what, func.count().label("number"))
        .join(devices, devices.c.device == device_models.c.device)
        .where(device_models.c.model == model, device_models.c.sha256 != "")
        .group_by(*what)
        .order_by(func.count().desc(), *what)
    )
    return [(row[0], row[1], row[2], row[3]) for row in connection.execute(query)]
