"""Counts devices a part at a time, where no counter has what is asked: nobody goes through the
fleet at once for it."""

from typing import NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, and_, case, func, select

from modelwave_controller.storage.last_heard import SEEN_CLOCK
from modelwave_controller.storage.tables import device_models, devices, last_heard, presence


class TargetCount(NamedTuple):
    """How many devices of a target there are, how many are online, and how many of these silent."""

    target: str
    devices: int
    online: int
    silent: int


class ReleaseCount(NamedTuple):
    """How many devices run a release; 0: they have none of the model yet."""

    target: str
    model: str
    release: int
    devices: int


class Part(NamedTuple):
    targets: list[TargetCount]
    releases: list[ReleaseCount]
    last: str  # the part's last device; "": it was the last part


def part(connection: Connection, after: str, limit: int, silent_before: float) -> Part:
    """Counts the `limit` devices that follow the id `after`. `silent_before`: a device that is
    online and was not heard since is silent, in seconds of the rollout clock."""
    following = select(devices.c.device).where(devices.c.device > after)
    last = connection.scalar(following.order_by(devices.c.device).limit(1).offset(limit - 1))

    def within(column: Column[str]) -> ColumnElement[bool]:
        """In each table, so that no database goes through a whole one for a part."""
        return column > after if last is None else (column > after) & (column <= last)

    is_online = func.coalesce(presence.c.online, False)
    is_silent = and_(is_online, silent_before > SEEN_CLOCK)
    its = devices.c.device
    counts = (func.count(), func.sum(_one_if(is_online)), func.sum(_one_if(is_silent)))
    of_target = (
        select(devices.c.target, *counts)
        .select_from(
            devices.outerjoin(
                last_heard, (last_heard.c.device == its) & within(last_heard.c.device)
            ).outerjoin(presence, (presence.c.device == its) & within(presence.c.device))
        )
        .where(within(its))
        .group_by(devices.c.target)
    )
    which = (devices.c.target, device_models.c.model, device_models.c.release)
    of_release = (
        select(*which, func.count())
        .join(device_models, device_models.c.device == its)
        .where(within(its), within(device_models.c.device))
        .group_by(*which)
    )
    return Part(
        [TargetCount(*row) for row in connection.execute(of_target)],
        [ReleaseCount(*row) for row in connection.execute(of_release)],
        last or "",
    )


def _one_if(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return case((condition, 1), else_=0)
