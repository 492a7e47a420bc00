"""The status of a rollout for people: status word, reason, next step, and a row for each stage.

It is made of plain values, from the log's state; cli/view.py draws them, --json prints them.
"""

from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import NamedTuple

from sqlalchemy import Connection

from modelwave_controller.judge.verdicts import FAIL, PASS
from modelwave_controller.operations import gateway_words, recover, rollouts, ways
from modelwave_controller.operations.drifted import drift_rows
from modelwave_controller.operations.health import Health, health
from modelwave_controller.operations.judged import gate_rows, next_look, promoted_by
from modelwave_controller.operations.problems import REFUSED, SILENT, problems_of, with_moments
from modelwave_controller.operations.series import SeriesReader
from modelwave_controller.operations.waits import waits_for
from modelwave_controller.phrases import clones, listed, plural
from modelwave_controller.results.rollouts import Entry, Problem, StageRow, Status
from modelwave_controller.rollout import gates, state
from modelwave_controller.rollout.decide import answers, decide, label, stage_gate
from modelwave_controller.rollout.facts import (
    Population,
    facts,
    left_out,
)
from modelwave_controller.rollout.gates import NOBODY, PENDING, Counts
from modelwave_controller.rollout.retry import is_late
from modelwave_controller.rollout.state import Rollout, StageState, State
from modelwave_controller.storage import (
    ahead,
    clock,
    deltas,
    devices,
    gateways,
    log,
    outbox,
    repairs,
    unfinished,
)
from modelwave_controller.storage.ahead import Comparison
from modelwave_controller.storage.counted import Counted
from modelwave_controller.storage.unfinished import NOBODY_FOUND, Unfinished

MAX_PROBLEMS = 5
MAX_GATEWAYS = 3


class Times(NamedTuple):
    """The rollout clock, in seconds, and why no order can be signed now, or "": because of the wall
    clock, of the orders' numbers, or of their key. `wall` is what the wall clock is expected to
    show, in Unix seconds."""

    clock: float
    doubt: str = ""
    numbers_doubt: str = ""
    wall: float = inf
    key_away: str = ""


def entries(connection: Connection, now: float) -> list[Entry]:
    """Returns all rollouts, the newest last; `now` is in Unix seconds."""
    found = log.without_answers(connection)
    known = {r.model: Counted(connection, r.model) for r in found.rollouts.values()}
    return [
        _entry(found, r, known[r.model], _times(connection, now, found, r.model))
        for r in found.rollouts.values()
    ]


class StatusReader:
    """Reads the status of one rollout repeatedly; each time it reads only the log's new events."""

    def __init__(
        self,
        connection: Connection,
        wanted: str | None,
        max_problems: int = MAX_PROBLEMS,
        utc: bool = False,
        with_series: bool = False,
        trust: Callable[[], list[str]] = list,
    ) -> None:
        """`wanted` as in rollouts.find; `utc`: moments in problems are not in local time;
        `with_series`: also what devices measured by window; `trust` says what is wrong with the
        home's roots. Raises OperatorError."""
        self.rollout = rollouts.find(log.folded(connection, reports_of=[]), wanted).id
        self._state = State()
        self._max_problems = max_problems
        self._utc = utc
        self._trust = trust
        self._series = SeriesReader() if with_series else None

    @property
    def folded(self) -> Rollout:
        """The rollout as it was read last."""
        return self._state.rollouts[self.rollout]

    def read(self, connection: Connection, now: float) -> Status:
        state = log.without_answers(connection, self._state)
        rollout = state.rollouts[self.rollout]
        known = Counted(connection, rollout.model)
        service, left = health(connection, now), outbox.left(connection)
        times = _times(connection, now, state, rollout.model)
        refusals = devices.refusals(connection, rollout.model, rollout.created.releases)
        epoch = ahead.newest_epoch(connection, rollout.model)
        compared = ahead.compare(connection, rollout.model, epoch)
        refusing = [one.device for one in refusals]
        few = unfinished.read(connection, rollout, known, times.clock, refusing)
        found = describe(
            state,
            rollout,
            known,
            few,
            times,
            warnings=[
                *self._trust(),
                *_warnings(rollout, service.problem, left),
                *_gateways(connection, rollout, service),
                *_repaired(repairs.summary(connection, rollout.model)),
                *_left_out(rollout, known),
                *_clones(connection, rollout, known),
                *_behind(state, rollout, compared),
            ],
            problems=problems_of(state, rollout, few.known, refusals, compared, times.clock),
            max_problems=self._max_problems,
        )
        problems = with_moments(connection, rollout.model, found.problems, service, self._utc)
        series = self._series.read(connection, rollout, times.clock) if self._series else {}
        stage = len(rollout.stages) if series else 0
        manifests = [release.manifest for release in rollout.created.releases.values()]
        saved = deltas.saved(connection, manifests)
        return replace(
            found,
            problems=problems,
            series=series,
            series_stage=stage,
            saved=saved,
            series_of_all=self._series is None or self._series.is_whole,
        )


def describe(
    found: State,
    rollout: Rollout,
    known: Population,
    few: Unfinished,
    times: Times,
    warnings: list[str],
    problems: list[Problem],
    max_problems: int = MAX_PROBLEMS,
) -> Status:
    """Returns the status of a rollout, which is one of those in `found`. `few` are the devices that
    have not succeeded, whose answers are in `found`."""
    why, then = _why(found, rollout, known, few, times)
    release = rollout.release
    return Status(
        rollout=rollout.id,
        model=rollout.model,
        release=release.release if release else 0,
        version=release.version if release else "",
        targets=sorted(rollout.created.releases),
        seed=rollout.created.seed,
        status=rollout.status,
        why=why,
        next=then,
        warnings=warnings,
        rows=_rows(rollout, known, times.clock),
        problems=problems[:max_problems],
        more_problems=max(0, len(problems) - max_problems) + few.more,
        find_others=_find_others(rollout, problems if few.more else problems[max_problems:]),
        judged=gate_rows(rollout),
        next_look=next_look(rollout, times.clock),
        drift=drift_rows(rollout),
        waits=waits_for(rollout, times.wall),
        final=rollout.status in state.FINAL,
    )


def _find_others(rollout: Rollout, others: list[Problem]) -> str:
    """Returns the commands that name these devices; the log has only those that answered."""
    found = []
    if any(one.outcome not in (SILENT, REFUSED) for one in others):
        found.append(f"`modelwave rollout log {rollout.id} --answers` has all answers")
    if any(one.outcome in (SILENT, REFUSED) for one in others):
        found += [f"{command} names silent ones too" for command in _not_there(rollout)]
    return "; ".join(found)


def _not_there(rollout: Rollout) -> list[str]:
    """Returns the commands that name the devices that do not run what the rollout's newest orders
    say."""
    created = rollout.created
    releases = created.previous if rollout.back else created.releases
    return [
        f"`modelwave device list --model {rollout.model} --target {target} --not-on "
        f"{release.release}`"
        for target, release in sorted(releases.items())
    ]


def _times(connection: Connection, now: float, found: State, model: str) -> Times:
    clocks = clock.stored(connection)
    shown = clock.shown(clocks, log.service_seen_at(connection), now)
    return Times(
        shown,
        clocks.doubt,
        found.numbers_doubt(model),
        clocks.wall if clocks.doubt else now,
        found.key_away,
    )


def _entry(found: State, rollout: Rollout, known: Population, times: Times) -> Entry:
    reason = rollout.reason
    if not rollout.over:
        reason, _ = _why(found, rollout, known, NOBODY_FOUND, times)
    return Entry(
        rollout=rollout.id,
        model=rollout.model,
        release=rollout.release.release if rollout.release else None,
        targets=sorted(rollout.created.releases),
        status=rollout.status,
        stages=f"{len(rollout.stages)}/{len(rollout.created.plan.stages)}",
        reason=reason,
    )


def _warnings(rollout: Rollout, problem: str, left: int) -> list[str]:
    found = []
    waits = rollout.status in (*state.ACTIVE, state.REVERTING) or rollout.revert_asked is not None
    if problem and (waits or left):
        found.append(problem)
    if left:
        told = f"{plural(left, 'topic')} not yet acknowledged by the broker"
        if rollout.status == state.ABORTED:
            told += (
                "; opened slots get their order once it is back: `modelwave rollout revert "
                f"{rollout.id}` orders what ran before"
            )
        found.append(told)
    return found


def _gateways(connection: Connection, rollout: Rollout, service: Health) -> list[str]:
    if rollout.over or not service.up_to_date:
        return []
    down = gateways.down_with(connection, rollout.model, rollout.created.releases)
    more = [f"{len(down) - MAX_GATEWAYS} more gateways are offline"] if down[MAX_GATEWAYS:] else []
    told = [gateway_words.one_down(one.name, one.since, one.devices) for one in down]
    return [*told[:MAX_GATEWAYS], *more]


def _repaired(found: repairs.Summary) -> list[str]:
    if not found.devices:
        return []
    return [
        f"{plural(found.devices, 'device')} went on reporting an older order, such as {found.one}: "
        f"orders were sent again {plural(found.times, 'time')}; `modelwave device show "
        f"{found.one}` says what it reports"
    ]


def _left_out(rollout: Rollout, known: Population) -> list[str]:
    """Returns a warning for each stage that names devices without an order of it."""
    found = []
    for number, names in left_out(rollout, known).items():
        which = f"{label(rollout.created.plan, number)}: left out"
        if number < len(rollout.stages):
            found.append(f"{which}, as not known when it opened: {listed(names)}")
        elif rollout.status in state.ACTIVE:
            found.append(f"{which}, unless heard before it opens: {listed(names)}")
    return found


def _clones(connection: Connection, rollout: Rollout, known: Population) -> list[str]:
    """Returns a warning if two devices use an id of the rollout's targets."""
    cloned = devices.cloned(connection)
    places = known.places(rollout.created.releases.keys(), cloned) if cloned else []
    found = sorted(device for _, _, device in places)
    return [clones(found)] if found else []


def _behind(found: State, rollout: Rollout, compared: Comparison) -> list[str]:
    """Warns of newer orders at the broker than this controller's, and of devices that refuse its
    orders, also when the rollout is over: they may come back after its end, and would refuse a
    retry."""
    said = [found.numbers_doubt(rollout.model)] if rollout.model in found.behind else []
    if compared.ahead:
        said.append(recover.behind(compared, rollout.model))
    return [f"{one}: `modelwave recover {rollout.model}`" for one in said]


def _why(
    found: State, rollout: Rollout, known: Population, few: Unfinished, times: Times
) -> tuple[str, str]:
    if obstacle := found.obstacle(rollout.model, rollout.id):
        return _why_it_stays(rollout, obstacle)
    if rollout.over:
        then = ways.after_the_end(found, rollout, known, few, times.clock)
        return _why_over(rollout, known), then
    so_far = facts(rollout, known, *times[1:])
    made = decide(rollout.created.plan, so_far, times.clock)
    if rollout.back is not None:
        why = f"{rollout.reason}; {_back(rollout, known, False)}"
        return why, "; ".join([made.next, *_awaited(rollout, known)])
    if rollout.status == state.PAUSED:
        return f"{rollout.reason}; {made.reason}", made.next
    by_gate = rollout.status == state.HELD and rollout.held_by == "gate"
    if by_gate and made.gate and made.gate.verdict in (PASS, PENDING):
        return f"{rollout.reason}; now {made.gate.reason}", made.next
    return made.reason, made.next


def _awaited(rollout: Rollout, known: Population) -> list[str]:
    """Returns how to see the devices that have not answered on the way back."""
    if rollout.back is None or not known.answers(rollout, None).pending:
        return []
    return [f"{command} names those that are awaited" for command in _not_there(rollout)]


def _why_over(rollout: Rollout, known: Population) -> str:
    if rollout.status == state.FINISHED:
        counts = answers(rollout.created.plan, facts(rollout, known))
        return _since(rollout.reason, counts)
    if rollout.status == state.REVERTED:
        return f"{rollout.reason}; {_back(rollout, known, True)}"
    return rollout.reason


def _since(reason: str, counts: Counts) -> str:
    """Returns the reason of a finished rollout, with the counts if later answers changed them."""
    now = gates.tally(counts, False)
    return reason if not counts.devices or now in reason else f"{reason}; now {now}"


def _why_it_stays(rollout: Rollout, obstacle: str) -> tuple[str, str]:
    if rollout.over:
        return f"{rollout.reason}; {obstacle}", "nothing: it is over"
    then = "no stage opens and nothing is reverted until modelwave is updated"
    if rollout.status == state.REVERTING:
        return obstacle, then
    return obstacle, f"{then}; `modelwave rollout abort {rollout.id}` ends it"


def _back(rollout: Rollout, known: Population, over: bool) -> str:
    if rollout.back is None or not rollout.back.orders:
        return (
            "there is no earlier release, so its orders were withdrawn; a device that has its "
            "order already goes on with it, and keeps the release if it confirms it"
        )
    return f"on the way back {gates.tally(known.answers(rollout, None), over)}"


def _rows(rollout: Rollout, known: Population, clock_now: float) -> list[StageRow]:
    plan, so_far = rollout.created.plan, facts(rollout, known)
    rows = []
    for number in range(len(plan.stages)):
        counts, late, gate, reason, rest = NOBODY, False, "", "", None
        if number < len(rollout.stages):
            fact = so_far.stages[number]
            counts, late, rest = fact.counts, is_late(rollout, number, clock_now), fact.rest
            live = stage_gate(plan, so_far, number, clock_now)
            gate, reason = _gate(rollout, rollout.stages[number], live)
        row = _row(label(plan, number), counts, late, gate, reason)
        to_open = rest.devices if rest else 0
        rows.append(replace(row, to_open=to_open, promoted=promoted_by(rollout, number)))
    if so_far.back and rollout.back and rollout.back.orders:
        rows.append(_row("way back", so_far.back, rollout.status == state.REVERTED))
    return rows


def _gate(rollout: Rollout, stage: StageState, live: gates.Gate) -> tuple[str, str]:
    """Returns the gate's final decision; while the rollout may go on, also its current state."""
    if stage.verdict in (PASS, FAIL) or rollout.status not in state.ACTIVE:
        return stage.verdict, stage.verdict_reason
    words = dict.fromkeys((PASS, PENDING), "opening") if stage.rest else {}
    words = {PASS: "soaking", PENDING: "pending"} | words
    return words.get(live.verdict, live.verdict), live.reason


def _row(name: str, counts: Counts, late: bool, gate: str = "", reason: str = "") -> StageRow:
    return StageRow(
        name=name,
        devices=counts.devices,
        in_progress=0 if late else counts.in_progress,
        succeeded=counts.succeeded,
        rolled_back=counts.rolled_back,
        failed=counts.failed,
        rejected=counts.rejected,
        canceled=counts.canceled,
        silent=counts.pending - counts.deferred if late else counts.queued,
        gate=gate,
        reason=reason,
        deferred=counts.deferred,
        shadowed=counts.shadowed,
    )
