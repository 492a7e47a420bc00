"""Notes in the log when too many of a rollout's devices are in trouble, and when that is over
(rollout/troubled.py), from the counters. It looks only if an alert tells it."""

from collections.abc import Iterator

from sqlalchemy import Connection

from modelwave_controller.home import ControllerConfig
from modelwave_controller.rollout import alerts, troubled
from modelwave_controller.rollout.events import InTrouble, TroubleOver
from modelwave_controller.rollout.gates import Counts
from modelwave_controller.rollout.retry import is_late
from modelwave_controller.rollout.state import BACK, UNKNOWN, Rollout, State
from modelwave_controller.rollout.troubled import Devices
from modelwave_controller.storage import clock, gateways, log
from modelwave_controller.storage.counted import Counted
from modelwave_controller.storage.store import Transactions

LOOK_SECONDS = 10.0
MAX_GATEWAYS = 3  # that are named


class TroubleWatch:
    """Use it in the thread that leads."""

    def __init__(self, store: Transactions, config: ControllerConfig) -> None:
        self.store = store
        self.share = config.devices.trouble_share
        self.looks = any(alerts.IN_TROUBLE in one.on for one in config.alerts)
        self._due = 0.0

    def step(self, state: State, now: float, steady: float) -> None:
        """Looks if that is due. `now` is in Unix seconds, `steady` in seconds of a clock that
        cannot be set; `state` is brought up to date. Raises LeaseLost and StorageError."""
        if not self.looks or steady < self._due:
            return
        self._due = steady + LOOK_SECONDS
        with self.store.read() as connection:
            changed = bool(self._changes(connection, state))
        if changed:
            with self.store.write() as connection:
                for rollout, change in self._changes(connection, state):
                    log.append(connection, rollout, now, [change])

    def _changes(
        self, connection: Connection, state: State
    ) -> list[tuple[int, InTrouble | TroubleOver]]:
        """Returns what is to be noted, with the rollouts."""
        found = log.without_answers(connection, state)
        seconds = clock.stored(connection).seconds
        changes = []
        for rollout in found.rollouts.values():
            if rollout.over or rollout.status == UNKNOWN or not rollout.stages:
                continue
            counted = Counted(connection, rollout.model)
            devices = _devices(_counts(rollout, counted, seconds))
            if change := troubled.change(rollout, devices, self.share):
                changes.append((rollout.id, _with_gateways(connection, rollout, change)))
        return changes


def _with_gateways(
    connection: Connection, rollout: Rollout, change: InTrouble | TroubleOver
) -> InTrouble | TroubleOver:
    if isinstance(change, TroubleOver):
        return change
    down = gateways.down_with(connection, rollout.model, rollout.created.releases)
    most = sorted(down, key=lambda one: -one.devices)[:MAX_GATEWAYS]
    return change.model_copy(update={"gateways": {one.name: one.devices for one in most}})


def _counts(rollout: Rollout, counted: Counted, seconds: float) -> Iterator[tuple[Counts, bool]]:
    """Yields what its devices answered, and whether those that have not are silent."""
    if troubled.way(rollout) == BACK:
        yield counted.answers(rollout, None), False
        return
    for number in range(len(rollout.stages)):
        yield counted.answers(rollout, number), is_late(rollout, number, seconds)


def _devices(found: Iterator[tuple[Counts, bool]]) -> Devices:
    trouble = of = 0
    for counts, late in found:
        of += counts.devices
        trouble += counts.rolled_back + counts.failed + counts.rejected
        trouble += counts.pending - counts.deferred if late else 0
    return Devices(trouble, of)
