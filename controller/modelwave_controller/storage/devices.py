"""Stores the newest state of each device.

`store` stores a batch of messages in one transaction, and appends the answers of reports to
orders to the log, one event for each change. A device is known from its first report on; after
that only a newer report changes anything (installs.py), and of its rows only the columns that
differ are written.
"""

import json
import logging
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    select,
    tuple_,
    update,
)

from modelwave_controller.phrases import clones
from modelwave_controller.rollout.events import FLEET, Body
from modelwave_controller.rollout.events import Replaced as ReplacedEvent
from modelwave_controller.rollout.events import Reported as ReportedEvent
from modelwave_controller.rollout.facts import Known
from modelwave_controller.rollout.formats import Reader
from modelwave_controller.storage import (
    clock,
    counting,
    installs,
    last_heard,
    log,
    members,
    offers,
    tables,
    views,
)
from modelwave_controller.storage.answers import GivenOrder, answer, says_nothing_new
from modelwave_controller.storage.chunks import chunks, rows_with
from modelwave_controller.storage.counting import Move, Place
from modelwave_controller.storage.installs import CLONE_SECONDS, SAME, Installs
from modelwave_controller.storage.last_heard import LastHeard
from modelwave_controller.storage.messages import (
    Bad,
    Incoming,
    Present,
    ReportMessage,
    Unproven,
)
from modelwave_controller.storage.tables import (
    WINDOW_TABLES,
    bad_messages,
    device_models,
    devices,
    heads,
    orders,
    presence,
    proven,
    repairs,
    reporting,
    unproven,
)
from modelwave_controller.trust.documents import ModelState, Report
from modelwave_shared.maintenance import READS_MAINTENANCE
from modelwave_shared.slots import slot as slot_of
from modelwave_shared.words import MANIFEST, ORDER, READS, ROOT, SUCCEEDED

_FREE = ("free_flash", "free_ram")
_STATE = tuple(f.name for f in fields(ModelState))

MAX_STRANGERS = 10_000  # rows of a table for device ids that never reported

logger = logging.getLogger(__name__)

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


_PLACE = (devices.c.heard, devices.c.device)
# Made once, as each tick asks this.
_HEARD_AFTER = (
    select(*_PLACE, devices.c.target, devices.c.slot, last_heard.SEEN_CLOCK, devices.c.reads)
    .select_from(last_heard.NEWEST)
    .where(tuple_(*_PLACE) > tuple_(bindparam("batch", type_=BigInteger), bindparam("name")))
    .order_by(*_PLACE)
    .limit(bindparam("number", type_=BigInteger))
)


class RefusalNote(NamedTuple):
    device: str
    target: str
    slot: int
    note: str


class HeardModel(NamedTuple):
    """What a device reports of one model: its newest order there. `batch` is the number of the
    batch of its last report, `clock` the rollout clock then, `reads` the column of that name."""

    batch: int
    device: str
    target: str
    slot: int
    clock: float
    reads: str
    model: str
    epoch: int
    seq: int


class Ignored(NamedTuple):
    """The messages of a device so far that were ignored ("old report", "unreadable message"), or
    that were not proven and may count all the same ("message")."""

    device: str
    what: str
    number: int
    reason: str
    fate: str = "ignored"


@dataclass
class Stored:
    """What came of a batch: the messages that were ignored; the reports that say what the database
    has of their devices now; and the presence of devices as it has it."""

    ignored: list[Ignored] = field(default_factory=list)
    standing: dict[str, ReportMessage] = field(default_factory=dict)
    online: dict[str, bool] = field(default_factory=dict)


def store(
    connection: Connection,
    fleet: str,
    incoming: Sequence[Incoming],
    now: float,
    repeated: Mapping[str, LastHeard] = MappingProxyType({}),
) -> Stored:
    """Stores the devices' messages; `connection` is from Store.write(), `now` in Unix seconds.
    `repeated` has the newest reports that are not stored yet, as they repeat what is."""
    reports = _reports(incoming)
    found = Stored()
    found.standing = _take_reports(connection, fleet, reports, now, repeated)
    found.online = _take_presence(connection, incoming, now)
    found.ignored = [
        *_stale(connection, reports),
        *_counted(
            connection, bad_messages, Ignored("", "unreadable message", 0, ""), Bad, incoming, now
        ),
        *_counted(
            connection,
            unproven,
            Ignored("", "message", 0, "", "not proven"),
            Unproven,
            incoming,
            now,
        ),
    ]
    return found


def that_report(connection: Connection, model: str) -> dict[str, dict[int, list[str]]]:
    """Returns {target: {slot: ids of the devices that report the model}}. The query has a row for
    each slot and not for each device, because every tick runs it: 10 ms for 10,000 devices."""
    found: dict[str, dict[int, list[str]]] = defaultdict(dict)
    ids = func.aggregate_strings(devices.c.device, ",")  # no id has a comma
    query = of_model(select(devices.c.target, devices.c.slot, ids), model)
    for target, slot, names in connection.execute(query.group_by(devices.c.target, devices.c.slot)):
        found[target][slot] = names.split(",")
    return found


def any_has(connection: Connection, targets: Sequence[str], model: str) -> bool:
    """Returns whether a device of one of the targets has reported the model, with or without a
    release of it."""
    query = select(reporting.c.slot).where(reporting.c.model == model)
    query = query.where(reporting.c.target.in_(targets))
    return connection.execute(query.limit(1)).first() is not None


def known(connection: Connection, model: str, timed: bool = False) -> Known:
    """Returns the devices that report the model, as the decision about its rollouts needs them;
    `timed`: one of them has maintenance windows."""
    timeless = _timeless(connection, model) if timed else {}
    return Known(that_report(connection, model), _behind(connection, model), timeless)


def _timeless(connection: Connection, model: str) -> dict[str, dict[int, list[str]]]:
    """Returns the devices that do not judge maintenance windows by themselves, as that_report."""
    found: dict[str, dict[int, list[str]]] = defaultdict(dict)
    place = (devices.c.target, devices.c.slot, devices.c.reads)
    query = of_model(select(*place, func.aggregate_strings(devices.c.device, ",")), model)
    for target, slot, said, names in connection.execute(query.group_by(*place)):
        if READS_MAINTENANCE not in reads(said):
            found[target].setdefault(slot, []).extend(names.split(","))
    return found


def reads(stored: str) -> dict[str, int]:
    """Returns the highest format version of each kind that a device reads, from the column `reads`.
    An agent that does not report it is one of the first, which read version 1 of each."""
    said: dict[str, int] = json.loads(stored) if stored else {}
    return dict.fromkeys((ROOT, MANIFEST, ORDER), 1) | said


def of_model(query: Any, model: str) -> Any:
    """Restricts a query of `devices` to those that report the model."""
    joined = query.join(device_models, devices.c.device == device_models.c.device)
    return joined.where(device_models.c.model == model)


def _behind(connection: Connection, model: str) -> list[Reader]:
    """Returns the devices that report the model, and cannot read the newest format of orders and
    manifests that this program knows; it never writes a newer one."""
    stored = connection.scalars(select(devices.c.reads).distinct())
    old = {
        text: found
        for text, found in ((text, reads(text)) for text in stored)
        if any(found[kind] < READS[kind] for kind in (MANIFEST, ORDER))
    }
    query = select(devices.c.device, devices.c.target, devices.c.slot, devices.c.reads)
    query = of_model(query, model)
    return [
        Reader(device, target, slot, old[text])
        for device, target, slot, text in rows_with(
            connection, query.order_by(devices.c.device), devices.c.reads, list(old)
        )
    ]


def places(connection: Connection, names: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Returns {device: (target, slot)} of those of the devices that are known."""
    query = select(devices.c.device, devices.c.target, devices.c.slot)
    return {
        device: (target, slot)
        for device, target, slot in rows_with(connection, query, devices.c.device, list(names))
    }


def that_run(
    connection: Connection, names: Sequence[str], model: str, targets: Collection[str]
) -> list[str]:
    """Returns those of the devices that are of these targets and report the model."""
    query = of_model(select(devices.c.device), model).where(devices.c.target.in_(targets))
    return [row.device for row in rows_with(connection, query, devices.c.device, list(names))]


def any_lacks(connection: Connection, target: str, model: str, manifest: str) -> bool:
    """Returns whether a device of the target that reports the model does not run this release."""
    query = of_model(select(devices.c.device), model)
    query = query.where(devices.c.target == target, device_models.c.sha256 != manifest)
    return connection.execute(query.limit(1)).first() is not None


def heard_after(
    connection: Connection, after: tuple[int, str], limit: int
) -> tuple[list[HeardModel], tuple[int, str]]:
    """Returns what the devices report that were heard after `after` (a batch, and a device in it),
    at most `limit` devices, in that order; and who was the last of them."""
    values = {"batch": after[0], "name": after[1], "number": limit}
    rows = {row.device: row for row in connection.execute(_HEARD_AFTER, values)}
    if not rows:
        return [], after
    columns = (device_models.c.model, device_models.c.epoch, device_models.c.seq)
    models = rows_with(
        connection, select(device_models.c.device, *columns), device_models.c.device, list(rows)
    )
    found = sorted(HeardModel(*rows[device], *state) for device, *state in models)
    last = list(rows.values())[-1]
    return found, (last.heard, last.device)


def that_repeated(connection: Connection, clocks: Mapping[str, float]) -> list[HeardModel]:
    """Returns what these devices report, which have repeated their report when the rollout clock
    was at the given value."""
    names = list(clocks)
    query = select(devices.c.heard, devices.c.device, devices.c.target, devices.c.slot)
    query = query.add_columns(devices.c.reads, device_models.c.model)
    query = query.add_columns(device_models.c.epoch, device_models.c.seq)
    query = query.join(device_models, devices.c.device == device_models.c.device)
    return sorted(
        HeardModel(row.heard, row.device, row.target, row.slot, clocks[row.device], *row[4:])
        for row in rows_with(connection, query, devices.c.device, names)
    )


def refusals(connection: Connection, model: str, targets: Iterable[str]) -> list[RefusalNote]:
    """Returns the devices of these targets that report the model and a refused message, which may
    not have been authentic."""
    query = select(devices.c.device, devices.c.target, devices.c.slot, devices.c.refused)
    query = of_model(query, model)
    query = query.where(devices.c.refused != literal_column("''")).order_by(devices.c.device)
    rows = connection.execute(query.where(devices.c.target.in_(list(targets))))
    return [RefusalNote(*row) for row in rows]


def is_known(connection: Connection, device: str) -> bool:
    """Returns whether a readable report of the device was received."""
    query = select(devices.c.device).where(devices.c.device == device)
    return connection.execute(query).first() is not None


def forget(connection: Connection, device: str) -> bool:
    """Deletes all rows of a device; returns whether there were any."""
    found = 0
    query = select(device_models.c.model, devices.c.target, devices.c.slot, devices.c.reads)
    query = query.join(devices, devices.c.device == device_models.c.device)
    moves = [
        Move(device, model, Place(*place), None)
        for model, *place in connection.execute(query.where(devices.c.device == device))
    ]
    about = (
        devices,
        device_models,
        tables.last_heard,
        presence,
        bad_messages,
        unproven,
        proven,
        *(table for kind in WINDOW_TABLES for table in (kind.windows, kind.spans, kind.sums)),
        repairs,
    )
    for table in about:
        found += connection.execute(delete(table).where(table.c.device == device)).rowcount
    members.changed(connection)
    counting.move(connection, moves)
    return found > 0


def _reports(incoming: Sequence[Incoming]) -> dict[str, list[ReportMessage]]:
    """Returns the reports of each device, in the order in which they came."""
    found: dict[str, list[ReportMessage]] = defaultdict(list)
    for message in incoming:
        if isinstance(message, ReportMessage):
            found[message.device].append(message)
    return found


def _take_reports(
    connection: Connection,
    fleet: str,
    reports: dict[str, list[ReportMessage]],
    now: float,
    repeated: Mapping[str, LastHeard],
) -> dict[str, ReportMessage]:
    """Returns the reports that say what is stored of their devices now."""
    rows = {
        row.device: row
        for row in rows_with(connection, select(devices), devices.c.device, list(reports))
    }
    small = last_heard.of(connection, list(rows))
    heard = small | {device: repeated[device] for device in rows if device in repeated}
    seconds = clock.stored(connection).seconds
    fresh: dict[str, ReportMessage] = {}
    same: dict[str, ReportMessage] = {}
    replaced: set[str] = set()
    new: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    for device, given in reports.items():
        row = rows.get(device)
        standing = _Standing(row, heard.get(device), seconds, now)
        for message in given:
            standing.hear(message)
        if standing.taken:
            fresh[device] = standing.taken
            if standing.is_replaced:
                replaced.add(device)
            found = _device_row(fleet, device, standing.taken.report) | standing.columns()
            found |= {"seen_at": now, "seen_clock": seconds}
            if row is None:
                new.append(found)
            else:
                changed.append(_but_same(row, found, "device"))
        elif standing.has_changed:
            changed.append(_but_same(row, {"device": device} | standing.columns(), "device"))
        elif standing.same and _says(row, _device_row(fleet, device, standing.same.report)):
            same[device] = standing.same
    if fresh:
        heard_now = {"heard": _next_batch(connection)}
        for values in (*new, *changed):
            if values["device"] in fresh:
                values.update(heard_now)
    if new:
        connection.execute(insert(devices), new)
    _update(connection, devices, changed, "device")
    last_heard.drop(connection, small.keys() & fresh.keys())
    states = {device: message.report for device, message in fresh.items()}
    places = {device: Place(row.target, row.slot, row.reads) for device, row in rows.items()}
    _take_models(connection, fleet, states, replaced, now, places)
    return fresh | _with_its_models(connection, same)


def _but_same(row: Any, found: dict[str, Any], *key: str) -> dict[str, Any]:
    """Returns the columns of `found` that differ from the row's, and those of its key."""
    return {
        name: value for name, value in found.items() if name in key or getattr(row, name) != value
    }


def _says(row: Any, found: dict[str, Any]) -> bool:
    """Returns whether the row says the same, but for what is free, as each report says other
    numbers."""
    return all(getattr(row, name) == value for name, value in found.items() if name not in _FREE)


def _with_its_models(
    connection: Connection, same: dict[str, ReportMessage]
) -> dict[str, ReportMessage]:
    """Returns the reports that say of each model what is stored."""
    stored: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in rows_with(connection, select(device_models), device_models.c.device, list(same)):
        values = row._asdict()
        stored[row.device][row.model] = {name: values[name] for name in _STATE}
    return {
        device: message
        for device, message in same.items()
        if stored.get(device, {})
        == {model: _fields(state) for model, state in message.report.models.items()}
    }


class _Standing:
    """What is stored about the installs of one device, while its reports are judged."""

    def __init__(
        self, row: Any | None, heard: LastHeard | None, seconds: float, now: float
    ) -> None:
        """`row`: of the table devices, None for a new device; `heard`: newer than that row.
        `seconds`: the rollout clock."""
        self.seconds, self.now = seconds, now
        newest: Any = heard or row
        self.held = row and installs.load(row.install, newest.boot, newest.n, row.installs)
        self.seen_clock: float = heard.clock if heard else row.seen_clock if row else seconds
        self.stale: int = row.stale if row else 0
        self.replaced_at: float = row.replaced_at if row else 0
        self.clones: int = row.clones if row else 0
        self.clone_clock: float = row.clone_clock if row else 0
        self.taken: ReportMessage | None = None  # the newest report that is to be stored
        self.same: ReportMessage | None = None  # it has the number of the newest one
        self.has_changed = False
        self.is_replaced = False

    def hear(self, message: ReportMessage) -> None:
        device, report = message.device, message.report
        heard = installs.Heard(report.install, report.boot, report.n)
        if self.held is None:
            self.held, self.taken = Installs(heard), message
            return
        if message.proven in installs.TAKEN:  # whatever the numbers of reports without proof
            word, self.held = message.proven, self.held.after(heard)
        else:
            word, self.held = installs.judge(self.held, heard, self.seconds - self.seen_clock)
        if word in installs.TAKEN:
            self.taken, self.stale, self.seen_clock = message, 0, self.seconds
        elif word == SAME:
            self.same = message
        if word == installs.REPLACED:
            self.replaced_at, self.clones = self.now, 0
            self.is_replaced = True
            logger.info("device %s was replaced, or its state was deleted", device)
        elif word == installs.OLDER:
            self.stale += 1
            self.has_changed = True
        elif word == installs.CLONE:
            if not self.clones:
                logger.warning("%s", clones([device]))
            self.clones, self.clone_clock = self.clones + 1, self.seconds
            self.has_changed = True

    def columns(self) -> dict[str, Any]:
        assert self.held is not None, "a report was heard"
        return {
            "boot": self.held.current.boot,
            "n": self.held.current.n,
            "install": self.held.current.install,
            "installs": self.held.dump_others(),
            "stale": self.stale,
            "replaced_at": self.replaced_at,
            "clones": self.clones,
            "clone_clock": self.clone_clock,
        }


def is_cloned(clones: int, clone_clock: float, seconds: float) -> bool:
    """Returns whether two devices use one id; `seconds` is the rollout clock. It ends an hour after
    the last report of the second one."""
    return clones > 0 and seconds - clone_clock <= CLONE_SECONDS


def cloned(connection: Connection) -> list[str]:
    """Returns the ids that two devices use."""
    seconds = clock.stored(connection).seconds
    query = select(devices.c.device, devices.c.clones, devices.c.clone_clock)
    some = devices.c.clones > literal_column("0")  # as the index for it says it
    rows = connection.execute(query.where(some).order_by(devices.c.device))
    return [row.device for row in rows if is_cloned(row.clones, row.clone_clock, seconds)]


def _device_row(fleet: str, device: str, report: Report) -> dict[str, Any]:
    return {
        "device": device,
        "target": report.target,
        "slot": slot_of(fleet, device),
        "agent": report.agent,
        "free_flash": report.free.flash,
        "free_ram": report.free.ram,
        "runtime": offers.column(report),
        "runtime_version": report.runtime_version,
        "accelerator": report.accelerator,
        "refused": report.refused,
        "view": views.column(report),
        "root": views.root(report),
        "reads": _reads_column(report),
    }


def _update(connection: Connection, table: Any, rows: Sequence[dict[str, Any]], *key: str) -> None:
    """Writes these columns of the rows with these keys; a statement for each set of columns."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[tuple(name for name in row if name not in key)].append(
            {f"new_{name}": value for name, value in row.items()}
        )
    for names, group in groups.items():
        if names:
            its = [table.c[name] == bindparam(f"new_{name}") for name in key]
            values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
            connection.execute(update(table).where(*its).values(values), group)


def _next_batch(connection: Connection) -> int:
    """Returns the number of this batch of reports; by it the service finds the devices that it has
    not looked at since."""
    heard = heads.c.name == "heard"
    connection.execute(update(heads).where(heard).values(value=heads.c.value + 1))
    return connection.scalar(select(heads.c.value).where(heard)) or 0


def _stale(connection: Connection, reports: Collection[str]) -> list[Ignored]:
    """Returns the devices of a batch that reports older than their newest one came from."""
    reason = "a newer one is stored; if it was reinstalled, `modelwave device forget "
    query = select(devices.c.device, devices.c.stale).where(devices.c.stale > 0)
    rows = rows_with(connection, query, devices.c.device, list(reports))
    return [Ignored(row.device, "old report", row.stale, f"{reason}{row.device}`") for row in rows]


def _take_models(
    connection: Connection,
    fleet: str,
    fresh: dict[str, Report],
    replaced: Collection[str],
    now: float,
    places: Mapping[str, Place],
) -> None:
    """Replaces the rows that changed, and appends their answers to the log, and before them what
    devices that were `replaced` do not run any more. `places` are those of the devices before."""
    before: dict[tuple[str, str], dict[str, Any]] = {
        (row.device, row.model): row._asdict()
        for row in rows_with(connection, select(device_models), device_models.c.device, list(fresh))
    }
    after: dict[tuple[str, str], dict[str, Any]] = {
        (device, model): _model_row(device, model, state, before.get((device, model)))
        for device, report in fresh.items()
        for model, state in report.models.items()
    }
    gone = [key for key in before if key not in after]
    changed = [key for key, row in after.items() if before.get(key) != row]
    if gone:
        connection.execute(
            delete(device_models)
            .where(device_models.c.device == bindparam("its_device"))
            .where(device_models.c.model == bindparam("its_model")),
            [{"its_device": device, "its_model": model} for device, model in gone],
        )
    states = [(device, model, fresh[device].models[model]) for device, model in changed]
    given = _orders(connection, {(model, state.epoch, state.seq) for _, model, state in states})
    entries: list[tuple[int, Body]] = [
        (FLEET, ReplacedEvent(device=device, models=models))
        for device, models in _lost(before, after, replaced).items()
    ]
    for device, model, state in states:
        order = given.get((model, state.epoch, state.seq))
        old = before.get((device, model))
        if order and not (old and _says_the_same(old, state)):
            target, slot = fresh[device].target, slot_of(fleet, device)
            found, row = answer(order, device, target, slot, state), after[device, model]
            if found and not says_nothing_new(order, row["proved"], found[0], state):
                outcome, reason = found
                row["proved"] = order.manifest if outcome == SUCCEEDED else ""
                body = ReportedEvent(
                    device=device,
                    seq=order.seq,
                    outcome=outcome,
                    reason=reason,
                    epoch=order.epoch,
                )
                entries.append((order.rollout, body))
    new = [after[key] for key in changed if key not in before]
    if new:
        connection.execute(insert(device_models), new)
    differ = [
        {
            name: value
            for name, value in after[key].items()
            if name in ("device", "model") or before[key][name] != value
        }
        for key in changed
        if key in before
    ]
    _update(connection, device_models, differ, "device", "model")
    counting.move(connection, _moves(fleet, fresh, places, before, after))
    log.append_all(connection, now, entries)


def _moves(
    fleet: str,
    fresh: dict[str, Report],
    places: Mapping[str, Place],
    before: Collection[tuple[str, str]],
    after: Collection[tuple[str, str]],
) -> list[Move]:
    """Returns what changes in which devices report which models, and from where; `before` and
    `after` are pairs of both."""
    found = []
    for device, model in {*before, *after}:
        old, report = places.get(device), fresh[device]
        new = Place(report.target, slot_of(fleet, device), _reads_column(report))
        move = Move(
            device,
            model,
            old if (device, model) in before else None,
            new if (device, model) in after else None,
        )
        if move.before != move.after:
            found.append(move)
    return found


def _reads_column(report: Report) -> str:
    return json.dumps(report.reads, sort_keys=True) if report.reads else ""


def _lost(
    before: dict[tuple[str, str], dict[str, Any]],
    after: dict[tuple[str, str], dict[str, Any]],
    replaced: Collection[str],
) -> dict[str, list[str]]:
    """Returns the models of the replaced devices of which another release is live now, or none."""
    found: dict[str, list[str]] = {}
    for (device, model), row in sorted(before.items()):
        runs = after.get((device, model), {}).get("sha256", "")
        if device in replaced and row["sha256"] not in ("", runs):
            found.setdefault(device, []).append(model)
    return found


def _model_row(
    device: str, model: str, state: ModelState, before: dict[str, Any] | None
) -> dict[str, Any]:
    proved = before["proved"] if before and before["proved"] == state.sha256 else ""
    return {"device": device, "model": model, "proved": proved, **_fields(state)}


def _fields(state: ModelState) -> dict[str, Any]:
    return {name: getattr(state, name) for name in _STATE}


def _says_the_same(old: dict[str, Any], state: ModelState) -> bool:
    """Returns whether an answer says the same as the one before. Numbers in its reason do not
    count: the same refusal has other free bytes each time."""
    fields = ("epoch", "seq", "outcome", "sha256")
    same = all(old[field] == getattr(state, field) for field in fields)
    return same and _NUMBER.sub("0", old["reason"]) == _NUMBER.sub("0", state.reason)


def _orders(
    connection: Connection, wanted: set[tuple[str, int, int]]
) -> dict[tuple[str, int, int], GivenOrder]:
    query = select(
        orders.c.rollout,
        orders.c.model,
        orders.c.seq,
        orders.c.epoch,
        orders.c.target,
        orders.c.manifest,
        orders.c.slots,
        orders.c.device,
        orders.c.quiet,
        orders.c.shadow,
    )
    found = {}
    for chunk in chunks(sorted(wanted)):
        keys = tuple_(orders.c.model, orders.c.epoch, orders.c.seq).in_(chunk)
        for row in connection.execute(query.where(keys)):
            found[row.model, row.epoch, row.seq] = GivenOrder(
                **row._asdict() | {"slots": json.loads(row.slots)}
            )
    return found


def _take_presence(
    connection: Connection, incoming: Sequence[Incoming], now: float
) -> dict[str, bool]:
    """Returns the presence of these devices as it is stored now."""
    last = {m.device: m.online for m in incoming if isinstance(m, Present)}
    if not last:
        return {}
    held = rows_with(connection, select(presence), presence.c.device, list(last))
    before = {row.device: row.online for row in held}
    changed = [device for device, online in last.items() if before.get(device, online) != online]
    rows = [{"device": d, "online": last[d], "at": now} for d in changed]
    _update(connection, presence, rows, "device")
    unknown = [device for device in last if device not in before]
    kept = may_have_rows(connection, presence, unknown) if unknown else set()
    new = [{"device": d, "online": last[d], "at": now} for d in unknown if d in kept]
    if new:
        connection.execute(insert(presence), new)
    return {device: last[device] for device in last if device in before or device in kept}


def _counted(
    connection: Connection,
    table: Any,
    note: Ignored,
    kind: type[Bad | Unproven],
    incoming: Sequence[Incoming],
    now: float,
) -> list[Ignored]:
    """Counts the messages of this kind in the table, with the reason of the last one. Returns
    notes like `note`."""
    found: dict[str, dict[str, Any]] = {}
    for message in incoming:
        if isinstance(message, kind):
            count = found[message.device]["count"] if message.device in found else 0
            found[message.device] = {
                "device": message.device,
                "count": count + 1,
                "reason": message.reason,
                "at": now,
            }
    for row in rows_with(connection, select(table), table.c.device, list(found)):
        found[row.device]["count"] += row.count
    kept = _replace(connection, table, found)
    return [
        note._replace(device=row["device"], number=row["count"], reason=row["reason"])
        for row in kept
    ]


def _replace(
    connection: Connection, table: Any, found: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """Replaces the rows of these devices, and returns them; MAX_STRANGERS limits those of unknown
    devices."""
    kept = may_have_rows(connection, table, list(found))
    rows = [row for device, row in found.items() if device in kept]
    if rows:
        connection.execute(
            delete(table).where(table.c.device == bindparam("its_device")),
            [{"its_device": row["device"]} for row in rows],
        )
        connection.execute(insert(table), rows)
    return rows


def may_have_rows(connection: Connection, table: Any, names: list[str]) -> set[str]:
    """Returns the names that are known or have a row in `table`, and as many others as
    MAX_STRANGERS allows: an attacker can send each message under a new name."""
    kept = {
        row.device
        for known in (table, devices)
        for row in rows_with(connection, select(known.c.device), known.c.device, names)
    }
    strangers = [name for name in names if name not in kept]
    if strangers:
        stranger = table.c.device.not_in(select(devices.c.device))
        held = connection.scalar(select(func.count()).select_from(table).where(stranger)) or 0
        kept.update(strangers[: max(0, MAX_STRANGERS - held)])
    return kept
