"""Reads what is shown of devices: last report, presence, models, tags and trouble. What it costs
depends on how many are asked for, and not on the fleet.

An entry is a dict, as `device list --json` prints it:

    online        None if no service receives messages now, so that it is not known
    enrolment     its row of the table enrolled, or None
    waiting       what is known of a device whose reports do not count, or None
    proven        whether its newest report proves the device; None if nobody asks
    unproven      what came in its name and was not proven, or None
    silent_since  set for a device that is online according to the broker, but has not reported for
                  SILENT_SECONDS
    speaks_for    of a gateway, the number of devices that are reached through it; else None
    gateway       of a device that is reached through one: since when that is `online`, offline or,
                  None, not known; of a gateway the same of itself; else None
    target        and what else its report says, its gateway in `via`; absent if none was readable
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from modelwave_controller.operations import gateway_words, membership, unproven
from modelwave_controller.operations.device_words import doing
from modelwave_controller.phrases import plural
from modelwave_controller.results.devices import VIEW_TROUBLES
from modelwave_controller.storage import clock, gateways, last_heard, offers, tags
from modelwave_controller.storage import devices as stored
from modelwave_controller.storage.chunks import rows_with
from modelwave_controller.storage.proven import OFF
from modelwave_controller.storage.tables import bad_messages, device_models, devices, presence
from modelwave_shared.words import SHADOWED, SUCCEEDED

# Agents report every 15 minutes, give or take a fifth; one report may be lost.
SILENT_SECONDS = 2 * 15 * 60 * 1.2

Entry = dict[str, Any]


def entries_of(
    connection: Connection,
    names: Sequence[str],
    now: float,
    up_to_date: bool,
    proof: str = OFF,
) -> list[Entry]:
    """Returns an entry for each of these names, also for one of which nothing is known. `now` and
    all times are in Unix seconds; `up_to_date` as in Health; `proof`: of [devices] in
    controller.toml."""
    found: dict[str, Entry] = {name: _nothing_of(name) for name in names}
    seconds = clock.stored(connection).seconds
    _add_reports(connection, found, seconds)
    membership.add_to(connection, found)
    unproven.add_to(connection, found, proof)
    if up_to_date:
        _add_presence(connection, found, seconds)
    _add_gateways(connection, found, up_to_date)
    for name, its_tags in tags.of_each(connection, names).items():
        found[name]["tags"] = its_tags
    for entry in found.values():
        entry["trouble"] = _trouble(entry, now)
    return list(found.values())


def is_silent(seen_clock: float, clock_now: float) -> bool:
    """Returns whether the last report of a device is too old; both times are of the rollout clock,
    so that time in which no service was running does not count."""
    return seen_clock < silent_before(clock_now)


def silent_before(clock_now: float) -> float:
    """Returns the moment by the rollout clock since which a device must have reported."""
    return clock_now - SILENT_SECONDS


def _nothing_of(name: str) -> Entry:
    entry: Entry = {"device": name, "online": None, "silent_since": None, "models": [], "tags": []}
    others = ("bad", "enrolment", "waiting", "proven", "unproven", "speaks_for", "gateway")
    return entry | dict.fromkeys(others)


def _add_reports(connection: Connection, found: dict[str, Entry], clock_now: float) -> None:
    names = list(found)
    reports = select(*last_heard.COLUMNS).select_from(last_heard.NEWEST)
    for row in rows_with(connection, reports, devices.c.device, names):
        found[row.device] |= _reported(row._asdict(), clock_now)
    query = select(device_models).order_by(device_models.c.model)
    for state in rows_with(connection, query, device_models.c.device, names):
        model = state._asdict()
        found[model.pop("device")]["models"].append(model)
    for bad in rows_with(connection, select(bad_messages), bad_messages.c.device, names):
        found[bad.device]["bad"] = {"count": bad.count, "reason": bad.reason, "at": bad.at}


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


def _add_presence(connection: Connection, found: dict[str, Entry], clock_now: float) -> None:
    query = select(presence.c.device).where(presence.c.online)
    online = {row.device for row in rows_with(connection, query, presence.c.device, list(found))}
    for name, entry in found.items():
        entry["online"] = name in online
        if name in online and "seen_at" in entry and is_silent(entry["seen_clock"], clock_now):
            entry["silent_since"] = entry["seen_at"]


def _add_gateways(connection: Connection, found: dict[str, Entry], up_to_date: bool) -> None:
    vias = {entry["via"] for entry in found.values() if entry.get("via")}
    known = gateways.of(connection, sorted({*found, *vias}))
    for name, entry in found.items():
        if name in known and "target" not in entry:
            entry["speaks_for"] = known[name].devices
        its = name if entry["speaks_for"] is not None else entry.get("via")
        if its in known:
            one = known[its]
            entry["gateway"] = {"online": one.online if up_to_date else None, "since": one.since}


def _trouble(entry: Entry, now: float) -> str:
    """Returns the most important problem of a device, or "": a second device with its id and
    ignored old reports first, because with them all else about the device may be out of date."""
    if outside := membership.trouble(entry):
        return outside
    if gateway_words.is_down(entry["gateway"]) and entry["speaks_for"] is not None:
        return gateway_words.itself(entry["gateway"]["since"], entry["speaks_for"])
    if doubt := unproven.trouble(entry, now):
        return doubt
    if entry.get("cloned"):
        return "two devices use this id"
    if entry.get("stale"):
        return f"{plural(entry['stale'], 'old report')} ignored"
    if entry["bad"]:
        return f"{plural(entry['bad']['count'], 'message')} ignored"
    for model in entry["models"]:
        if model["tries"]:
            return f"{model['model']}: {doing(model, entry['seen_at'], now)}: {model['reason']}"
        if model["outcome"] not in ("", SUCCEEDED, SHADOWED):
            reason = f": {model['reason']}" if model["reason"] else ""
            return f"{model['model']}: {model['outcome']}{reason}"
    if entry.get("view") in VIEW_TROUBLES:
        return VIEW_TROUBLES[entry["view"]]
    if told := gateway_words.of_its_board(entry):
        return told
    return "refused a message" if entry.get("refused") else ""
