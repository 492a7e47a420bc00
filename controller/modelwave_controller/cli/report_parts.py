"""The contents of a rollout's report: facts, and tables with their notes. report_html.py and
report_markdown.py draw them, and escape every text."""

from collections.abc import Iterable, Iterator, Sequence

from modelwave_controller.cli import drift_words
from modelwave_controller.cli.amounts import milliseconds, number, percent
from modelwave_controller.cli.report_cells import (
    NONE,
    Cell,
    Heading,
    Moment,
    Part,
    Series,
    Shares,
    Word,
)
from modelwave_controller.cli.report_gates import gate_parts
from modelwave_controller.cli.view import shown_columns
from modelwave_controller.phrases import moment, plural, span
from modelwave_controller.results.report import (
    BEFORE,
    NEW,
    ReleaseObserved,
    RolloutReport,
    StageTimes,
    TroubledDevices,
)


def title_of(report: RolloutReport) -> str:
    status = report.status
    version = f" {status.version}" if status.version else ""
    return f"Rollout {status.rollout}: {status.model or 'an unknown model'}{version}"


def facts_of(report: RolloutReport, utc: bool) -> Iterator[tuple[str, str]]:
    """Yields names and texts of what is to be known first."""
    status = report.status
    yield "why", status.why
    yield "next", status.next
    for warning in status.warnings:
        yield "but", warning
    if status.release:
        targets = ", ".join(status.targets)
        what = f"{status.model} release {status.release} ({status.version})"
        yield "what", f"{what} for {targets}, fleet {report.fleet}"
    yield "before", "; ".join(_before(report)) or "no earlier release"
    if report.created is not None:
        yield "started", f"{moment(report.created, utc)} by {report.actor}"
    if report.ended is not None:
        yield "ended", moment(report.ended, utc)
    yield "report", _made(report, utc)


def _before(report: RolloutReport) -> Iterator[str]:
    """Yields each release to revert to, with its targets."""
    for named in dict.fromkeys(report.before.values()):
        targets = [target for target, one in report.before.items() if one == named]
        yield f"{named} for {', '.join(targets)}"


def parts_of(report: RolloutReport, utc: bool) -> Iterator[Part]:
    yield _stages(report, utc)
    yield _gates(report, utc)
    yield from gate_parts(report)
    yield _observed(report, utc)
    if report.status.drift:
        yield _drift(report)
    yield from _troubles(report)
    yield _timeline(report, utc)


def _made(report: RolloutReport, utc: bool) -> str:
    made = f"made at {moment(report.made_at, utc)} by modelwave {report.program}"
    if report.status.final:
        return made
    return f"{made}, while the rollout was {report.status.status}: what follows is not in it"


def _stages(report: RolloutReport, utc: bool) -> Part:
    columns = shown_columns(report.status.rows)
    headings = [Heading("stage")]
    headings += [Heading(column.title, True) for column in columns]
    headings += [Heading(word) for word in ("gate", "opened", "began", "passed")]
    rows: list[list[Cell]] = [
        [
            Shares(stage.row.name, [(c.title, getattr(stage.row, c.field)) for c in columns[1:]]),
            *(number(getattr(stage.row, column.field)) for column in columns),
            Word(stage.row.gate or NONE),
            *(_at(at, utc) for at in (stage.opened, stage.began, stage.passed)),
        ]
        for stage in report.stages
    ]
    notes = ["Began: the broker had all orders of the stage, so that its soak and deadline ran."]
    notes += [f"{one.row.name}: {one.row.promoted}." for one in report.stages if one.row.promoted]
    return Part("stages", "Stages", headings, rows, "No stage is known.", notes)


def _gates(report: RolloutReport, utc: bool) -> Part:
    """What the gates decided, and how those stand that have not decided yet."""
    rows: list[list[Cell]] = [
        [_at(one.at, utc), f"stage {one.stage}", Word(one.verdict), one.reason]
        for one in report.decisions
    ]
    rows += [
        [_at(report.made_at, utc), stage.row.name, Word(stage.row.gate), stage.row.reason]
        for stage in report.stages
        if _is_open(stage)
    ]
    notes = _left_out(report.more_decisions, "older decision", report)
    headings = [Heading(word) for word in ("time", "stage", "verdict", "reason")]
    return Part("gates", "Gates", headings, rows, "No gate has decided anything.", notes)


def _is_open(stage: StageTimes) -> bool:
    return stage.row.gate.islower()


def _observed(report: RolloutReport, utc: bool) -> Part:
    found = report.observed
    words = ("target", "release", "devices", "inferences", "failures", "accuracy", "latency")
    headings = [Heading(word, word in ("devices", "inferences")) for word in words]
    rows = [
        cells
        for target in sorted({row.target for row in found.rows})
        for cells in _of_target([row for row in found.rows if row.target == target])
    ]
    since, until = moment(found.since, utc), moment(found.until, utc)
    notes = [
        f"From {since} to {until}, a point each {span(found.step_seconds)}. Failures: inferences "
        "that failed. Accuracy: right ones of those whose right answer is known. Latency: the "
        "median, from the histograms. The lines of a target in one column have one scale. These "
        "are sums, and no verdicts: gates compare."
    ]
    notes += [
        f"{target}: {plural(left, 'release')} with fewer inferences left out."
        for target, left in found.more.items()
    ]
    empty = "No device sent an observation in this time."
    return Part("observed", "What the devices observed", headings, rows, empty, notes)


def _of_target(rows: Sequence[ReleaseObserved]) -> Iterator[list[Cell]]:
    failed = _bounds(step.failed for row in rows for step in row.steps)
    accuracy = _bounds(step.accuracy for row in rows for step in row.steps)
    median = _bounds(step.median_ms for row in rows for step in row.steps)
    for row in rows:
        failures = f"{percent(row.failed)} ({number(row.failures)})"
        right = f"{percent(row.accuracy)} of {number(row.labelled)}" if row.labelled else NONE
        yield [
            row.target,
            _release(row),
            number(row.devices),
            number(row.inferences),
            Series(
                failures,
                [step.failed for step in row.steps],
                *failed,
                f"failures, {percent(failed[0])} to {percent(failed[1])}",
            ),
            Series(
                right,
                [step.accuracy for step in row.steps],
                *accuracy,
                f"accuracy, {percent(accuracy[0])} to {percent(accuracy[1])}",
            ),
            Series(
                milliseconds(row.median_ms),
                [step.median_ms for step in row.steps],
                *median,
                f"latency, {milliseconds(median[0])} to {milliseconds(median[1])}",
            ),
        ]


def _bounds(values: Iterable[float | None]) -> tuple[float, float]:
    found = [value for value in values if value is not None]
    return (min(found), max(found)) if found else (0.0, 0.0)


def _release(row: ReleaseObserved) -> str:
    roles = {NEW: f"{row.release}, new", BEFORE: f"{row.release}, the one before"}
    return roles.get(row.role, str(row.release))


def _drift(report: RolloutReport) -> Part:
    """The predicted classes of canaries beside those of controls."""
    words = ("stage", "target", "differ", "canaries", "controls", "moved most")
    headings = [Heading(word, word in ("canaries", "controls")) for word in words]
    rows: list[list[Cell]] = [
        [
            f"stage {row.stage}",
            row.target,
            percent(row.distance),
            number(row.canaries),
            number(row.controls),
            drift_words.moved(row),
        ]
        for row in report.status.drift
    ]
    note = (
        "Differ: the share of predictions of canaries that would have to be others to have the "
        "classes of controls in the same time (total variation). Canaries, controls: how many "
        f"predictions; few of them differ by chance alone. Last: the share among those of canaries "
        f"beside that of controls. {drift_words.JUDGES_NOTHING.capitalize()}."
    )
    return Part("classes", "Predicted classes", headings, rows, "", [note])


def _troubles(report: RolloutReport) -> Iterator[Part]:
    if not report.troubles:
        empty = "No device failed, rolled back, rejected the release or is silent."
        yield Part("devices", "Devices in trouble", [], [], empty)
    for place, trouble in enumerate(report.troubles):
        name = "devices" if place == 0 else f"devices-{place + 1}"
        title = f"Devices: {trouble.outcome}, {number(trouble.count)}"
        headings = [Heading("device"), Heading("reason")]
        if any(one.then for one in trouble.devices):
            headings.append(Heading("then"))
        rows: list[Sequence[Cell]] = [
            (one.device, one.reason or "no reason given", one.then)[: len(headings)]
            for one in trouble.devices
        ]
        notes = _trouble_notes(trouble, report)
        yield Part(name, title, headings, rows, "", notes, _often(trouble))


def _often(trouble: TroubledDevices) -> str:
    """Returns the most frequent reasons, if the rows do not name all devices."""
    if not trouble.more:
        return ""
    often = "; ".join(
        f"{number(count)} × {reason or 'no reason given'}" for reason, count in trouble.reasons
    )
    return f"The most frequent reasons: {often}."


def _trouble_notes(trouble: TroubledDevices, report: RolloutReport) -> list[str]:
    if not trouble.more:
        return []
    return [
        f"{plural(trouble.more, 'more device')} left out; `modelwave rollout log "
        f"{report.status.rollout} --answers` has all answers."
    ]


def _timeline(report: RolloutReport, utc: bool) -> Part:
    headings = [Heading(word) for word in ("time", "who", "what", "why")]
    rows: list[list[Cell]] = [
        [_at(one.at, utc), one.actor, one.what, one.reason] for one in report.events
    ]
    notes = _left_out(report.more_events, "older event", report)
    if report.answers:
        notes.append(
            f"{plural(report.answers, 'answer')} of devices left out; `modelwave rollout log "
            f"{report.status.rollout} --answers` has them."
        )
    return Part("timeline", "Who did what", headings, rows, "No event is known.", notes)


def _left_out(count: int, what: str, report: RolloutReport) -> list[str]:
    if not count:
        return []
    command = f"modelwave rollout log {report.status.rollout} --limit 1000000"
    return [f"{plural(count, what)} left out; `{command}` has all events."]


def _at(at: float | None, utc: bool) -> Moment:
    return Moment(NONE if at is None else moment(at, utc))
