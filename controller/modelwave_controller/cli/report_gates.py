"""The sections of a rollout's report about its gates: what each look found, by stage and target."""

from collections.abc import Iterator, Sequence

from modelwave_controller.cli.report_cells import NONE, Cell, Heading, Interval, Part, Word
from modelwave_controller.drawing.intervals import Estimate, scale_of
from modelwave_controller.judge.verdicts import FAIL
from modelwave_controller.phrases import plural
from modelwave_controller.results.report import GateCourse, RolloutReport
from modelwave_controller.results.rollouts import GateRow

_LEGEND = (
    "Marks: a dot is PASS, a cross FAIL, a ring INCONCLUSIVE. The line through a mark is the "
    "interval, with an arrow where it goes on beyond the drawing; the dashed line is the margin of "
    "the stage, which is wider in early ones. In characters: * is the estimate, ( and ) are its "
    "bounds, < and > where they are beyond the line, M is the margin, 0 is no harm."
)


def gate_parts(report: RolloutReport) -> Iterator[Part]:
    """Yields a section for each gate that a look has judged."""
    for number, course in enumerate(report.courses, 1):
        notes = list(_left_out(course, report))
        if number == 1:
            notes.append(_LEGEND)
        if number == len(report.courses) and report.more_courses:
            notes.append(f"{plural(report.more_courses, 'gate')} more, no worse: {_all(report)}")
        yield Part(
            f"gate-{number}",
            f"Gate {course.gate}: {course.verdict}",
            _headings(course),
            list(_rows(course)),
            "Nothing is known of it.",
            notes,
            course=course,
        )


def _headings(course: GateCourse) -> list[Heading]:
    what = "measured" if course.is_limit else "harm"
    return [
        Heading("stage"),
        Heading("verdict"),
        Heading(f"{what}, with its interval"),
        *(Heading(word, True) for word in ("margin", "canaries", "controls")),
        Heading("what it says"),
    ]


def _rows(course: GateCourse) -> Iterator[list[Cell]]:
    """Yields the newest stage with its targets, then the earlier ones."""
    newest, *earlier = reversed(course.stages)
    rows = [newest, *course.targets, *earlier]
    scale = scale_of(map(_estimate, rows), with_zero=not course.is_limit)
    for row in rows:
        where = f"stage {row.stage}, in {row.target}" if row.target else f"stage {row.stage}"
        told = _told(row)
        yield [
            where,
            Word(row.verdict),
            NONE if row.harm is None else Interval(told, _estimate(row), scale, row.verdict),
            NONE if row.margin is None else f"{row.margin:.3g}",
            str(row.canaries),
            str(row.controls),
            row.needs or (row.reason if row.harm is None or row.verdict == FAIL else ""),
        ]


def _estimate(row: GateRow) -> Estimate:
    return Estimate(row.harm, row.low, row.high, row.margin)


def _told(row: GateRow) -> str:
    if row.harm is None or row.low is None or row.high is None:
        return NONE
    return f"{row.harm:.3g} ({row.low:.3g} to {row.high:.3g})"


def _left_out(course: GateCourse, report: RolloutReport) -> Sequence[str]:
    found = []
    if course.more_targets:
        found.append(f"{plural(course.more_targets, 'target')} more, no worse: {_all(report)}")
    if course.more_looks:
        left = f"Of each stage the last look is drawn; {plural(course.more_looks, 'look')} left out"
        found.append(f"{left}: {_log(report)}")
    return found


def _all(report: RolloutReport) -> str:
    return f"`modelwave rollout status {report.status.rollout} --json` has all."


def _log(report: RolloutReport) -> str:
    return f"`modelwave rollout log {report.status.rollout} --json` has all."
