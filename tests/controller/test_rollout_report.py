"""Tests the page about a rollout: complete, bounded, escaped, and written whole or not at all."""

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rollout_commands import Run
from rollout_world import FLEET, TARGET, Device, World, quick
from sqlalchemy import insert, select, update

from modelwave_controller import disk
from modelwave_controller.cli import report_html, report_markdown
from modelwave_controller.drawing import sparkline
from modelwave_controller.drawing.markup import bounded, element
from modelwave_controller.operations import observations, report, rollouts
from modelwave_controller.operations.observations import Anchor, Timeline, median_ms, steps_of
from modelwave_controller.operations.report import MAX_DEVICES, MAX_EVENTS, troubles
from modelwave_controller.results.report import RolloutReport
from modelwave_controller.results.rollouts import Problem
from modelwave_controller.rollout.events import Paused
from modelwave_controller.storage import log, recounting, tables
from modelwave_shared import topics
from modelwave_shared.window_format import BINS

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=y> | a\\|b `x` [l](http://e) ~~a~~ "
    "\u202eevil\x1b[2J\n# h @me"
)
SECTIONS = ["stages", "gates", "observed", "devices", "timeline"]
VOID = {"meta"}
EMPTY_POINTS = [0] * BINS


class Page(HTMLParser):
    """What a browser would find in a page: sections, cells, text, and all that could load or run
    anything."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.sections: list[str] = []
        self.titles: list[str] = []
        self.rows: dict[str, list[list[str]]] = {}
        self.text = ""
        self.tags: set[str] = set()
        self.active: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == [], "elements that are not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self._open.append(tag)
        self.tags.add(tag)
        self.active += [f"{tag}.{key}" for key, _ in attrs if key in ("src", "href", "style")]
        self.active += [f"{tag}.{key}" for key, _ in attrs if key.startswith("on")]
        if tag == "section":
            self.sections.append(str(dict(attrs)["id"]))
        elif tag == "h2":
            self.titles.append("")
        elif tag == "tr":
            self.rows.setdefault(self.sections[-1], []).append([])
        elif tag in ("td", "th"):
            self.rows[self.sections[-1]][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        self.text += data
        if "h2" in self._open:
            self.titles[-1] += data
        if ("td" in self._open or "th" in self._open) and "title" not in self._open:
            self.rows[self.sections[-1]][-1][-1] += data


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=12)) as made:
        made.shelve(1)
        yield made


def made(world: World, wanted: str | None = None) -> RolloutReport:
    return report.make(world.store, wanted, FLEET, "0.1.0", world.now, utc=True)


def html(world: World) -> Page:
    return Page(report_html.page(made(world), utc=True))


def window(world: World, device: str, release: int, n: int, **changes: Any) -> None:
    document = {"boot": 1, "n": n, "window": n, "seconds": 900, "age_seconds": 0}
    document |= {"model": "digits", "release": release, "inferences": 100, "failures": 1}
    document |= {"labelled": 10, "correct": 9, "latency": {"bins": [6, 60, 40], "log": 2500000}}
    payload = json.dumps(document | changes).encode()
    world.inbox.put(topics.metrics(FLEET, device), payload)
    while world.writer.write_batch(0):
        pass


def reverted(world: World) -> World:
    """A rollout whose devices answer in all ways, and which is taken back."""
    world.start(1, quick(50, 100))
    world.tick()
    devices = [one for one in world.devices.values() if world.ordered(one)]
    world.answer("ROLLED_BACK", devices[:1], "golden: 3 of 10 outputs differ")
    world.answer("FAILED", devices[1:2], "HTTP 503")
    world.answer("REJECTED", devices[2:3], "fit: flash: 17252 bytes missing")
    world.answer("SUCCEEDED", devices[3:])
    world.now += 60
    world.tick()
    return world


def test_page_has_all_sections_of_a_rollout_that_was_reverted(world: World) -> None:
    page = html(reverted(world))
    assert page.sections == [
        "stages",
        "gates",
        "observed",
        "devices",
        "devices-2",
        "devices-3",
        "timeline",
    ]
    assert page.titles[3:6] == [
        "Devices: ROLLED_BACK, 1",
        "Devices: FAILED, 1",
        "Devices: REJECTED, 1",
    ]
    [_, first, second, *_] = page.rows["stages"]
    assert first[0] == "stage 1 (50 %)"
    assert re.fullmatch(r"2027-01-15 \d\d:\d\d:\d\d \+0000", first[-3])
    assert second[-3:] == ["–", "–", "–"]
    assert page.rows["gates"][1][1:3] == ["stage 1", "FAIL"]
    assert page.rows["devices"][1][1] == "golden: 3 of 10 outputs differ"
    assert [row[1] for row in page.rows["timeline"][1:3]] == ["operator", "service"]
    assert any(row[2] == "reverted: its orders withdrawn" for row in page.rows["timeline"])
    assert page.active == []
    assert page.tags & {"script", "link", "img", "iframe", "object", "a", "base"} == set()


def test_page_of_a_running_rollout_says_when_it_was_made_and_what_is_open(world: World) -> None:
    world.start(1, quick(50, 100))
    world.tick()
    page = html(world)
    assert "made at 2027-01-15" in page.text
    assert "while the rollout was RUNNING: what follows is not in it" in page.text
    assert page.rows["gates"][1][2] == "pending"
    assert "No device failed, rolled back, rejected the release or is silent." in page.text


def test_page_of_a_rollout_of_which_no_stage_has_opened(world: World) -> None:
    world.start(1)
    page = html(world)
    assert page.sections == SECTIONS
    assert "No gate has decided anything." in page.text


def test_every_stage_has_the_times_at_which_it_opened_began_and_passed(world: World) -> None:
    world.start(1, quick(50, 100))
    world.tick()
    opened = world.now
    world.now += 30
    world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    found = made(world)
    first, second = found.stages
    assert (first.opened, first.began, first.passed) == (opened, opened, opened + 30)
    assert second.passed == found.ended == opened + 30
    assert found.status.status == "FINISHED"
    assert "what follows is not in it" not in report_markdown.page(found, True)


def test_way_back_has_its_times(world: World) -> None:
    world.start(1, quick(100))
    world.tick()
    world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    world.start(2, quick(100))
    world.tick()
    world.now += 5
    rollouts.revert(world.store, "2", "bad", world.now, "eve@desk")
    world.tick()
    back = made(world).stages[-1]
    assert back.row.name == "way back"
    assert (back.opened, back.passed) == (world.now, None)


def test_hostile_text_stays_text_in_html(world: World) -> None:
    found = made(_hostile(world))
    text = report_html.page(found, utc=True)
    page = Page(text)
    assert page.active == []
    assert page.tags & {"script", "img", "b", "h3"} == set()
    places = [page.rows["timeline"][-1][3], *page.rows["devices"][1]]
    assert [place[:25] for place in places] == ["<script>alert(1)</script>"] * 3
    _nothing_harmful(text)


def test_hostile_text_stays_text_in_markdown(world: World) -> None:
    found = made(_hostile(world))
    text = report_markdown.page(found, utc=True)
    assert not re.search(r"[<>@~]|\]\(|://|onerror=y>", text)
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert len([line for line in headings if not line.startswith(("# Rollout", "## "))]) == 0
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1, table
    _nothing_harmful(text)


def _nothing_harmful(text: str) -> None:
    assert "\u202e" not in text
    assert "\x1b" not in text


def _hostile(world: World) -> World:
    """A rollout in whose database each free text is hostile, as a broken or foreign program could
    have written it."""
    reverted(world)
    with world.store.write() as connection:
        for row in connection.execute(select(tables.events)).all():
            body = json.loads(row.body)
            for key in ("reason", "actor"):
                if key in body:
                    body[key] = HOSTILE
            for release in body.get("releases", {}).values():
                release["version"] = HOSTILE
            if body["kind"] == "reported":
                body["device"] = f"{HOSTILE} {row.id}"
            text = json.dumps(body)
            change = update(tables.events).where(tables.events.c.id == row.id)
            connection.execute(change.values(body=text))
        recounting.recount(connection)
        log.append(connection, 1, world.now, [Paused(reason=HOSTILE, actor="x")])
    return world


def test_text_is_bounded_and_an_attribute_cannot_be_left() -> None:
    assert len(bounded("x" * 10**6)) == 1000
    assert element("td", "a", class_='"><b') == '<td class="&quot;&gt;&lt;b">a</td>'


def test_size_is_bounded_and_the_rest_is_counted(world: World) -> None:
    world.start(1, quick(100))
    world.tick()
    with world.store.write() as connection:
        log.append(connection, 1, world.now, [Paused(reason="r" * 200)] * (MAX_EVENTS + 7))
    found = made(world)
    assert len(found.events) == MAX_EVENTS
    assert f"{found.more_events} older events left out" in html(world).text
    assert found.more_events >= 7
    problems = [Problem(f"d{n}", "FAILED", f"reason {n % 2}") for n in range(10_000)]
    [trouble] = troubles(problems)
    assert (len(trouble.devices), trouble.more) == (MAX_DEVICES, 10_000 - MAX_DEVICES)
    assert trouble.reasons == [("reason 0", 5000), ("reason 1", 5000)]


def test_json_of_a_report_has_each_device_in_trouble_once(world: World, run: Run) -> None:
    world.start(1, quick(100))
    world.tick()
    world.answer("FAILED", world.devices.values(), "HTTP 503")
    found = run("rollout", "report", "--json").json()
    assert len(found["troubles"][0]["devices"]) == len(world.devices) == 12
    assert (len(found["status"]["problems"]), found["status"]["more_problems"]) == (5, 7)


def test_no_text_is_markdown() -> None:
    found = report_markdown.escaped(
        "\\`*a*` _b_ ~c~ {d} [e](f) #1 @g $h$ |<b>&amp; www.x.y http://z"
    )
    assert not re.search(r"[\\`*_~{}\[\]@$|<>]|(?<!&)#|&(?!#\d+;)|www\.|://", found)


def test_outcomes_come_in_the_order_of_their_weight() -> None:
    words = ["silent", "NEWER", "REJECTED", "ROLLED_BACK", "FAILED"]
    found = troubles([Problem("d", word, "") for word in words])
    assert [one.outcome for one in found] == [
        "ROLLED_BACK",
        "FAILED",
        "REJECTED",
        "silent",
        "NEWER",
    ]


def test_observations_are_summed_by_target_and_release(world: World) -> None:
    world.start(1, quick(50, 100))
    for name in ("d0", "d1"):
        window(world, name, 7, 1)
    world.tick()
    world.now += 900
    world.tick()
    window(world, "d0", 1, 2, failures=50, correct=5)
    window(world, "d0", 7, 3, model="letters")
    found = made(world).observed
    new, other = found.rows
    assert (new.target, new.release, new.role, new.devices) == (TARGET, 1, "new", 1)
    assert (new.inferences, new.failed, new.accuracy) == (100, 0.5, 0.5)
    assert (other.release, other.role, other.devices, other.inferences) == (7, "", 2, 200)
    assert other.median_ms == pytest.approx(12.5, abs=4)
    assert [step.failed for step in new.steps if step.failed is not None] == [0.5]
    page = html(world)
    cells = page.rows["observed"][1]
    assert cells[1:4] == ["1, new", "1", "100"]
    assert cells[4] == "50 % (50)"
    assert "svg" in page.tags
    assert "circle" in page.tags


def test_observations_name_the_most_used_releases_and_count_the_others(world: World) -> None:
    world.start(1)
    for release in range(1, 10):
        window(world, "d0", release, release, inferences=100 * release)
    found = made(world).observed
    assert [row.release for row in found.rows] == [1, 9, 8, 7, 6, 5]
    assert found.more == {TARGET: 3}


@pytest.mark.parametrize(
    ("bins", "found"),
    [
        ([], None),
        (EMPTY_POINTS, None),
        ([4] + [0] * 15, 0.125),
        ([0, 8] + [0] * 14, 0.25 * 2**0.5),
        ([0, 1, 1, 1] + [0] * 12, 0.5 * 2**0.5),
        ([0] * 15 + [9], 4096),
    ],
)
def test_median_is_within_its_bin(bins: Sequence[int], found: float | None) -> None:
    assert median_ms(bins) == (None if found is None else pytest.approx(found))


def test_times_are_converted_across_time_without_a_service() -> None:
    times = Timeline([Anchor(1000, 50), Anchor(5000, 100), Anchor(6000, 1100)])
    assert [times.clock(at) for at in (990, 1000, 1020, 3000, 5500, 7000)] == [
        40,
        50,
        70,
        100,
        600,
        2100,
    ]
    assert [times.at(clock) for clock in (40, 70, 100, 600, 1200)] == [990, 1020, 5000, 5500, 6100]


@pytest.mark.parametrize(
    ("age", "length", "seconds"),
    [
        (7200, 3600, 900),
        (36 * 3600, 86400, 2700),
        (3 * 86400, 2 * 3600, 3600),
        (40 * 86400, 3600, 86400),
        (90 * 86400, 90 * 86400, 172800),
    ],
)
def test_steps_are_windows_or_as_long_as_what_is_stored(
    age: float, length: float, seconds: int
) -> None:
    now = 10.0**8
    steps = steps_of(now - age, now - age + length, now)
    assert steps.seconds == seconds
    assert 1 <= steps.number <= observations.MAX_STEPS
    assert steps.start <= now - age
    assert steps.end >= now - age + length
    assert steps.of(steps.start + 1) == 0
    assert steps.of(steps.end) == steps.number - 1
    assert steps.of(steps.start + seconds) == 0


def test_observations_are_those_until_now_after_the_wall_clock_was_set_back(world: World) -> None:
    world.start(1, quick(50, 100))
    world.tick()
    world.now += 900
    world.tick()
    window(world, "d0", 1, 1)
    world.jump(-86400)
    assert [row.inferences for row in made(world).observed.rows] == [100]


def test_line_has_gaps_and_dots() -> None:
    drawn = sparkline.svg([1, 2, None, 3, None, None], 1, 3, "<told>")
    assert drawn.count("<polyline") == drawn.count("<circle") == 1
    assert "&lt;told&gt;" in drawn
    assert sparkline.blocks([1, 2, None, 3], 1, 3) == "▁▅·█"
    assert sparkline.blocks([5, 5], 5, 5) == "▁▁"


def test_command_writes_the_form_that_the_name_ends_in(
    world: World, run: Run, tmp_path: Path
) -> None:
    world.start(1)
    for name in ("a.html", "a.HTM", "a.md"):
        ran = run("rollout", "report", "1", "--out", str(tmp_path / name))
        assert ran.code == 0, ran.err
        assert f"{(tmp_path / name).stat().st_size:,} bytes" in ran.out
    assert (tmp_path / "a.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "a.HTM").read_text().startswith("<!doctype html>")
    assert (tmp_path / "a.md").read_text().startswith("# Rollout 1: digits v1 NEW\n")


def test_command_prints_markdown_or_json_without_a_file(world: World, run: Run) -> None:
    world.start(1)
    assert run("rollout", "report", "--utc").lines()[0] == "# Rollout 1: digits v1 NEW"
    found = run("rollout", "report", "digits", "--json").json()
    assert found["status"]["rollout"] == 1
    assert found["fleet"] == FLEET


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("a.pdf", "--out: .* ends neither in .html nor in .md"),
        ("a", "--out"),
        ("no/a.md", "--out: there is no folder"),
        ("there.md", "--out: .*there.md exists; .* --force"),
        ("folder.md", "is a folder"),
        ("pipe.md", "no plain file"),
    ],
)
def test_command_refuses_a_place_where_it_must_not_write(
    world: World, run: Run, tmp_path: Path, name: str, named: str
) -> None:
    world.start(1)
    (tmp_path / "there.md").write_text("mine")
    (tmp_path / "folder.md").mkdir()
    os.mkfifo(tmp_path / "pipe.md")
    ran = run("rollout", "report", "--out", str(tmp_path / name))
    assert ran.code == 2
    assert re.search(named, ran.err)
    assert (tmp_path / "there.md").read_text() == "mine"
    forced = run("rollout", "report", "--force", "--out", str(tmp_path / "there.md"))
    assert forced.code == 0
    assert (tmp_path / "there.md").read_text().startswith("# Rollout 1")


def test_command_refuses_a_rollout_that_is_not_there(world: World, run: Run) -> None:
    assert run("rollout", "report", "5").code == 2
    world.start(1)
    ran = run("rollout", "report", "5")
    assert ran.code == 2
    assert "rollout list" in ran.err


def test_ctrl_c_leaves_no_half_file_and_the_old_one(
    world: World, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.start(1)
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.html").write_text("old")

    def interrupt(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(disk.os, "fsync", interrupt)
    ran = run("rollout", "report", "--force", "--out", str(out / "a.html"))
    assert ran.code in (1, 130)  # that of Ctrl-C differs between versions of Typer
    assert [path.name for path in out.iterdir()] == ["a.html"]
    assert (out / "a.html").read_text() == "old"


def test_report_of_a_rollout_with_an_unknown_event(world: World, run: Run) -> None:
    world.start(1)
    with world.store.write() as connection:
        event = {"id": 99, "rollout": 2, "at": world.now, "kind": "new", "body": '{"kind": "new"}'}
        connection.execute(insert(tables.events), [event])
    page = html(world)
    assert page.sections == SECTIONS
    assert "UNKNOWN" in page.text
    assert run("rollout", "report", "2").code == 0


def test_silent_devices_are_in_it_after_their_deadline(world: World) -> None:
    world.add(3)
    world.start(1, quick(100))
    world.tick()
    world.answer("SUCCEEDED", list(world.devices.values())[3:])
    world.now += 200
    world.tick()
    [trouble] = made(world).troubles
    assert (trouble.outcome, trouble.count) == ("silent", 3)
    assert {one.then[-5:] for one in trouble.devices} == {"+0000"}


def test_device_that_joins_later_is_in_it(world: World) -> None:
    late = Device("late", TARGET)
    world.start(1, quick(100))
    world.tick()
    world.hear([late])
    window(world, "late", 1, 1)
    assert [row.devices for row in made(world).observed.rows] == [1]
