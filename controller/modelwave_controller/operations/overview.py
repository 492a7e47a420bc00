"""Reads the state of the fleet for the command that shows it. The database counts the devices."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, case, func, select

from modelwave_controller.operations import membership, unproven
from modelwave_controller.operations.device_entries import silent_before
from modelwave_controller.operations.health import Health, health
from modelwave_controller.results.devices import VIEW_TROUBLES
from modelwave_controller.results.fleet import Fleet, Gateway
from modelwave_controller.rollout.state import FINAL
from modelwave_controller.storage import clock, gateways, last_heard, lease, log, metrics, shares
from modelwave_controller.storage import devices as stored
from modelwave_controller.storage.proven import OFF
from modelwave_controller.storage.tables import device_models, devices, presence


def fleet(
    connection: Connection,
    name: str,
    now: float,
    proof: str = OFF,
    warnings: Sequence[str] = (),
) -> Fleet:
    """`now` is in Unix seconds; `proof` that of [devices] in controller.toml; `warnings`: about the
    home."""
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
        warnings=list(warnings),
        in_doubt=unproven.in_doubt(connection, proof),
        unproven=unproven.lately(connection, proof, now),
        gateways=_gateways(connection, found.up_to_date),
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
    query = select(devices.c.view, devices.c.device).where(devices.c.view.in_(list(VIEW_TROUBLES)))
    found: dict[str, list[str]] = {}
    for word, device in connection.execute(query.order_by(devices.c.device)):
        found.setdefault(word, []).append(device)
    return found


def _gateways(connection: Connection, up_to_date: bool) -> list[Gateway]:
    return [
        Gateway(one.name, one.online if up_to_date else None, one.since, one.devices)
        for one in gateways.every(connection)
    ]


def _leader(found: Health) -> dict[str, Any] | None:
    if found.leader is None or not found.service_runs:
        return None
    return {"host": found.leader.host, "pid": found.leader.pid}
