"""Reads the state of the fleet and of its devices for the commands that show it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, select

from modelwave_controller.errors import OperatorError
from modelwave_controller.operations import membership, observations, unproven
from modelwave_controller.operations.health import Health, health
from modelwave_controller.operations.membership import Membership
from modelwave_controller.phrases import plural, span
from modelwave_controller.rollout.state import FINAL
from modelwave_controller.storage import (
    clock,
    last_heard,
    lease,
    log,
    metrics,
    offers,
    tags,
    views,
)
from modelwave_controller.storage import devices as stored
from modelwave_controller.storage.metrics import ReleaseSums, ShadowSums
from modelwave_controller.storage.proven import OFF
from modelwave_controller.storage.tables import bad_messages, device_models, devices, presence
from modelwave_shared.words import SHADOWED, SUCCEEDED

# Agents report every 15 minutes, give or take a fifth; one report may be lost.
SILENT_SECONDS = 2 * 15 * 60 * 1.2


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
    link: dict[str, Any]  # its connection to the broker: connected, since (Unix seconds)
    cloned: list[str]  # ids that two devices use
    views: dict[str, list[str]]  # by word (views.TROUBLES): devices whose view is not fresh
    membership: Membership  # devices of which nothing is stored
    proof: str  # whether reports have to prove their device: off, show, require
    in_doubt: list[str]  # devices whose newest report is not proven
    unproven: list[str]  # names in which something came within a day that was not proven


def fleet(connection: Connection, name: str, now: float, proof: str = OFF) -> Fleet:
    """`now` is in Unix seconds; `proof` that of [devices] in controller.toml."""
    found, state = health(connection, now), log.under_way(connection)
    targets: Counter[str] = Counter(connection.scalars(select(devices.c.target)))
    query = select(last_heard.SEEN_CLOCK).select_from(last_heard.NEWEST)
    query = query.join(presence, devices.c.device == presence.c.device)
    online = connection.scalars(query.where(presence.c.online)).all()
    clocks = clock.stored(connection)
    live = Counter(
        (row.model, row.release)
        for row in connection.execute(select(device_models.c.model, device_models.c.release))
    )
    return Fleet(
        fleet=name,
        devices=targets.total(),
        online=len(online) if found.up_to_date else None,
        silent=sum(_is_silent(seen, clocks.seconds) for seen in online) if found.up_to_date else 0,
        targets=dict(sorted(targets.items())),
        live=[
            {"model": model, "release": release, "devices": number}
            for (model, release), number in sorted(live.items())
        ],
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
        link=lease.link_state(connection)._asdict(),
        cloned=stored.cloned(connection),
        views=_not_fresh(connection),
        membership=membership.membership(connection),
        proof=proof,
        in_doubt=unproven.in_doubt(connection, proof),
        unproven=unproven.lately(connection, proof, now),
    )


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


@dataclass(frozen=True)
class Only:
    """Which devices to list: those to which all of it applies."""

    target: str | None = None
    tag: str | None = None
    model: str | None = None  # that report it
    not_on: int | None = None  # that report a model, or `model`, with another release live
    offline: bool = False  # or silent
    trouble: bool = False

    def applies(self, entry: dict[str, Any]) -> bool:
        models = [m for m in entry["models"] if self.model in (None, m["model"])]
        return (
            self.target in (None, membership.target_of(entry))
            and (self.tag is None or self.tag in entry["tags"])
            and (self.model is None or bool(models))
            and (self.not_on is None or any(m["release"] != self.not_on for m in models))
            and (not self.offline or not entry["online"] or entry["silent_since"] is not None)
            and (not self.trouble or entry["trouble"] != "" or entry["silent_since"] is not None)
        )


EVERY_DEVICE = Only()


def device_list(
    connection: Connection, now: float, only: Only = EVERY_DEVICE, proof: str = OFF
) -> list[dict[str, Any]]:
    """Returns the known and the expected devices to which `only` applies, by name: last report,
    presence, models, tags and trouble. `now` and all times are in Unix seconds.

    online: None if no service receives messages now, so that it is not known
    enrolment: its row of the table enrolled, or None
    waiting: what is known of a device whose reports do not count, or None
    proven: whether its newest report proves the device; None if `proof`, of [devices] in
        controller.toml, is off
    unproven: what came in its name and was not proven, or None
    silent_since: set for a device that is online according to the broker, but has not reported for
        SILENT_SECONDS

    Raises OperatorError if `only` asks for what is not known.
    """
    state = health(connection, now)
    if only.offline and not state.up_to_date:
        raise OperatorError(f"--offline: not known which devices are: {state.problem}")
    found = _known_devices(connection, proof)
    if state.up_to_date:
        _add_presence(connection, found)
    for name, its_tags in tags.of_all(connection).items():
        if name in found:
            found[name]["tags"] = its_tags
    for entry in found.values():
        entry["online"] = entry["online"] if state.up_to_date else None
        entry["trouble"] = _trouble(entry, now)
    if only.not_on is not None and only.model is None:
        _require_one_model(found.values())
    return [found[name] for name in sorted(found) if only.applies(found[name])]


def device(connection: Connection, name: str, now: float, proof: str = OFF) -> dict[str, Any]:
    """Returns the entry of device_list for one device, with what it observed last of each model.
    Raises OperatorError if it is unknown."""
    found = [
        entry for entry in device_list(connection, now, proof=proof) if entry["device"] == name
    ]
    if not found:
        raise OperatorError(
            f"DEVICE: no message from {name[:64]!r} was received, and it is not enrolled; see "
            "`modelwave device list`"
        )
    models = [model["model"] for model in found[0]["models"]]
    clock_now = clock.shown(clock.stored(connection), log.service_seen_at(connection), now)
    observed = observations.newest(connection, name, models, clock_now)
    return found[0] | {"observed": [asdict(one) for one in observed]}


def doing(model: dict[str, Any], seen_at: float, now: float) -> str:
    """Returns the state of one of a device's models, and its tries: "fetching, 3 tries, next in
    40 s". `seen_at` is when the device reported it."""
    if not model["tries"]:
        return str(model["state"])
    left = seen_at + model["next_seconds"] - now
    then = f"next in {span(left)}" if left > 0 else "next one is due"
    return f"{model['state']}, {model['tries']} {'try' if model['tries'] == 1 else 'tries'}, {then}"


def _known_devices(connection: Connection, proof: str) -> dict[str, dict[str, Any]]:
    rows = connection.execute(select(*last_heard.COLUMNS).select_from(last_heard.NEWEST))
    clock_now = clock.stored(connection).seconds
    found = {row.device: _device(_reported(row._asdict(), clock_now)) for row in rows}
    for state in connection.execute(select(device_models).order_by(device_models.c.model)):
        if state.device in found:
            model = state._asdict()
            del model["device"]
            found[state.device]["models"].append(model)
    for bad in connection.execute(select(bad_messages)):
        entry = found.setdefault(bad.device, _device({"device": bad.device}))
        entry["bad"] = {"count": bad.count, "reason": bad.reason, "at": bad.at}
    membership.add_to(connection, found, lambda name: _device({"device": name}))
    unproven.add_to(connection, found, lambda name: _device({"device": name}), proof)
    return found


def _add_presence(connection: Connection, found: dict[str, dict[str, Any]]) -> None:
    clock_now = clock.stored(connection).seconds
    for seen in connection.execute(select(presence)):
        if entry := found.get(seen.device):
            entry["online"] = seen.online
            silent = "seen_at" in entry and _is_silent(entry["seen_clock"], clock_now)
            if seen.online and silent:
                entry["silent_since"] = entry["seen_at"]


def _require_one_model(entries: Iterable[dict[str, Any]]) -> None:
    models = sorted({model["model"] for entry in entries for model in entry["models"]})
    if len(models) > 1:
        raise OperatorError(
            f"--not-on: the devices report {', '.join(models[:5])}: name one with --model"
        )


def _reported(row: dict[str, Any], clock_now: float) -> dict[str, Any]:
    """Returns the columns of a row of `devices` as they are shown."""
    shown = {name: value for name, value in row.items() if name not in ("installs", "clone_clock")}
    runtimes = offers.runtimes(row["runtime"], row["runtime_version"])
    return shown | {
        "runtime": next(iter(runtimes), ""),
        "runtimes": runtimes,
        "reads": stored.reads(row["reads"]),
        "cloned": stored.is_cloned(row["clones"], row["clone_clock"], clock_now),
    }


def _device(row: dict[str, Any]) -> dict[str, Any]:
    """Returns a new entry; `target` is absent for a device that sent no readable report."""
    row |= {"online": False, "silent_since": None, "models": [], "tags": [], "bad": None}
    row |= {"enrolment": None, "waiting": None, "proven": None, "unproven": None}
    return row


def _trouble(device: dict[str, Any], now: float) -> str:
    """Returns the most important problem of a device, or "": a second device with its id and
    ignored old reports first, because with them all else about the device may be out of date."""
    if outside := membership.trouble(device):
        return outside
    if doubt := unproven.trouble(device, now):
        return doubt
    if device.get("cloned"):
        return "two devices use this id"
    if device.get("stale"):
        return f"{plural(device['stale'], 'old report')} ignored"
    if device["bad"]:
        return f"{plural(device['bad']['count'], 'message')} not understood"
    for model in device["models"]:
        if model["tries"]:
            return f"{model['model']}: {doing(model, device['seen_at'], now)}: {model['reason']}"
        if model["outcome"] not in ("", SUCCEEDED, SHADOWED):
            reason = f": {model['reason']}" if model["reason"] else ""
            return f"{model['model']}: {model['outcome']}{reason}"
    if device.get("view") in views.TROUBLES:
        return views.TROUBLES[device["view"]]
    return "refused a message" if device.get("refused") else ""


def _is_silent(seen_clock: float, clock_now: float) -> bool:
    """Returns whether the last report of a device is too old; both times are of the rollout clock,
    so that time in which no service was running does not count."""
    return clock_now - seen_clock > SILENT_SECONDS
