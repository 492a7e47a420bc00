"""Puts together all that is known about a rollout, for a page that a person can file.

It is made of plain values and bounded, whatever the size of the fleet: cli/report_html.py and
cli/report_markdown.py draw it, --json prints it.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from modelwave_controller.judge.verdicts import PASS
from modelwave_controller.operations import observations
from modelwave_controller.operations.gate_courses import gate_courses
from modelwave_controller.operations.observations import Anchor, Timeline
from modelwave_controller.operations.problems import REFUSED, SILENT
from modelwave_controller.operations.status import MAX_PROBLEMS, StatusReader
from modelwave_controller.results.report import (
    EventLine,
    FleetObserved,
    GateDecision,
    RolloutReport,
    StageTimes,
    TroubledDevices,
)
from modelwave_controller.results.rollouts import Problem, Status
from modelwave_controller.rollout.events import (
    Aborted,
    Began,
    Created,
    Event,
    Finished,
    Gated,
    Opened,
    Release,
    Reverted,
)
from modelwave_controller.rollout.facts import Known
from modelwave_controller.rollout.lines import line_of
from modelwave_controller.rollout.state import Rollout
from modelwave_controller.storage import clock, devices, log
from modelwave_controller.storage.log import Wanted
from modelwave_controller.storage.store import Store
from modelwave_shared.words import CANCELED, DEFERRED, FAILED, REJECTED, ROLLED_BACK

MAX_DEVICES = 100  # of each outcome; the others are only counted
MAX_REASONS = 5  # of each outcome: the most frequent ones, with their counts
MAX_EVENTS = 1000  # the newest
MAX_GATES = 200  # decisions of gates: the newest
_PAGE = 1000  # events
_EVERY = 10**6  # problems: above the number of devices

# The outcomes in the order of the page; others that a newer program writes follow.
_OUTCOMES = (ROLLED_BACK, FAILED, REJECTED, REFUSED, SILENT, DEFERRED, CANCELED)


def make(
    store: Store, wanted: str | None, fleet: str, program: str, now: float, utc: bool = False
) -> RolloutReport:
    """Returns the report of the rollout `wanted`, as in rollouts.find. `program` is this program's
    version, `now` in Unix seconds; `utc`: moments within texts are not in local time. Raises
    OperatorError."""
    with store.read() as connection:
        reader = StatusReader(connection, wanted, max_problems=_EVERY, utc=utc)
        status = reader.read(connection, now)
        found = _Log(reader.rollout)
        found.read(connection)
        rollout = reader.folded
        known = devices.known(connection, status.model)
        stored = clock.stored(connection)
        clock_now = clock.shown(stored, log.service_seen_at(connection), now)
    ended = found.ended if status.final else None
    times = Timeline([*found.began_anchors, Anchor(now, clock_now)])
    courses, more_courses = gate_courses(rollout)
    return RolloutReport(
        fleet=fleet,
        made_at=now,
        program=program,
        status=_short(status),
        created=found.created,
        actor=found.actor,
        before={target: _named(one) for target, one in sorted(rollout.created.previous.items())},
        ended=ended,
        stages=list(_stages(status, len(rollout.created.plan.stages), found)),
        decisions=list(found.decisions),
        more_decisions=found.gated - len(found.decisions),
        courses=courses,
        more_courses=more_courses,
        troubles=troubles(status.problems),
        events=list(found.entries),
        more_events=found.count - len(found.entries),
        answers=found.answers,
        observed=_observed(store, rollout, known, times, ended),
    )


def _observed(
    store: Store, rollout: Rollout, known: Known, times: Timeline, ended: float | None
) -> FleetObserved:
    """Returns what the known devices of the rollout's targets observed in its time. `ended` is in
    Unix seconds, None if it goes on."""
    now, created = times.newest, rollout.created
    start = times.oldest.clock - observations.BEFORE_SECONDS  # when the first stage began, or now
    end = now.clock
    if ended is not None:
        end = min(end, times.clock(ended) + observations.AFTER_SECONDS)
    here = {target: sorted(known.of([target])) for target in created.releases}
    return observations.observed(
        store,
        rollout.model,
        here,
        {target: one.release for target, one in created.releases.items()},
        {target: one.release for target, one in created.previous.items()},
        observations.steps_of(start, end, now.clock),
        times,
    )


def _short(status: Status) -> Status:
    """Returns the status without what the report has elsewhere: it has problems by outcome, and
    what looks found by gate."""
    shown = status.problems[:MAX_PROBLEMS]
    more = len(status.problems) - len(shown) + status.more_problems
    return replace(status, problems=shown, more_problems=more, judged=[])


def troubles(problems: Sequence[Problem]) -> list[TroubledDevices]:
    """Returns the devices by outcome, with at most MAX_DEVICES of each."""
    groups: dict[str, list[Problem]] = defaultdict(list)
    for one in problems:
        groups[one.outcome].append(one)
    order = [word for word in _OUTCOMES if word in groups]
    order += [word for word in groups if word not in order]
    return [
        TroubledDevices(
            outcome,
            len(groups[outcome]),
            Counter(one.reason for one in groups[outcome]).most_common(MAX_REASONS),
            groups[outcome][:MAX_DEVICES],
        )
        for outcome in order
    ]


class _Log:
    """What a report says of the events of one rollout, without the devices' answers. It keeps a
    bounded number of them."""

    def __init__(self, rollout: int) -> None:
        self.rollout = rollout
        self.created: float | None = None
        self.actor = ""
        self.ended: float | None = None
        self.answers = 0
        self.count = 0
        self.entries: deque[EventLine] = deque(maxlen=MAX_EVENTS)
        self.gated = 0
        self.decisions: deque[GateDecision] = deque(maxlen=MAX_GATES)
        self.opened: dict[int | None, float] = {}  # by stage, from 0; None: the revert
        self.began: dict[int | None, float] = {}
        self.passed: dict[int | None, float] = {}
        self.began_anchors: list[Anchor] = []

    def read(self, connection: Connection) -> None:
        wanted, until = Wanted(self.rollout), log.newest_id(connection)
        self.answers = log.count_answers(connection, wanted)
        after = 0
        while events := log.page(connection, wanted, after, until, _PAGE):
            for event in events:
                self._take(event)
            after = events[-1].id

    def _take(self, event: Event) -> None:
        line = line_of(event)
        self.count += 1
        self.entries.append(EventLine(event.at, line.actor, line.what, line.reason))
        match event.body:
            case Created():
                self.created, self.actor = event.at, line.actor
            case Opened(stage=stage):
                self.opened[stage] = event.at
            case Reverted():
                self.opened[None] = event.at
            case Began(stage=stage, clock=seconds):
                self.began.setdefault(stage, event.at)
                self.began_anchors.append(Anchor(event.at, seconds))
            case Gated() as body:
                self.gated += 1
                self.decisions.append(
                    GateDecision(event.at, body.stage + 1, body.verdict, body.reason)
                )
                if body.verdict == PASS:
                    self.passed[body.stage] = event.at
            case Finished() | Aborted():
                self.ended = event.at


def _stages(status: Status, planned: int, found: _Log) -> Iterator[StageTimes]:
    for number, row in enumerate(status.rows):
        key = number if number < planned else None
        yield StageTimes(row, found.opened.get(key), found.began.get(key), found.passed.get(key))


def _named(release: Release) -> str:
    return f"release {release.release} ({release.version})"
