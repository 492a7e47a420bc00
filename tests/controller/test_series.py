"""Tests what people see of a stage window by window: the means of canaries and controls in the
status, read in SQL, and drawn as small lines."""

import io
import json
import math
import random
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from observing_fleet import LABELS, NEW, WINDOW, ObservingFleet, judging
from rich.console import Console
from rollout_commands import Run
from rollout_world import World, newest
from shown_status import STATUS

from modelwave_controller.cli import rollout as rollout_cli
from modelwave_controller.cli import view, view_judged
from modelwave_controller.drawing import sparkline
from modelwave_controller.evidence.figures import ReleaseFigures
from modelwave_controller.operations import series
from modelwave_controller.operations.series import SeriesReader, windows_of
from modelwave_controller.operations.status import StatusReader
from modelwave_controller.operations.worst import worst_targets
from modelwave_controller.results.rollouts import GateRow, SeriesPoint, StageRow, Status
from modelwave_controller.rollout.facts import population_of
from modelwave_controller.rollout.planned_gates import parse_gate
from modelwave_controller.storage import (
    clock,
    devices,
    messages,
    metrics,
    window_series,
    windows,
)
from modelwave_controller.storage.gate_windows import windows_of as measured
from modelwave_controller.storage.store import Store
from modelwave_controller.storage.window_series import StageWindows
from modelwave_shared import topics

GATES = (
    "accuracy >= baseline - 0.5",
    "failures <= 0.5",
    "p95(latency_ms) <= 9 * baseline",
    "mean(power_mw) <= baseline + 900",
    "mean(queue.length) <= 9 * baseline",
)
# Of which looks and lines take other parts of a window.
OVER, ESTIMATED = "over(latency_ms) <= 0.9", "estimated_accuracy >= baseline - 0.5"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=12)) as made:
        yield made


def extra(chance: random.Random, release: int) -> dict[str, Any]:
    """Latencies and two numbers, of which the second has no logarithm in one window of three."""
    milli = chance.randint(300, 400) * 10**6
    logs = [] if chance.random() < 1 / 3 else [round(1e6 * math.log(7 + release))]
    bins = [6, chance.randint(1, 90), 9]
    return {
        "latency": {
            "bins": bins,
            "log": chance.randint(2, 4) * 10**6,
            "over": [bins[1] // 3, bins[1]],
        },
        "numbers": {
            "power_mw": [chance.randint(1, 90), milli, 0, milli, milli],
            "queue.length": [50, 8 * 10**6, 0, 8 * 10**6, 8 * 10**6, *logs],
        },
    }


def judged(world: World, windows: int = 3, *gates: str) -> ObservingFleet:
    fleet = ObservingFleet(world, worse=0.3)
    chance = random.Random(1)
    fleet.extra = lambda release: extra(chance, release)
    fleet.begin(judging(*(gates or GATES), stages=(50, 100)), before=2)
    fleet.run(windows)
    return fleet


def status_of(world: World) -> Status:
    with world.store.read() as connection:
        return StatusReader(connection, None, with_series=True).read(connection, world.now)


def reader(world: World, found: SeriesReader) -> series.Series:
    with world.store.read() as connection:
        return found.read(connection, newest(world), clock.stored(connection).seconds)


def test_each_gate_has_the_means_of_canaries_and_controls_by_window(world: World) -> None:
    judged(world)
    found = status_of(world)
    assert found.series_stage == 1
    points = found.series[GATES[0]]
    assert [point.window for point in points] == [1, 2, 3]
    assert [(point.devices, point.canary_devices) for point in points] == [(12, 6)] * 3
    for point in points:
        assert point.canaries is not None
        assert point.controls is not None
        assert 0.2 < point.controls - point.canaries < 0.4
    assert list(found.series) == list(GATES)
    as_json = json.loads(json.dumps(found.json()))["series"]
    assert list(as_json[GATES[0]][0]) == [
        "window",
        "canaries",
        "controls",
        "devices",
        "canary_devices",
    ]


def test_sums_in_sql_are_those_of_the_windows_that_a_look_reads(world: World) -> None:
    """A device's mean in a window is that of what gate_windows.py takes out of the same rows."""
    judged(world)
    rollout = newest(world)
    with world.store.read() as connection:
        known = devices.known(connection, "digits")
        canaries = sorted(population_of(rollout.stages[0], known))
        wanted = windows_of(rollout, clock.stored(connection).seconds)
        assert wanted is not None
        rows = windows.between(connection, "digits", canaries, wanted.opened, 1e9)
        for text in (*GATES[:2], *GATES[3:], OVER):
            gate = parse_gate(text)
            means = window_series.means(connection, "digits", canaries, [gate], NEW, True, wanted)
            for window in range(wanted.first, wanted.last + 1):
                end = wanted.opened + window * WINDOW
                mine = [
                    one
                    for name in canaries
                    for row in rows[name]
                    if row.release == NEW and end - WINDOW < row.end <= end
                    for one in measured(gate, 0, [row], lambda _: ReleaseFigures(limit_us=1))
                ]
                [sums] = means[window]
                assert sums.devices == len(mine)
                assert sums.total == pytest.approx(sum(one.total / one.weight for one in mine))


def test_databases_give_the_same_sums(url: str) -> None:
    with closing(Store(url)) as store:
        with store.write() as connection:
            metrics.add_windows(connection, _documents(), 1000.0)
        with store.read() as connection:
            gates = [parse_gate(text) for text in (*GATES, OVER, ESTIMATED)]
            found = window_series.means(
                connection, "digits", ["d0"], gates, NEW, True, StageWindows(880.0, 60, 1, 2)
            )
            mark = window_series.mark(connection, "digits", ["d0"])
        assert {window: [one.devices for one in sums] for window, sums in found.items()} == {
            1: [1, 1, 1, 1, 1, 1, 0],
            2: [1, 1, 1, 1, 1, 1, 0],
        }
        assert found[1][0].total == pytest.approx(0.9)
        assert found[1][5].total == pytest.approx(7 / 90)
        assert found[1][3].total == pytest.approx(310.0)
        assert found[1][4].total == pytest.approx(math.log(8))
        assert found[2][4].total == pytest.approx(math.log(8))
        assert found[2][3].total == pytest.approx((310 + 3 * 330) / 4)
        assert mark[0] == 1


def _documents() -> list[Any]:
    """Two windows of a device, the first ending exactly where a window of the stage does, and a
    third one that began before the stage."""
    found = []
    for number, (age, seconds, power, count, log) in enumerate(
        [
            (60, 60, 310, 1, True),
            (30, 20, 310, 1, True),
            (5, 20, 330, 3, False),
            (110, 60, 9, 9, True),
        ],
        1,
    ):
        logs = [round(1e6 * math.log(8))] if log else []
        document = {
            **{"boot": 1, "n": number, "install": "a" * 16, "model": "digits", "release": NEW},
            **{"window": number, "seconds": seconds, "age_seconds": age, "inferences": LABELS},
            **{"failures": 0, "labelled": LABELS, "correct": 90},
            "latency": {"bins": [6, 60, 40], "log": 2500000, "over": [7, 90]},
            "numbers": {
                "power_mw": [count, power * 10**6, 0, power * 10**6, power * 10**6],
                "queue.length": [5, 8 * 10**6, 0, 8 * 10**6, 8 * 10**6, *logs],
            },
        }
        payload = json.dumps(document).encode()
        message = messages.understand("meadow", topics.metrics("meadow", "d0"), payload)
        assert message is not None
        found.append(message)
    return found


@pytest.mark.slow
def test_windows_are_read_again_only_when_there_are_further_ones_and_not_too_often(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = judged(world, 6)
    read: list[StageWindows] = []
    times = iter([0.0, 1.0, 1.0, 20.9, 21.1, 21.1, 21.1, 50.0, 50.0, 50.0])
    real = window_series.means

    def means(*arguments: Any) -> Any:
        read.append(arguments[-1])
        return real(*arguments)

    monkeypatch.setattr(window_series, "means", means)
    found = SeriesReader(lambda: next(times))
    first = reader(world, found)
    assert [(one.first, one.last) for one in read] == [(1, 6)] * 2
    fleet.step()
    shown = reader(world, found)  # at 20.9: it took 1 s, so that the next one is 20 s after it
    assert len(read) == 2
    assert [point.window for point in shown[GATES[0]]] == [1, 2, 3, 4, 5, 6]
    again = reader(world, found)  # at 21.1
    assert [(one.first, one.last) for one in read[2:]] == [(4, 7)] * 2
    assert again[GATES[0]][:3] == first[GATES[0]][:3]
    assert again[GATES[0]][6].devices == 12
    reader(world, found)  # at 50.0, with nothing new
    assert len(read) == 4


@pytest.mark.slow
def test_a_new_stage_begins_a_new_line_and_a_rollout_that_is_over_has_none(world: World) -> None:
    fleet = ObservingFleet(world)
    found = SeriesReader(lambda: 0.0)
    lines: dict[int, list[list[int]]] = {}

    def look() -> None:
        points = reader(world, found).get("failures <= 0.5", [])
        windows = lines.setdefault(len(newest(world).stages), [])
        windows.append([point.window for point in points])

    fleet.before_step = look
    fleet.begin(judging("failures <= 0.5", stages=(25, 50, 100)), before=2)
    assert fleet.run().status == "FINISHED"
    assert lines[1] == [list(range(1, n + 1)) for n in range(len(lines[1]))]
    assert lines[2] == [list(range(1, n + 1)) for n in range(len(lines[2]))]
    assert len(lines[2]) >= 8
    assert (status_of(world).series, status_of(world).series_stage) == ({}, 0)


def test_statuses_that_nobody_watches_cost_nothing(world: World, run: Run) -> None:
    judged(world)
    assert run("rollout", "pause", "1", "--json").json()["series"] == {}
    assert run("rollout", "status", "--json").json()["series"].keys() == set(GATES)


# Drawn.


def point(window: int, canaries: float | None, controls: float | None) -> SeriesPoint:
    return SeriesPoint(window, canaries, controls, 53, 3)


POINTS = [point(n, 0.9 - n / 500, None if n == 20 else 0.9) for n in range(1, 25)]
ROW = GateRow(
    1,
    GATES[0],
    "",
    "FAIL",
    0.0146,
    -0.0008,
    0.0299,
    0.06,
    3,
    50,
    0.01,
    "4 more canaries",
    "",
    "3 of 4",
)


def drawn(status: Status, width: int, encoding: str = "utf-8") -> str:
    screen = Console(file=io.TextIOWrapper(io.BytesIO(), encoding), width=width, color_system=None)
    screen.print(view.rollout(status))
    screen.file.flush()
    data: bytes = screen.file.buffer.getvalue()  # type: ignore[attr-defined]
    return data.decode(encoding)


@pytest.fixture
def shown() -> Status:
    return replace(
        STATUS,
        why="stage 1 (50 %): 3 of 3 devices succeeded",
        next="its last look at what its devices measured comes in 10 s",
        rows=[
            StageRow("stage 1 (50 %)", 3, 0, 3, 0, 0, 0, 0, 0, "soaking", ""),
            StageRow("stage 2 (100 %)", 0, 0, 0, 0, 0, 0, 0, 0, "", ""),
        ],
        judged=[ROW],
        series={GATES[0]: POINTS},
        series_stage=1,
    )


@pytest.mark.parametrize("width", [240, 80, 50, 30])
def test_lines_fit_into_the_terminal_and_have_their_numbers_as_text(
    shown: Status, width: int
) -> None:
    lines = drawn(shown, width).splitlines()
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    assert "by window: 1 to 24 of stage 1" in text
    canaries = next(line for line in lines if line.startswith("  canaries "))
    controls = next(line for line in lines if line.startswith("  controls "))
    assert "0.852, 3 devices" in text
    assert "0.9, 50 devices" in text
    if width >= 80:
        assert "█▇▇▇▇▆▆▆▅▅▅▅▄▄▄▃▃▃▂▂▂▂▁▁ 0.852" in canaries
        assert "·" in controls
        assert "0.852 to 0.898" in canaries
    for words in ("FAIL; 4 more canaries", "0.0146 (-0.0008 to 0.0299)", "stage 1 (50 %)"):
        assert words in text


def test_without_utf_8_the_lines_are_digits(shown: Status) -> None:
    text = drawn(replace(shown, rows=[]), 80, "iso-8859-1")
    assert re.search(r"  canaries 9[1-9]{19,}0+ 0\.852, 3 devices, 0\.852 to 0\.898\n", text)
    assert sparkline.digits([1, None, 2], 1, 2) == "0.9"


def test_a_gate_of_a_newer_program_cannot_act_on_the_terminal(shown: Status) -> None:
    hostile = "[red]x \x1b[2J\u202e\nnew"
    row = replace(ROW, gate=hostile, needs=hostile)
    status = replace(shown, series={hostile: POINTS}, judged=[row, replace(row, target=hostile)])
    for width in (240, 40):
        text = drawn(status, width)
        assert not any(bad in text for bad in ("\x1b", "\u202e", "\nnew"))
        assert "[red]x" in text


def test_estimate_of_too_few_devices_for_an_interval_is_shown(shown: Status) -> None:
    one = replace(ROW, gate="agreement", harm=0.9, low=None, high=None, margin=None)
    shown = replace(shown, judged=[one], series={})
    for width in (120, 40):
        assert "0.9" in drawn(shown, width).replace("\n", " ")


def test_worst_targets_come_first_and_the_others_are_counted(shown: Status) -> None:
    words = {7: "FAIL", 3: "HOLD"}
    rows = [ROW] + [
        replace(ROW, target=f"t{n}", verdict=words.get(n, "PASS"), high=n / 1000) for n in range(9)
    ]
    found, more = worst_targets(rows, ROW.gate, 3)
    assert ([row.target for row in found], more) == (["t7", "t3", "t8"], 6)
    text = drawn(replace(shown, judged=rows), 240)
    assert "and 4 targets more, no worse" in text
    assert "in t7" in text
    assert "in t0" not in text
    assert view_judged.MAX_TARGETS == 5


def test_further_windows_alone_print_nothing_where_it_cannot_be_drawn_over(shown: Status) -> None:
    drawings: list[Status] = []
    draw = rollout_cli._changes(drawings.append)
    draw(shown)
    draw(replace(shown, series={}))
    assert len(drawings) == 1


def test_what_is_longer_than_the_terminal_is_wrapped_while_it_is_watched(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was cut at the edge, and with it the reason."""
    world.shelve(1)
    world.start(1)
    words = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    run("rollout", "abort", "1", "--reason", words)
    screen = Console(file=io.StringIO(), force_terminal=True, width=40, soft_wrap=True)
    monkeypatch.setattr("modelwave_controller.cli.rollout.console", lambda: screen)
    run("rollout", "watch")
    assert isinstance(screen.file, io.StringIO)
    assert "fourteen" in screen.file.getvalue()
