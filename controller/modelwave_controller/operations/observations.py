"""WindowSums up what devices observed in the time of a rollout, by target and release, for people.

The time is from BEFORE_SECONDS before the first stage began to AFTER_SECONDS after the end, or to
now. It is cut into steps of equal length: a window each, of older ones an hour or a day, or a
multiple of it, so that there are at most MAX_STEPS. A window belongs to the step in which it ended.

Nothing is compared here: gates do that, at their own times.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, inf
from typing import NamedTuple

from sqlalchemy import Connection

from modelwave_controller.results.report import (
    BEFORE,
    NEW,
    FleetObserved,
    ReleaseObserved,
    StepFigures,
)
from modelwave_controller.storage import windows
from modelwave_controller.storage.chunks import chunks
from modelwave_controller.storage.store import Store
from modelwave_controller.storage.tables import LIVE, SHADOW
from modelwave_controller.storage.window_folding import (
    DAY_SECONDS,
    HOUR_SECONDS,
    HOURS_KEPT_SECONDS,
)
from modelwave_controller.storage.windows import KEPT_SECONDS, StoredWindow
from modelwave_shared.window_format import BINS, FIRST_EDGE_MS

BEFORE_SECONDS = 4 * HOUR_SECONDS
AFTER_SECONDS = HOUR_SECONDS
WINDOW_SECONDS = 900  # the usual length of a window
MAX_STEPS = 48
NEWEST_WINDOWS = 4  # that are shown of a device: the last hour
MAX_RELEASES = 6  # of a target; the others are only counted


class Anchor(NamedTuple):
    """A moment by both clocks: Unix seconds, and seconds of the rollout clock."""

    at: float
    clock: float


class Timeline:
    """Converts between the two clocks, by the moments at which both are known. Between these, the
    rollout clock may have stood still: no service was running."""

    def __init__(self, anchors: Iterable[Anchor]) -> None:
        # Not by `at`: the wall clock may have been set back, and then the newest is not the latest.
        self._anchors = sorted(anchors, key=lambda one: (one.clock, one.at))

    @property
    def oldest(self) -> Anchor:
        return self._anchors[0]

    @property
    def newest(self) -> Anchor:
        return self._anchors[-1]

    def clock(self, at: float) -> float:
        return _converted([(one.at, one.clock) for one in self._anchors], at)

    def at(self, clock: float) -> float:
        return _converted([(one.clock, one.at) for one in self._anchors], clock)


def _converted(pairs: Sequence[tuple[float, float]], value: float) -> float:
    """Returns the other one of a pair with `value`, between and beyond the known pairs."""
    place = max(0, bisect_right(pairs, (value, inf)) - 1)
    known, other = pairs[place]
    moved = other + value - known
    return min(moved, pairs[place + 1][1]) if place + 1 < len(pairs) else moved


class Steps(NamedTuple):
    """The steps of a time, by the rollout clock."""

    start: float
    seconds: int
    number: int

    @property
    def end(self) -> float:
        return self.start + self.seconds * self.number

    def of(self, end: float) -> int:
        """Returns the step, from 0, in which a window ended."""
        return min(self.number - 1, max(0, ceil((end - self.start) / self.seconds) - 1))


@dataclass
class WindowSums:
    """What was observed in one or more windows."""

    inferences: int = 0
    failures: int = 0
    labelled: int = 0
    correct: int = 0
    latency: list[int] = field(default_factory=lambda: [0] * BINS)

    def add(self, window: StoredWindow) -> None:
        self.inferences += window.inferences
        self.failures += window.failures
        self.labelled += window.labelled
        self.correct += window.correct
        for number, count in enumerate(window.latency()):
            self.latency[number] += count

    @property
    def failed(self) -> float | None:
        """The share of inferences that failed."""
        return self.failures / self.inferences if self.inferences else None

    @property
    def accuracy(self) -> float | None:
        return self.correct / self.labelled if self.labelled else None

    @property
    def median_ms(self) -> float | None:
        return median_ms(self.latency)


@dataclass(frozen=True)
class NewestObserved:
    """What a device observed of a model in its newest windows, all of one release. `windows`: how
    many, `seconds`: how long they measured, `age_seconds`: since the end of the newest one, by the
    rollout clock; `failed` is a share. `shadow`: the release ran beside the live one; `agreement`
    is the share of its `compared` outputs that agreed with the live one's."""

    model: str
    release: int
    windows: int
    seconds: int
    age_seconds: float
    inferences: int
    failures: int
    failed: float | None
    labelled: int
    correct: int
    accuracy: float | None
    median_ms: float | None
    shadow: bool = False
    compared: int = 0
    agreement: float | None = None


def median_ms(latency: Sequence[int]) -> float | None:
    """Returns the median of a histogram of latencies, in ms; None if it is empty. Within its bin it
    is where it would be if the logarithms lay evenly; in the last, which has no end, it is the
    bin's beginning."""
    left = sum(latency) / 2
    if not left:
        return None
    edge = FIRST_EDGE_MS / 2
    for number, count in enumerate(latency[:-1]):
        if left <= count:
            share = left / count
            return FIRST_EDGE_MS * share if number == 0 else float(edge * 2**share)
        left -= count
        edge *= 2
    return edge


def steps_of(start: float, end: float, now: float) -> Steps:
    """Returns the steps from `start` to `end`; all times are by the rollout clock."""
    unit = WINDOW_SECONDS
    if now - start > KEPT_SECONDS:
        unit = HOUR_SECONDS
    if now - start > HOURS_KEPT_SECONDS:
        unit = DAY_SECONDS
    start -= start % unit
    units = max(1, ceil((end - start) / unit))
    each = ceil(units / MAX_STEPS)
    return Steps(start, unit * each, ceil(units / each))


def observed(
    store: Store,
    model: str,
    devices: Mapping[str, Sequence[str]],
    new: Mapping[str, int],
    before: Mapping[str, int],
    steps: Steps,
    times: Timeline,
) -> FleetObserved:
    """Returns what these devices, by target, observed of `model`. `new`, `before`: the number of
    the rollout's release and of the one before, by target. Some devices are read at a time, each
    time in a transaction of its own."""
    rows: list[ReleaseObserved] = []
    more = {}
    for target in sorted(devices):
        found = _by_release(store, model, devices[target], steps)
        roles = {before.get(target): BEFORE, new.get(target): NEW}
        order = sorted(found, key=lambda number: _rank(roles.get(number, ""), found[number]))
        rows += [_row(target, one, roles.get(one, ""), found[one]) for one in order[:MAX_RELEASES]]
        if len(order) > MAX_RELEASES:
            more[target] = len(order) - MAX_RELEASES
    until = times.at(min(steps.end, times.newest.clock))
    return FleetObserved(times.at(steps.start), until, steps.seconds, rows, more)


def newest(
    connection: Connection, device: str, models: Iterable[str], now: float
) -> list[NewestObserved]:
    """Returns what a device observed of each of these models in its NEWEST_WINDOWS newest windows
    of the last two days, as far as they are of the newest one's release. `now` is the rollout
    clock. A release that ran beside the live one has a row of its own."""
    found = []
    for model in sorted(models):
        for tables in (LIVE, SHADOW):
            read = windows.between(connection, model, [device], now - KEPT_SECONDS, inf, tables)
            measured = [one for one in read.get(device, []) if one.seconds]
            if measured:
                newest = measured[-NEWEST_WINDOWS:]
                found.append(_newest(model, newest, now, tables is SHADOW))
    return found


def _newest(
    model: str, measured: Sequence[StoredWindow], now: float, shadow: bool
) -> NewestObserved:
    last = measured[-1]
    same = [one for one in measured if one.release == last.release]
    sums = WindowSums()
    for one in same:
        sums.add(one)
    read = [one.measures() for one in same] if shadow else []
    compared, agreed = sum(one.compared for one in read), sum(one.agreed for one in read)
    return NewestObserved(
        model=model,
        release=last.release,
        windows=len(same),
        seconds=sum(one.seconds for one in same),
        age_seconds=max(0.0, now - last.end),
        inferences=sums.inferences,
        failures=sums.failures,
        failed=sums.failed,
        labelled=sums.labelled,
        correct=sums.correct,
        accuracy=sums.accuracy,
        median_ms=sums.median_ms,
        shadow=shadow,
        compared=compared,
        agreement=agreed / compared if compared else None,
    )


@dataclass
class _Release:
    steps: list[WindowSums]
    total: WindowSums = field(default_factory=WindowSums)
    devices: int = 0


def _by_release(
    store: Store, model: str, devices: Sequence[str], steps: Steps
) -> dict[int, _Release]:
    found: dict[int, _Release] = defaultdict(
        lambda: _Release([WindowSums() for _ in range(steps.number)])
    )
    for chunk in chunks(devices):
        with store.read() as connection:
            read = windows.between(connection, model, chunk, steps.start, steps.end)
        for rows in read.values():
            for window in rows:
                release = found[window.release]
                release.steps[steps.of(window.end)].add(window)
            for number in {window.release for window in rows}:
                found[number].devices += 1
    for release in found.values():
        release.total = _added(release.steps)
    return found


def _added(steps: Sequence[WindowSums]) -> WindowSums:
    return WindowSums(
        sum(one.inferences for one in steps),
        sum(one.failures for one in steps),
        sum(one.labelled for one in steps),
        sum(one.correct for one in steps),
        [sum(counts) for counts in zip(*(one.latency for one in steps), strict=True)],
    )


def _rank(role: str, release: _Release) -> tuple[int, int]:
    return {NEW: 0, BEFORE: 1}.get(role, 2), -release.total.inferences


def _row(target: str, number: int, role: str, release: _Release) -> ReleaseObserved:
    total = release.total
    return ReleaseObserved(
        target=target,
        release=number,
        role=role,
        devices=release.devices,
        inferences=total.inferences,
        failures=total.failures,
        failed=total.failed,
        labelled=total.labelled,
        correct=total.correct,
        accuracy=total.accuracy,
        median_ms=total.median_ms,
        steps=[StepFigures(one.failed, one.accuracy, one.median_ms) for one in release.steps],
    )
