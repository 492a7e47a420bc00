"""What canaries and controls measured in each window of the newest stage, for people who follow a
rollout: means, and no verdicts. They are read anew only once further windows are stored, and no
oftener than that costs a small part of the time. In a large fleet they are those of some devices
(storage/sampled.py): looks read all of them."""

import time
from collections.abc import Callable
from functools import partial
from math import exp, inf
from typing import Any

from sqlalchemy import Connection

from modelwave_controller.results.rollouts import Series, SeriesPoint
from modelwave_controller.rollout import course, planned_gates, state
from modelwave_controller.rollout.planned_gates import PlannedGate
from modelwave_controller.rollout.state import Rollout
from modelwave_controller.storage import sampled, window_series
from modelwave_controller.storage.sampled import Arms
from modelwave_controller.storage.window_series import NOBODY, DeviceMeans, StageWindows
from modelwave_controller.storage.windows import KEPT_SECONDS

MAX_WINDOWS = 24  # the newest
MAX_DEVICES = 250  # of each arm; a few more, as they are those of whole slots
AGAIN = 3  # windows, the newest that were read, are read again with the next ones
REST = 20  # times as long as the last reading took, until the next one


Sums = dict[int, list[DeviceMeans]]  # by window of the stage: an entry for each gate


class SeriesReader:
    """Reads the series of one rollout repeatedly. Windows that had been over for AGAIN windows when
    they were read are not read again: what comes later than that is left out of the lines.

    is_whole: they are of all devices, and not of some
    """

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        """`steady`: a clock that cannot be set, in seconds."""
        self._steady = steady
        self.is_whole = True
        self._stage = 0  # that `_sums`, of canaries and of controls, are of
        self._sums: tuple[Sums, Sums] = ({}, {})
        self._of: tuple[Any, ...] = ()  # what they were read of
        self._last = 0
        self._next = -inf

    def read(self, connection: Connection, rollout: Rollout, clock: float) -> Series:
        """Returns the means by gate; a gate that nobody measures is left out. `clock` is the
        rollout clock."""
        if self._stage != len(rollout.stages):
            self._stage, self._sums, self._last = len(rollout.stages), ({}, {}), 0
            self._of, self._next = (), -inf
        wanted = windows_of(rollout, clock)
        begun = self._steady()
        if wanted is None:
            return {}
        if begun >= self._next:
            arms = sampled.arms(connection, rollout, MAX_DEVICES)
            names = [*arms.canaries, *arms.controls]
            new = (wanted, window_series.mark(connection, rollout.model, names))
            if new != self._of:
                self.is_whole = arms.is_whole
                self._read(connection, rollout, arms, wanted)
                self._of = new
                self._next = self._steady() + REST * (self._steady() - begun)
        return _series(rollout, self._sums, wanted)

    def _read(
        self, connection: Connection, rollout: Rollout, arms: Arms, wanted: StageWindows
    ) -> None:
        part = wanted._replace(first=max(wanted.first, self._last - AGAIN + 1))
        for held, new in zip(self._sums, _sums(connection, rollout, arms, part), strict=True):
            for window in [one for one in held if one < wanted.first or one >= part.first]:
                del held[window]
            held.update(new)
        self._last = wanted.last


def windows_of(rollout: Rollout, clock: float) -> StageWindows | None:
    """Returns the windows of the newest stage that are over, at most MAX_WINDOWS of the last two
    days. Of a rollout that is over, or on the way back, they end with the last look."""
    if not rollout.stages or rollout.not_understood:
        return None
    stage = rollout.stages[-1]
    times = course.course_of(rollout.created.plan, stage)
    if times is None:
        return None
    length = rollout.created.plan.judge.window_seconds
    last = int((clock - times.opened) // length)
    if rollout.status not in state.ACTIVE or rollout.revert_asked is not None:
        last = min(last, stage.looks[-1].windows if stage.looks else 0)
    gone = int(max(0.0, clock - KEPT_SECONDS - times.opened) // length)
    first = max(1, last - MAX_WINDOWS + 1, gone + 1)
    return StageWindows(times.opened, length, first, last) if first <= last else None


def _sums(
    connection: Connection, rollout: Rollout, arms: Arms, wanted: StageWindows
) -> tuple[Sums, Sums]:
    """Returns what canaries and controls measured of the gates of the newest stage."""
    gates = rollout.created.plan.gates_of(len(rollout.stages) - 1)
    release = rollout.release
    if not gates or release is None:
        return {}, {}
    query = partial(window_series.means, connection, rollout.model)
    return (
        query(arms.canaries, gates, release.release, True, wanted),
        query(arms.controls, gates, release.release, False, wanted),
    )


def _series(rollout: Rollout, sums: tuple[Sums, Sums], wanted: StageWindows) -> Series:
    gates = rollout.created.plan.gates_of(len(rollout.stages) - 1)
    nothing = [NOBODY] * len(gates)
    last = max((window for by in sums for window in by), default=0)
    found = {}
    for place, gate in enumerate(gates):
        points = [
            _point(gate, window, *(by.get(window, nothing)[place] for by in sums))
            for window in range(wanted.first, min(wanted.last, last) + 1)
        ]
        if any(one.devices for one in points):
            found[gate.text] = points
    return found


def _point(
    gate: PlannedGate, window: int, canaries: DeviceMeans, controls: DeviceMeans
) -> SeriesPoint:
    return SeriesPoint(
        window,
        _mean(gate, canaries),
        _mean(gate, controls),
        canaries.devices + controls.devices,
        canaries.devices,
    )


def _mean(gate: PlannedGate, sums: DeviceMeans) -> float | None:
    if not sums.devices:
        return None
    mean = sums.total / sums.devices
    return _exp(mean) if gate.kind == planned_gates.RATIO else mean


def _exp(value: float) -> float | None:
    """Returns e^value; None where that is no number, as in a damaged database."""
    try:
        return exp(value)
    except OverflowError:
        return None
