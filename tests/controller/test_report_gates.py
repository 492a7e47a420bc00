"""Tests how a rollout's report shows what its gates found: each look with its interval, bounded,
escaped, and the same in HTML and in Markdown."""

import json
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from observing_fleet import judging
from rollout_world import FLEET, World

from modelwave_controller.cli import gate_plot, report_html, report_markdown
from modelwave_controller.drawing import intervals
from modelwave_controller.drawing.intervals import Estimate, Scale, scale_of
from modelwave_controller.operations import report
from modelwave_controller.operations.gate_courses import (
    MAX_COURSES,
    MAX_LOOKS,
    MAX_TARGETS,
    gate_courses,
)
from modelwave_controller.results.report import GateCourse, GateLook, RolloutReport
from modelwave_controller.rollout import course
from modelwave_controller.rollout.events import Began, Created, Finding, Looked, Opened
from modelwave_controller.rollout.plan import make_plan
from modelwave_controller.rollout.state import Rollout, StageState
from modelwave_controller.storage import log

ACCURACY = "accuracy >= baseline - 0.02"
LEAST = "accuracy >= 0.9"
HOSTILE = "<script>x</script> | [l](http://e) `y` *z* \u202e\x1b[2J\nnew"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=4)) as made:
        made.start(1, judging(ACCURACY, stages=(20, 50, 100)))
        yield made


def finding(verdict: str, harm: float | None = 0.01, **changes: object) -> Finding:
    found = {"gate": ACCURACY, "verdict": verdict, "reason": "the reason", "canaries": 3}
    found |= {"controls": 40, "margin": 0.06, "harm": harm, "p": 0.2, "needs": ""}
    if harm is not None:
        found |= {"low": harm - 0.02, "high": harm + 0.02}
    return Finding.model_validate(found | changes)


def look(stage: int, number: int, *findings: Finding) -> Looked:
    return Looked(
        stage=stage, look=number, windows=1 << number, observed=True, findings=list(findings)
    )


def with_looks(world: World, *looks: Looked) -> RolloutReport:
    events = [Opened(stage=0, orders=[]), Began(stage=0, clock=0.0), *looks]
    with world.store.write() as connection:
        log.append(connection, 1, world.now, events)
    return report.make(world.store, "1", FLEET, "0.1.0", world.now, utc=True)


def pages(found: RolloutReport) -> tuple[str, str]:
    return report_html.page(found, utc=True), report_markdown.page(found, utc=True)


def plots(page: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(one) for one in re.findall(r'<svg class="plot".*?</svg>', page)]


def test_each_look_is_drawn_with_its_interval_margin_and_verdict(world: World) -> None:
    found = with_looks(
        world,
        look(0, 0, finding("INCONCLUSIVE", 0.03)),
        look(0, 1, finding("PASS", 0.012)),
        look(0, 2, finding("FAIL", 0.02, margin=0.06)),
    )
    html, markdown = pages(found)
    [plot] = plots(html)
    marks = [one.get("class") for one in plot.iter() if "mark" in one.get("class", "").split()]
    assert marks == ["mark inconclusive", "mark pass", "mark fail"]
    texts = [one.text for one in plot.iter("text")]
    assert texts[:2] == ["harm, up is worse", "windows"]
    assert texts[-1] == "margin 0.06"
    for word in ("1", "2", "4", "stage 1", "FAIL"):
        assert word in texts
    told = [one.text for one in plot.iter("title")]
    assert told[2] == (
        "stage 1, after 2 windows: PASS, 0.012 (-0.008 to 0.032), margin 0.06, 3 canaries, "
        "40 controls"
    )
    [dashed] = [one for one in plot.iter("line") if one.get("class") == "margin"]
    assert dashed.get("y1") == dashed.get("y2")
    assert f"<h2>Gate {ACCURACY.replace('>', '&gt;')}: FAIL</h2>" in html
    assert "## Gate accuracy &#62;= baseline - 0.02: FAIL" in markdown
    row = next(line for line in markdown.splitlines() if line.startswith("| stage 1 | FAIL"))
    assert re.search(r"\| 0\.02 \(0 to 0\.04\) `\.+\(-+\*-+\)\.+M\.+` \| 0\.06 \| 3 \| 40 \|", row)
    assert "the reason" in row


def test_bad_targets_come_first_and_the_others_are_counted(world: World) -> None:
    parts = [finding("PASS", 0.001 * n, target=f"t{n:02}") for n in range(24)]
    bad = finding("FAIL", 0.09, target="worst")
    found = with_looks(world, look(0, 0, finding("FAIL"), *parts, bad))
    [one] = found.courses
    assert [row.target for row in one.targets][:3] == ["worst", "t23", "t22"]
    assert (len(one.targets), one.more_targets) == (MAX_TARGETS, 25 - MAX_TARGETS)
    for page in pages(found):
        assert "stage 1, in worst" in page
        assert "17 targets more, no worse" in page
        assert "stage 1, in t00" not in page


def test_a_gate_that_compared_nothing_has_its_reason_and_no_drawing(world: World) -> None:
    silence = finding("INCONCLUSIVE", None, gate="silence", margin=None, reason="3 of 3 silent")
    html, markdown = pages(with_looks(world, look(0, 0, silence)))
    assert plots(html) == []
    for page in (html, markdown):
        assert "Gate silence: INCONCLUSIVE" in page
        assert "3 of 3 silent" in page


def test_of_a_limit_that_must_be_reached_less_is_worse(world: World) -> None:
    found = with_looks(world, look(0, 0, finding("PASS", 0.95, gate=LEAST, margin=0.9)))
    assert (found.courses[0].is_limit, found.courses[0].worse_is_less) == (True, True)
    html, markdown = pages(found)
    assert "measured, down is worse" in html
    assert "measured, with its interval" in markdown
    ticks = [one.text for one in plots(html)[0].iter("text")]
    assert "0" not in ticks  # the scale is around the limit


def test_hostile_names_stay_text(world: World) -> None:
    odd = {"gate": HOSTILE, "needs": HOSTILE, "reason": HOSTILE}
    whole, part = finding("FAIL", **odd), finding("FAIL", target=HOSTILE, **odd)
    html, markdown = pages(with_looks(world, look(0, 0, whole, part)))
    assert "<script" not in html
    assert plots(html)
    table = re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE)
    assert all(len({line.count("|") for line in one.splitlines()}) == 1 for one in table)
    assert not re.search(r"<script|\]\(http|^new", markdown, re.MULTILINE)
    for page in (html, markdown):
        assert "&lt;script&gt;x" in page or "&#60;script&#62;x" in page
        assert not any(bad in page for bad in ("\u202e", "\x1b"))


def test_who_promoted_a_stage_is_below_the_stages(world: World) -> None:
    found = with_looks(world, look(0, 0, finding("PASS")))
    first, *others = found.stages
    row = replace(first.row, promoted=f"eve@desk skipped the soak: {HOSTILE}")
    html, markdown = pages(replace(found, stages=[replace(first, row=row), *others]))
    assert "stage 1 (20 %): eve@desk skipped the soak: &lt;script" in html
    assert "stage 1 (20 %): eve&#64;desk skipped the soak: &#60;script" in markdown


def huge() -> Rollout:
    """32 stages of 4 looks at 20 gates of 25 targets."""
    rows = [{"percent": 3 * (n + 1), "soak_seconds": 480} for n in range(31)]
    plan = make_plan({"stages": [*rows, {"percent": 100, "soak_seconds": 480}]})
    gates = [f"mean(number_{n}) <= baseline + 2" for n in range(20)]
    names = ["", *(f"target-{n}" for n in range(25))]
    created = Created(model="digits", plan=plan, releases={}, previous={}, seed=0)
    rollout = Rollout(1, 0.0, created)
    for stage in range(32):
        looks = [
            look(stage, n, *(finding("PASS", gate=g, target=t) for g in gates for t in names))
            for n in range(4)
        ]
        rollout.stages.append(StageState(0.0, [], looks=looks))
    return rollout


@pytest.mark.slow
def test_a_large_rollout_has_a_bounded_page(world: World) -> None:
    courses, more = gate_courses(huge())
    assert (len(courses), more) == (MAX_COURSES, 4)
    assert all(len(one.looks) <= MAX_LOOKS for one in courses)
    assert (len(courses[0].looks), courses[0].more_looks) == (32, 96)
    found = replace(with_looks(world), courses=courses, more_courses=more)
    html, markdown = pages(found)
    assert len(html) < 1_200_000
    assert len(markdown) < 300_000
    assert len(json.dumps(asdict(found))) < 1_200_000
    for page in (html, markdown):
        assert "96 looks left out" in page
        assert "4 gates more, no worse" in page
    width = plots(html)[0].get("width")
    assert width is not None
    assert float(width) < 1180


@pytest.mark.parametrize(
    ("estimate", "drawn"),
    [
        (Estimate(0.5, 0.2, 0.8, 1.0), "0.....(---------*---------).....M"),
        (Estimate(0.5, -9.0, 9.0, 1.0), "<---------------*---------------M"),
        (Estimate(0.0, 0.0, 0.0, 0.0), "*................................"),
        (Estimate(None, None, None, 1.0), ""),
        (
            Estimate(float("nan"), float("-inf"), float("inf"), None),
            "<---------------*--------------->",
        ),
    ],
)
def test_interval_in_characters(estimate: Estimate, drawn: str) -> None:
    assert intervals.text(estimate, Scale(0.0, 1.0)) == drawn


@pytest.mark.parametrize("value", [0.0, 1e-9, 1e9, float("inf"), float("nan"), -1e300])
def test_any_number_of_a_damaged_database_is_drawn(value: float) -> None:
    one = Estimate(value, value, value, 0.02)
    scale = scale_of([one], with_zero=True)
    assert scale.least < scale.most
    assert len(intervals.text(one, scale)) == 33
    row = GateLook(1, 1, "PASS", value, value, value, value, 3, 3)
    made = GateCourse(ACCURACY, "PASS", False, False, [row], 0, [], [], 0)
    assert ElementTree.fromstring(gate_plot.svg(made)).tag == "svg"


def test_wide_intervals_do_not_make_estimate_and_margin_small() -> None:
    scale = scale_of([Estimate(0.01, -50.0, 50.0, 0.02)], with_zero=True)
    assert scale.most - scale.least < 0.1
    assert scale.has(0.02)


def test_what_stands_of_many_looks_is_the_fail_else_the_pass_else_the_newest() -> None:
    a = [finding(word, gate="a", reason=str(n)) for n, word in enumerate(["PASS", "FAIL", "PASS"])]
    b = [finding(w, gate="b", reason=str(n)) for n, w in enumerate(["PASS", "INCONCLUSIVE"] * 2)]
    c = [finding("INCONCLUSIVE", gate="c", reason=str(n)) for n in range(3)]
    looks = [look(0, n, *found) for n, found in enumerate(zip(a, b, c, strict=False))]
    assert [(one.verdict, one.reason) for one in course.standing(looks)] == [
        ("FAIL", "1"),
        ("PASS", "2"),
        ("INCONCLUSIVE", "2"),
    ]
    assert course.standing([]) == []


def test_a_look_without_windows_does_not_make_a_stage_pass_by_nothing() -> None:
    """Its windows were late: what later looks have seen is judged."""
    plan = judging(ACCURACY)
    planned = course.planned_looks(plan, 0)
    unseen = look(0, 0).model_copy(update={"observed": False})
    rest = [look(0, n, finding("INCONCLUSIVE")) for n in range(1, len(planned))]
    assert course.looked(plan, 0, [unseen, *rest[:-1]]) is None
    found = course.looked(plan, 0, [unseen, *rest])
    assert found is not None
    assert found.verdict == "INCONCLUSIVE"
    assert course.looked(plan, 0, [unseen]) == ("PASS", course.NOTHING)
