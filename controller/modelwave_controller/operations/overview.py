"""Reads the state of the fleet for the command that shows it. The database counts the devices."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, case, func, select

from modelwave_controller.operations import membership, unproven
from modelwave_controller.operations.device_entries import silent_before
from modelwave_controller.operations.health import Health, health
from modelwave_controller.operations.membership import Membership
from modelwave_controller.rollout.state import FINAL
from modelwave_controller.storage import clock, last_heard, lease, log, metrics, shares, views
from modelwave_controller.storage import devices as stored
from modelwave_controller.storage.metrics import ReleaseSums, ShadowSums
from modelwave_controller.storage.proven import OFF
from modelwave_controller.storage.tables import device_models, devices, presence


@dataclass(frozen=True)
class Fleet:
    fleet: str
    devices: int
    online: int | None  # None: not known, because no service receives messages now
    silent: int  # of those that are online
    targets: dict[str, int]
    live: list[dict[str, Any]]  # model, release (0: none), devices
    rollouts: list[dict[str, Any]]  # those that are not over
    metrics: list[ReleaseSums]
    shadows: list[ShadowSums]  # of releases that ran beside the live one
    service_seen_at: int
    service_runs: bool
    problem: str  # of the service or its connection, and what to do; "": none
    clock_doubt: str  # "": none
    key_away: str  # why no order can be signed with the order key; "": it can
    restored: list[str]  # models whose order numbers are to be recovered after a restore
    behind: dict[str, str]  # by model: what the broker holds that this database does not know
    leader: dict[str, Any] | None  # the service that leads: host, pid; None also if it is dead
    shares: list[dict[str, Any]]  # with ingest processes: share, host, pid ("", 0: nobody)
    link: dict[str, Any]  # its connection to the broker: connected, since (Unix seconds)
    cloned: list[str]  # ids that two devices use
    views: dict[str, list[str]]  # by word (views.TROUBLES): devices whose view is not fresh
    membership: Membership  # devices of which nothing is stored
    proof: str  # whether reports have to prove their device: off, show, require
    in_doubt: list[str]  # devices whose newest report is not proven
    unproven: list[str]  # names in which something came within a day that was not proven


def fleet(connection: Connection, name: str, now: float, proof: str = OFF) -> Fleet:
    """`now` is in Unix seconds; `proof` that of [devices] in controller.toml."""
    found, state = health(connection, now), log.without_answers(connection)
    clocks = clock.stored(connection)
    targets = _targets(connection)
    online, silent = _online(connection, clocks.seconds) if found.up_to_date else (None, 0)
    return Fleet(
        fleet=name,
        devices=sum(targets.values()),
        online=online,
        silent=silent,
        targets=targets,
        live=_live(connection),
        rollouts=[
            {"rollout": r.id, "model": r.model, "status": r.status}
            for r in state.rollouts.values()
            if r.status not in FINAL
        ],
        metrics=metrics.by_release(connection),
        shadows=metrics.of_shadows(connection),
        service_seen_at=found.seen_at,
        service_runs=found.service_runs,
        problem=found.problem,
        clock_doubt=clocks.doubt,
        key_away=state.key_away,
        restored=sorted(state.restored),
        behind={model: state.numbers_doubt(model) for model in sorted(state.behind)},
        leader=_leader(found),
        shares=[
            {"share": one.number, "host": one.host, "pid": one.pid}
            for one in shares.stored(connection)
        ],
        link=lease.link_state(connection)._asdict(),
        cloned=stored.cloned(connection),
        views=_not_fresh(connection),
        membership=membership.membership(connection),
        proof=proof,
        in_doubt=unproven.in_doubt(connection, proof),
        unproven=unproven.lately(connection, proof, now),
    )


def _targets(connection: Connection) -> dict[str, int]:
    """Returns {target: number of devices}."""
    query = select(devices.c.target, func.count()).group_by(devices.c.target)
    return dict(sorted((target, number) for target, number in connection.execute(query)))


def _online(connection: Connection, clock_now: float) -> tuple[int, int]:
    """Returns how many devices are online, and how many of these are silent; `clock_now` is the
    rollout clock."""
    is_silent = silent_before(clock_now) > last_heard.SEEN_CLOCK
    query = (
        select(func.count(), func.sum(case((is_silent, 1), else_=0)))
        .select_from(last_heard.NEWEST)
        .join(presence, devices.c.device == presence.c.device)
        .where(presence.c.online)
    )
    online, silent = connection.execute(query).one()
    return online, silent or 0


def _live(connection: Connection) -> list[dict[str, Any]]:
    which = (device_models.c.model, device_models.c.release)
    query = select(*which, func.count().label("devices")).group_by(*which)
    rows = [row._asdict() for row in connection.execute(query)]
    return sorted(rows, key=lambda row: (row["model"], row["release"]))


def _not_fresh(connection: Connection) -> dict[str, list[str]]:
    query = select(devices.c.view, devices.c.device).where(devices.c.view.in_(list(views.TROUBLES)))
    found: dict[str, list[str]] = {}
    for word, device in connection.execute(query.order_by(devices.c.device)):
        found.setdefault(word, []).append(device)
    return found


def _leader(found: Health) -> dict[str, Any] | None:
    if found.leader is None or not found.service_runs:
        return None
    return {"host": found.leader.host, "pid": found.leader.pid}
