"""What must be true, written down for the test and not computed by the code that it tests.

The verdicts, and what each device runs, follow from the course and from the devices' slots alone. A
service that nobody has killed must come to the same.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, select

from modelwave_controller.operations import log_verifying
from modelwave_controller.operations.log_walk import WrongLog
from modelwave_controller.operations.status import StatusReader
from modelwave_controller.storage import tables
from modelwave_shared.words import SUCCEEDED
from tests.controller import counted_twice
from tests.controller.observing_fleet import LABELS, NEW, OLD
from tests.histories.courses import PERCENTS, ROLLOUT, SOAK_SECONDS
from tests.histories.devices import read_order

if TYPE_CHECKING:
    from tests.histories.world import World

# What the log has of each rollout beside looks and the answers of devices, in this order. A stage
# is judged before the next one opens; the last one has no gate of its own to look at.
GOES_ON = ("opened 1", "began 1", "PASS 1", "opened 2", "began 2", "PASS 2", "opened 3", "began 3")
DECISIONS = {
    "good": ("created", *GOES_ON, "PASS 3", "finished", "reordered"),
    "bad": (
        "created",
        "opened 1",
        "began 1",
        "FAIL 1",
        "reverted",
        "began back",
        "finished",
        "reordered",
    ),
    "paused": (
        # It resumes with a new deadline; the soak goes on.
        *("created", "opened 1", "began 1", "paused", "resumed", "began 1"),
        *(*GOES_ON[2:], "PASS 3", "finished", "reordered"),
    ),
    "promoted": (
        *("created", "opened 1", "began 1", "promoted"),
        *(*GOES_ON[2:], "PASS 3", "finished", "reordered"),
    ),
}
STATUS = {"good": "FINISHED", "bad": "REVERTED", "paused": "FINISHED", "promoted": "FINISHED"}


class Entry(NamedTuple):
    kind: str
    at: float
    body: dict[str, Any]


class Watch:
    """Sees each order that the broker takes from the service, when it takes it."""

    def __init__(self) -> None:
        self.orders: dict[int, bytes] = {}  # by number
        self.newest: dict[str, int] = {}  # by topic
        self.problems: list[str] = []

    def saw(self, topic: str, payload: bytes) -> None:
        if "/desired/" not in topic or not payload:
            return
        seq = read_order(payload)["seq"]
        if self.orders.setdefault(seq, payload) != payload:
            self.problems.append(f"two orders have the number {seq}")
        if seq < self.newest.get(topic, 0):
            self.problems.append(f"{topic} got an older order after a newer one")
        self.newest[topic] = seq


def problems(world: "World") -> list[str]:
    """Returns what is wrong at the end of a history."""
    found = list(world.watch.problems)
    with world.other_store.read() as connection:
        log = [
            Entry(kind, at, json.loads(body))
            for kind, at, body in connection.execute(
                select(tables.events.c.kind, tables.events.c.at, tables.events.c.body)
                .where(tables.events.c.rollout == ROLLOUT)
                .order_by(tables.events.c.id)
            )
        ]
        found += _decisions(world, connection, log)
        found += _devices(world)
        found += _answers(world, log)
        found += _broker(world, connection)
        found += _windows(world, connection)
        found += _shown(world, connection, log)
        found += _counters(connection)
    try:
        log_verifying.verify(world.other_store)
    except WrongLog as error:
        found.append(f"the log's chain: {error}")
    return found


def _decisions(world: "World", connection: Connection, log: list[Entry]) -> list[str]:
    """The verdicts and acts, each once, in their order; and no soak was cut short."""
    found = []
    words = [word for entry in log if (word := _word(entry))]
    if 2 * _lost(connection) >= len(world.fleet.devices):
        words = list(_without_holds(words))
    if tuple(words) != DECISIONS[world.course.name]:
        found.append(f"decided {', '.join(words)}")
    looks = [(one.body["stage"], one.body["windows"]) for one in log if one.kind == "looked"]
    if len(set(looks)) != len(looks):
        found.append(f"a look was taken twice: {looks}")
    began: dict[int | None, float] = {}
    for one in log:
        if one.kind == "began":
            began.setdefault(one.body["stage"], one.at)
    ends_soaks = {"promoted": 1}.get(world.course.name, 0)
    for one in log:
        before = one.body["stage"] - 1 if one.kind == "opened" else -1
        if before >= ends_soaks and (soaked := world.served(began[before], one.at)) < SOAK_SECONDS:
            found.append(f"stage {before + 1} soaked for {soaked:.0f} s only while a service ran")
    return found


def _without_holds(words: list[str]) -> Iterator[str]:
    """Leaves out that a look held a stage, and that a later one ended that. What a killed service
    had in its inbox, and what comes before the next one, is lost: a look that misses the windows of
    many devices cannot tell."""
    held = False
    for word, after in zip(words, [*words[1:], ""], strict=True):
        if word.startswith("INCONCLUSIVE") and after == "held":
            held = True
        elif word not in ("held", "continued") or not held:
            yield word


def _lost(connection: Connection) -> int:
    """The windows that are missing between the first and the last one of each device."""
    numbers = defaultdict(set)
    for device, number in connection.execute(
        select(tables.windows.c.device, tables.windows.c.number)
    ):
        numbers[device].add(number)
    return sum(max(its) - min(its) + 1 - len(its) for its in numbers.values())


def _word(entry: Entry) -> str:
    kind, stage = entry.kind, entry.body.get("stage")
    where = "back" if stage is None else str(stage + 1)
    if kind in ("reported", "looked"):
        return ""
    if kind == "gated":
        return f"{entry.body['verdict']} {where}"
    return f"{kind} {where}" if kind in ("opened", "began") else kind


def _stage_of(log: list[Entry], slot: int) -> int | None:
    for entry in log:
        if entry.kind == "opened":
            for order in entry.body["orders"]:
                if any(first <= slot <= last for first, last in order["slots"]):
                    return int(entry.body["stage"])
    return None


def _wanted(world: "World", name: str) -> int:
    """Returns the release that the device runs at the end."""
    return OLD if world.course.name == "bad" or name in world.course.refuses else NEW


def _devices(world: "World") -> list[str]:
    return [
        f"{one.name} runs another release than it should"
        for one in world.fleet.devices
        if one.runs != world.start.digests[_wanted(world, one.name)]
    ]


def _answers(world: "World", log: list[Entry]) -> list[str]:
    """Each device's outcome is in the log once for each order that it has answered."""
    told = Counter(
        (one.body["device"], one.body["seq"], one.body["outcome"])
        for one in log
        if one.kind == "reported" and one.body["outcome"] != "IN_PROGRESS"
    )
    # The last order says again what those before have said, to all: who runs the release already
    # has nothing new to say.
    last = max(
        order["seq"] for one in log if one.kind == "reordered" for order in one.body["orders"]
    )
    wanted = Counter(
        (one.name, seq, outcome)
        for one in world.fleet.devices
        for seq, outcome in one.outcomes
        if seq > world.start.old_seq and not (seq == last and outcome == SUCCEEDED)
    )
    for name, seq, outcome in wanted - told if world.downs else ():
        if outcome == SUCCEEDED and told[name, last, SUCCEEDED]:
            # A kill lost what it said of that order; it said it again of the last one.
            told[name, last, SUCCEEDED] -= 1
            told[name, seq, SUCCEEDED] += 1
    return [
        f"the log has {told[one]} times, and not {wanted[one]}: {one}"
        for one in told | wanted
        if told[one] != wanted[one]
    ]


def _broker(world: "World", connection: Connection) -> list[str]:
    """The broker has what the outbox has; each device finds the order for what it should run."""
    found = []
    query = select(tables.outbox, tables.blobs.c.data).outerjoin(
        tables.blobs, tables.blobs.c.sha256 == tables.outbox.c.blob
    )
    rows = connection.execute(query).all()
    held = {row.topic: bytes(row.data) for row in rows if row.data is not None}
    there = {t: p for t, p in world.broker.retained.items() if "/desired/" in t or "/root/" in t}
    if there != held:
        found.append(f"the broker has other orders than the outbox: {len(there)} and {len(held)}")
    if any(row.acked < row.version for row in rows):
        found.append("messages wait for the broker")
    known = set(connection.scalars(select(tables.orders.c.seq)))
    if unknown := sorted(set(world.watch.orders) - known):
        found.append(f"orders were published that the database does not have: {unknown}")
    release = OLD if world.course.name == "bad" else NEW
    for one in world.fleet.devices:
        orders = [read_order(there[topic]) for topic in one.topics if topic in there]
        newest = max(orders, key=lambda order: int(order["seq"]), default={"manifest": ""})
        if newest["manifest"] != world.start.digests[release]:
            found.append(f"{one.name} finds an order for another release, or none")
    return found


def _windows(world: "World", connection: Connection) -> list[str]:
    """Each window is counted once: the sums are those of the windows."""
    found = []
    table = tables.windows
    counted: Counter[tuple[str, int]] = Counter()
    for row in connection.execute(select(table)):
        counted[row.device, row.release] += row.inferences
        if row.inferences != LABELS:
            found.append(f"window {row.number} of {row.device} has {row.inferences} inferences")
    for row in connection.execute(select(tables.metrics)):
        if row.inferences != counted[row.device, row.release]:
            found.append(f"{row.device}: the sums are not those of its windows")
    return found


def _shown(world: "World", connection: Connection, log: list[Entry]) -> list[str]:
    """The status counts each device once, with the outcome that it had."""
    status = StatusReader(connection, str(ROLLOUT)).read(connection, world.wall())
    found = [] if status.status == STATUS[world.course.name] else [f"it is {status.status}"]
    if len(status.rows) != len(PERCENTS) + (world.course.name == "bad"):
        found.append(f"it shows {len(status.rows)} rows")
    for number, row in enumerate(status.rows):
        stage = number if number < len(PERCENTS) else 0  # the last row of a revert is the way back
        inside = {one.name for one in world.fleet.devices if _stage_of(log, one.slot) == stage}
        refused = len(inside & world.course.refuses.keys())
        wanted = (len(inside), len(inside) - refused, refused)
        if (row.devices, row.succeeded, row.rolled_back) != wanted:
            found.append(f"row {number + 1} shows not {wanted}: {row}")
        if row.failed + row.rejected + row.canceled + row.silent + row.in_progress:
            found.append(f"row {number + 1} shows other outcomes: {row}")
    return found


def _counters(connection: Connection) -> list[str]:
    """The counters are those that the whole log gives."""
    try:
        counted_twice.require_the_same(connection)
    except AssertionError as error:
        return [f"counted another way: {error}"]
    return []
