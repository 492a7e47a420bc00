"""Figures of rollouts: their status, their devices by outcome, and what their gates found.

All rollouts are counted by status. Of those that are not over, the newest MAX_ROLLOUTS have series
of their own, and of a gate the MAX_TARGETS targets that stand worst.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, Metric
from sqlalchemy import Connection

from modelwave_controller.judge.verdicts import FAIL, PASS
from modelwave_controller.metrics.series import Labels, gauge, gauges
from modelwave_controller.operations.judged import gate_rows
from modelwave_controller.operations.worst import worst_targets
from modelwave_controller.results.rollouts import GateRow
from modelwave_controller.rollout import state
from modelwave_controller.rollout.gates import Counts
from modelwave_controller.rollout.retry import is_late
from modelwave_controller.rollout.state import Rollout, State
from modelwave_controller.storage import clock, log
from modelwave_controller.storage.counted import Counted

MAX_ROLLOUTS = 20
MAX_TARGETS = 4
STATUSES = (*state.ACTIVE, state.REVERTING, *state.FINAL, state.UNKNOWN)
OUT, BACK = "out", "back"  # ways


class Judged(NamedTuple):
    rollout: Labels  # its id, and its model
    row: GateRow

    @property
    def labels(self) -> Labels:
        return (*self.rollout, str(self.row.stage), self.row.gate, self.row.target)


class Rollouts:
    """Reads what is new in the log at each scrape. One thread uses it at a time."""

    def __init__(self) -> None:
        self._state = State()

    def families(self, connection: Connection) -> Iterator[Metric]:
        found = self._state = log.without_answers(connection, self._state)
        yield gauge("key_away", "1 if the order key cannot sign now.", bool(found.key_away))
        statuses = Counter(dict.fromkeys(STATUSES, 0))
        statuses.update(rollout.status for rollout in found.rollouts.values())
        rows = [((status,), number) for status, number in sorted(statuses.items())]
        yield gauges("rollouts", "Rollouts by status.", ("status",), rows)
        yield _verdicts(found.rollouts.values())
        live = [rollout for rollout in found.rollouts.values() if not rollout.over]
        yield from _live(connection, live[-MAX_ROLLOUTS:])


def _verdicts(rollouts: Iterable[Rollout]) -> Metric:
    text = "Stages of all rollouts whose gate has passed, or failed."
    found = CounterMetricFamily("modelwave_stage_verdicts", text, labels=("verdict",))
    verdicts = Counter(stage.verdict for rollout in rollouts for stage in rollout.stages)
    for word in (PASS, FAIL):
        found.add_metric((word,), verdicts[word])
    return found


def _live(connection: Connection, live: Sequence[Rollout]) -> Iterator[Metric]:
    labels = ("rollout", "model")
    rows: list[tuple[Labels, float]] = [((*_named(one), one.status), 1) for one in live]
    text = "1 for the status of a rollout that is not over."
    yield gauges("rollout_status", text, (*labels, "status"), rows)
    known = [rollout for rollout in live if not rollout.not_understood]
    text = "Stages that it has opened."
    opened = [(_named(one), len(one.stages)) for one in known]
    yield gauges("rollout_stages_opened", text, labels, opened)
    planned = [(_named(one), len(one.created.plan.stages)) for one in known]
    yield gauges("rollout_stages_planned", "Stages in its plan.", labels, planned)
    text = "Devices by the outcome of its orders, on the way out, or back after a revert."
    seconds = clock.stored(connection).seconds
    outcomes = [row for one in known for row in _outcomes(connection, one, seconds)]
    yield gauges("rollout_devices", text, (*labels, "way", "outcome"), outcomes)
    yield from _gates([Judged(_named(one), row) for one in known for row in _rows(one)])


def _named(rollout: Rollout) -> Labels:
    return str(rollout.id), rollout.model


def _outcomes(
    connection: Connection, rollout: Rollout, seconds: float
) -> list[tuple[Labels, float]]:
    """`seconds`: the rollout clock."""
    counted = Counted(connection, rollout.model)
    found: dict[str, Counter[str]] = {OUT: Counter()}
    for number in range(len(rollout.stages)):
        late = is_late(rollout, number, seconds)
        found[OUT].update(_by_outcome(counted.answers(rollout, number), late))
    if rollout.back is not None:
        found[BACK] = _by_outcome(counted.answers(rollout, None), False)
    return [
        ((*_named(rollout), way, outcome), number)
        for way, its in found.items()
        for outcome, number in its.items()
    ]


def _by_outcome(counts: Counts, is_late: bool) -> Counter[str]:
    """After the deadline who has not answered is silent, as in the status."""
    return Counter(
        queued=0 if is_late else counts.queued,
        silent=counts.pending - counts.deferred if is_late else 0,
        in_progress=0 if is_late else counts.in_progress,
        deferred=counts.deferred,
        succeeded=counts.succeeded,
        shadowed=counts.shadowed,
        rolled_back=counts.rolled_back,
        failed=counts.failed,
        rejected=counts.rejected,
        canceled=counts.canceled,
    )


def _rows(rollout: Rollout) -> list[GateRow]:
    """Returns the rows of its newest stage that was judged."""
    rows = gate_rows(rollout)
    newest = [row for row in rows if row.stage == max(one.stage for one in rows)]
    found = [row for row in newest if not row.target]
    for gate in dict.fromkeys(row.gate for row in newest):
        found += worst_targets(newest, gate, MAX_TARGETS)[0]
    return found


def _gates(rows: Sequence[Judged]) -> Iterator[Metric]:
    labels = ("rollout", "model", "stage", "gate", "target")
    values = (
        ("gate_estimate", "How much worse the release is, or the mean of a limit.", "harm"),
        ("gate_lower", "The lower bound of it.", "low"),
        ("gate_upper", "The upper bound of it.", "high"),
        ("gate_margin", "What it may come to.", "margin"),
    )
    for name, text, field in values:
        found = ((one.labels, getattr(one.row, field)) for one in rows)
        its = [(its, value) for its, value in found if value is not None]
        yield gauges(name, text + ' Target "": all together.', labels, its)
    verdicts = [((*one.labels, one.row.verdict), 1) for one in rows]
    yield gauges("gate_verdict", "1 for what stands of a gate.", (*labels, "verdict"), verdicts)
    arms = [
        ((*one.labels, arm), number)
        for one in rows
        for arm, number in (("canaries", one.row.canaries), ("controls", one.row.controls))
    ]
    yield gauges("gate_devices", "Devices that were compared.", (*labels, "arm"), arms)
