"""`fleet deployments`: who ran which release when, from the log, beside what devices of simulated
rollouts really ran: random histories, more of them with MODELWAVE_LONG=1."""

import csv
import io
import itertools
import os
import random
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rollout_commands import Run
from rollout_world import NO_RELEASE, Device, World, quick

from modelwave_controller.cli.deployments import COLUMNS, cell
from modelwave_controller.operations import acts, rollouts
from modelwave_controller.operations.deployments import Asked, page
from modelwave_controller.results.deployments import Deployment
from modelwave_controller.rollout import events
from modelwave_controller.rollout.deployments import (
    LIVE,
    REPLACED,
    SHADOW,
    TAKEN_ANEW,
    TRIAL,
    Deployments,
)
from modelwave_controller.rollout.state import ACTIVE
from modelwave_controller.storage import log

LONG = os.environ.get("MODELWAVE_LONG") == "1"
INSTALLS = itertools.count(1)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=6)) as made:
        yield made


def paged(world: World, asked: Asked) -> list[Deployment]:
    """What pages of three rows have together."""
    rows: list[Deployment] = []
    cursor = ""
    while True:
        found = page(world.store, asked, 3, cursor)
        rows += found.rows
        cursor = found.next
        assert (len(found.rows) == 3) or not cursor
        if not cursor:
            assert rows == page(world.store, asked, 1000, "").rows
            return rows


def read(world: World, **asked: Any) -> list[Deployment]:
    return paged(world, Asked(**asked))


def rolled_out(world: World, release: int, ends: str = "SUCCEEDED") -> int:
    """A rollout whose devices all answer so, a minute apart, until it is over."""
    number = world.start(release, quick(100))
    world.tick()
    for outcome in ("", ends):
        world.now += 60
        world.answer(outcome, world.devices.values())
    world.tick()
    return number


def wiped(device: Device) -> None:
    """Its state folder is empty, so it begins to count anew, under another id of its state."""
    device.models = {"digits": dict(NO_RELEASE)}
    device.boot, device.n = 1, 0
    device.says = {"install": f"{next(INSTALLS):016x}"}


def test_release_runs_from_its_answer_until_that_of_the_next_one(world: World) -> None:
    first = rolled_out(world, 1)
    confirmed = world.now
    second = rolled_out(world, 2)
    found = read(world, device="d3")
    assert [(one.release, one.ran, one.begin, one.end) for one in found] == [
        (1, LIVE, confirmed, world.now),
        (2, LIVE, world.now, None),
    ]
    assert [(one.rollout, one.purpose, one.ended_by) for one in found] == [
        (first, "stage 1", "release 2"),
        (second, "stage 1", ""),
    ]
    assert len(read(world)) == 12


def test_trial_that_went_back_has_a_row_and_the_one_before_goes_on(world: World) -> None:
    rolled_out(world, 1)
    confirmed = world.now
    rolled_out(world, 2, ends="ROLLED_BACK")
    found = read(world, device="d3")
    assert [(one.release, one.ran, one.begin, one.end, one.ended_by) for one in found] == [
        (2, TRIAL, world.now - 60, world.now, "ROLLED_BACK"),
        (1, LIVE, confirmed, None, ""),
    ]


def test_revert_ends_the_release_and_names_who_asked_for_it(world: World) -> None:
    rolled_out(world, 1)
    number = rolled_out(world, 2)
    confirmed = world.now
    rollouts.revert(world.store, str(number), "it is slow", world.now, "eve@desk")
    world.tick()
    world.now += 60
    world.answer("SUCCEEDED", world.devices.values())
    found = read(world, device="d3")
    assert [(one.release, one.begin, one.end) for one in found][1:] == [
        (2, confirmed, world.now),
        (1, world.now, None),
    ]
    assert (found[-1].purpose, found[-1].ordered_by) == ("revert", "eve@desk")
    assert found[1].ended_by == "release 1"


def test_device_that_was_wiped_has_a_gap_until_it_runs_the_release_again(world: World) -> None:
    rolled_out(world, 1)
    confirmed = world.now
    device = world.devices["d3"]
    wiped(device)
    world.now += 60
    world.hear([device])
    for outcome in ("", "SUCCEEDED"):
        world.now += 60
        world.answer(outcome, [device])
    found = read(world, device="d3")
    assert [(one.begin, one.end, one.ended_by) for one in found] == [
        (confirmed, confirmed + 60, REPLACED),
        (confirmed + 180, None, ""),
    ]


def test_answer_of_a_wiped_device_to_the_order_for_all_is_in_the_log(world: World) -> None:
    """That order says nothing new to devices that run its release already; this one did not."""
    rolled_out(world, 1)
    device = world.devices["d3"]
    wiped(device)
    world.hear([device])
    world.now += 60
    world.answer("SUCCEEDED", [device])
    assert read(world, device="d3")[-1].begin == world.now


def test_device_that_takes_its_release_anew_did_not_run_it_meanwhile(world: World) -> None:
    """As one does whose live bank was damaged."""
    rolled_out(world, 1)
    confirmed, device = world.now, world.devices["d3"]
    device.models["digits"]["sha256"] = ""
    for outcome in ("", "SUCCEEDED"):
        world.now += 60
        world.answer(outcome, [device])
    found = read(world, device="d3")
    assert [(one.begin, one.end, one.ended_by) for one in found] == [
        (confirmed, confirmed + 60, TAKEN_ANEW),
        (confirmed + 120, None, ""),
    ]


def test_device_that_was_replaced_is_noted_once_and_only_where_it_lost_a_release(
    world: World, run: Run
) -> None:
    wiped(world.devices["d1"])
    world.hear([world.devices["d1"]])  # it had none
    rolled_out(world, 1)
    wiped(world.devices["d2"])
    for _ in range(3):
        world.hear([world.devices["d2"]])
    lines = [line for line in run("fleet", "log").lines() if "replaced" in line]
    assert len(lines) == 1
    said = "device d2 was replaced, or its state deleted: digits lost"
    assert lines[0].endswith(f"device                {said}")


def test_answers_that_ran_nothing_make_no_row(world: World) -> None:
    for release, outcome in enumerate(("REJECTED", "FAILED", "DEFERRED"), 1):
        number = rolled_out(world, release, ends=outcome)
        rollouts.abort(world.store, str(number), "next", world.now)
    assert read(world) == []


def test_forgotten_device_runs_no_further_as_far_as_the_log_knows(world: World) -> None:
    rolled_out(world, 1)
    world.now += 60
    with world.store.write() as connection:
        acts.forget(connection, "meadow", "d3", world.now, "eve@desk")
    (found,) = read(world, device="d3")
    assert (found.end, found.ended_by) == (world.now, "forgotten by eve@desk")


class Truth:
    """What each device really ran: the moments at which that changed."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ran: dict[str, list[tuple[float, str]]] = {}

    def note(self) -> None:
        for device in self.world.devices.values():
            sha256 = device.models["digits"]["sha256"]
            moments = self.ran.setdefault(device.name, [])
            if not moments or moments[-1][1] != sha256:
                moments.append((self.world.now, sha256))

    def at(self, device: str, moment: float) -> str:
        return [sha256 for at, sha256 in self.ran[device] if at <= moment][-1]


def acted(world: World, chance: random.Random, release: int) -> int:
    """Something happens in the fleet; returns the newest release."""
    known = list(world.devices.values())
    some = [one for one in known if chance.random() < 0.6]
    newest = list(world.state().rollouts.values())[-1:]
    what = chance.choice(("answer",) * 6 + ("start", "revert", "abort", "wipe"))
    if what == "answer":
        outcomes = ("", "SUCCEEDED", "SUCCEEDED", "ROLLED_BACK", "FAILED", "REJECTED")
        for outcome in outcomes:
            those = [one for one in some if chance.random() < 0.4 and may(world, one, outcome)]
            world.answer(outcome, those)
    elif what == "start" and all(one.over for one in newest):
        release += 1
        limits = {"max_rolled_back_percent": 60, "max_failed_percent": 60}
        world.start(release, quick(50, 100, stage=limits | {"min_succeeded_percent": 0}))
    elif what in ("revert", "abort") and newest and newest[0].status in ACTIVE:
        getattr(rollouts, what)(world.store, str(newest[0].id), "chance", world.now)
    elif what == "wipe":
        for one in some:
            wiped(one)
        world.hear(some)
    return release


def may(world: World, device: Device, outcome: str) -> bool:
    """Returns whether a device in its state can answer so: one that runs what is ordered says
    SUCCEEDED, and one that has answered for good says nothing else."""
    order, held = world.ordered(device), device.models["digits"]
    if order is None:
        return False
    if held["sha256"] == order["manifest"]:
        return outcome == "SUCCEEDED"
    return held["seq"] != order["seq"] or held["outcome"] in ("", "FAILED")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40 if LONG else 3))
def test_rows_agree_with_what_devices_really_ran(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    with closing(World(tmp_path, devices=8)) as world:
        truth, release = Truth(world), 1
        truth.note()
        rolled_out(world, release)
        truth.note()
        moments = [world.now]
        for _ in range(40):
            world.now += 60
            release = acted(world, chance, release)
            world.tick()
            truth.note()
            moments.append(world.now)
        rows = read(world)
        live = [one for one in rows if one.ran == LIVE]
        assert len({one.manifest for one in live}) > 1
        for moment in moments:
            for name in world.devices:
                ran = [one.manifest for one in live if one.device == name and runs(one, moment)]
                assert ran == [sha for sha in (truth.at(name, moment),) if sha], (name, moment)
        trials = {(one.device, one.order) for one in rows if one.ran == TRIAL}
        assert trials == rolled_back(world)


def runs(one: Deployment, moment: float) -> bool:
    return one.begin <= moment and (one.end is None or moment < one.end)


def rolled_back(world: World) -> set[tuple[str, int]]:
    with world.store.read() as connection:
        bodies = [event.body for event in log.events_after(connection)]
    return {
        (body.device, body.seq)
        for body in bodies
        if isinstance(body, events.Reported) and body.outcome == "ROLLED_BACK"
    }


def test_shadow_run_has_a_row_beside_the_live_one() -> None:
    release = events.Release(release=2, version="v2", manifest="ab", envelope="cd")
    order = events.OrderSent(
        target="t", seq=5, release=release, slots=[[0, 999]], known=1, shadow=True
    )
    bodies: list[Any] = [
        events.Opened(stage=0, orders=[order]),
        events.Reported(device="d", seq=5, outcome="IN_PROGRESS", reason=""),
        events.Reported(device="d", seq=5, outcome="SHADOWED", reason="360 agreed"),
    ]
    found = Deployments()
    rows = [
        row
        for at, body in enumerate(bodies, 100)
        for row in found.take(events.Event(at, 1, float(at), body))
    ]
    assert [(row.ran, row.begin, row.end, row.purpose) for row in rows] == [
        (SHADOW, 101.0, 102.0, "shadow, stage 1")
    ]
    assert list(found.running()) == []


def test_csv_has_times_in_utc_and_reads_back_as_the_json(world: World, run: Run) -> None:
    rolled_out(world, 1)
    rolled_out(world, 2)
    out = run("fleet", "deployments").out
    rows = list(csv.DictReader(io.StringIO(out)))
    assert tuple(rows[0]) == COLUMNS
    objects = run("fleet", "deployments", "--json").json_lines()
    assert [{k: "" if v is None else str(v) for k, v in one.items()} for one in objects] == rows
    assert rows[0]["from"] == "2027-01-15T08:02:00.000Z"
    assert rows[-1]["until"] == ""
    assert objects[-1]["until"] is None


def test_rows_of_a_device_a_model_or_a_time(world: World, run: Run) -> None:
    rolled_out(world, 1)
    rolled_out(world, 2)
    assert len(run("fleet", "deployments", "--json", "--device", "d2").json_lines()) == 2
    assert len(run("fleet", "deployments", "--json", "--model", "digits").json_lines()) == 12
    assert run("fleet", "deployments", "--json", "--model", "other").json_lines() == []
    end = world.now
    assert len(read(world, since=end)) == 12
    assert len(read(world, since=end + 1)) == 6


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "  =1", "＝1", "=cmd|' /C calc'!A0"]
)
def test_text_that_a_spreadsheet_would_calculate_is_text(text: str) -> None:
    assert cell(text).startswith("'")
    assert cell("v1-beta") == "v1-beta"


def test_hostile_texts_stay_in_their_cells(world: World, run: Run) -> None:
    rolled_out(world, 1)
    with world.store.write() as connection:
        body = events.Forgotten(device="d1", actor='x",=HYPERLINK("http://evil")\r\n=2;"')
        log.append(connection, events.FLEET, world.now, [body])
    out = run("fleet", "deployments").out
    (row,) = [one for one in csv.DictReader(io.StringIO(out)) if one["ended_by"]]
    assert row["device"] == "d1"
    assert None not in row
    assert "\r" not in out
    assert len(out.splitlines()) == 7
    with world.store.write() as connection:
        release = events.Release(
            release=9, version='=HYPERLINK("http://evil")', manifest="", envelope=""
        )
        order = events.OrderSent(
            target="linux-cpu", seq=99, release=release, slots=[[0, 9]], known=1
        )
        bodies: list[Any] = [
            events.Opened(stage=0, orders=[order]),
            events.Reported(device="d2", seq=99, outcome="SUCCEEDED", reason=""),
        ]
        log.append(connection, 1, world.now, bodies)
    found = list(csv.DictReader(io.StringIO(run("fleet", "deployments").out)))
    assert '\'=HYPERLINK("http://evil")' in [one["version"] for one in found]


def test_memory_does_not_grow_with_the_answers() -> None:
    release = [
        events.Release(release=n, version=f"v{n}", manifest=f"{n:064x}", envelope="")
        for n in range(2)
    ]
    orders = [
        events.OrderSent(target="t", seq=n, release=release[n], slots=[[0, 999]], known=1)
        for n in range(2)
    ]
    found = Deployments()
    found.take(events.Event(1, 1, 0.0, events.Opened(stage=0, orders=orders)))
    peaks = []
    tracemalloc.start()
    for round_number in range(4):
        tracemalloc.reset_peak()
        for answer in range(1000):
            body = events.Reported(
                device=f"d{answer % 50}", seq=answer // 50 % 2, outcome="SUCCEEDED", reason=""
            )
            found.take(events.Event(2, 1, float(round_number * 1000 + answer), body))
        peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    assert peaks[-1] < 1.2 * peaks[0]


def test_answers_to_orders_that_the_log_lacks_are_said(world: World, run: Run) -> None:
    with world.store.write() as connection:
        body = events.Reported(device="d1", seq=7, outcome="SUCCEEDED", reason="")
        log.append(connection, 1, world.now, [body])
    ran = run("fleet", "deployments")
    assert (ran.code, ran.out.count("\n")) == (0, 1)
    assert "1 answer to orders that this log does not have left out" in ran.err
