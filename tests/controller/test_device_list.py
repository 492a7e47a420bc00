"""Tests the filters of `device list`, and what it says of a device that tries again."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rollout_commands import Run
from rollout_world import FLEET, NO_RELEASE, World
from sqlalchemy import func, select

from modelwave_controller.operations.device_entries import SILENT_SECONDS
from modelwave_controller.storage import tables
from modelwave_shared import topics


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=4)) as made:
        made.now = time.time()
        made.add(2, "esp32")
        for device in made.devices.values():
            made.inbox.put(topics.presence(FLEET, device.name), b"online")
        made.hear(made.devices.values())
        made.tick()
        yield made


def listed(run: Run, *options: str) -> list[str]:
    return [entry["device"] for entry in run("device", "list", "--json", *options).json()]


def says(world: World, name: str, model: str = "digits", **changes: Any) -> None:
    """The device reports these fields of the model."""
    device = world.devices[name]
    device.models[model] = NO_RELEASE | device.models.get(model, {}) | changes
    world.hear([device])


def fetching(world: World, name: str, tries: int = 3, seconds: int = 40) -> None:
    changes = {"state": "fetching", "outcome": "FAILED", "reason": "HTTP 503", "seq": 1}
    says(world, name, tries=tries, next_seconds=seconds, **changes)


def test_device_that_tries_again_is_shown_with_its_tries_and_the_next_one(
    world: World, run: Run
) -> None:
    world.now = time.time()
    fetching(world, "d1")
    assert "digits: fetching, 3 tries, next in 4" in run("device", "list").out.replace("39", "40")
    assert ": HTTP 503" in run("device", "list").out
    assert "fetching, 3 tries, next in" in run("device", "show", "d1").out
    found = run("device", "show", "d1", "--json").json()["models"][0]
    assert (found["tries"], found["next_seconds"]) == (3, 40)


def test_try_that_should_have_been_made_is_due(world: World, run: Run) -> None:
    world.now = time.time() - 120
    fetching(world, "d1", tries=1)
    assert "fetching, 1 try, next one is due: HTTP 503" in run("device", "list").out


def test_each_further_try_is_stored_and_makes_no_event(world: World, run: Run) -> None:
    world.start(1)
    world.tick()
    for tries in range(1, 6):
        fetching(world, "d1", tries=tries, seconds=10 * tries)
    assert run("device", "show", "d1", "--json").json()["models"][0]["tries"] == 5
    reported = select(func.count()).where(tables.events.c.kind == "reported")
    with world.store.read() as connection:
        assert (connection.scalar(reported) or 0) <= 1
    says(world, "d1", tries=0, next_seconds=0, outcome="", reason="", state="idle")
    assert run("device", "show", "d1", "--json").json()["models"][0]["tries"] == 0


def test_trouble_of_a_device_that_gave_an_order_up_has_its_reason(world: World, run: Run) -> None:
    says(world, "d1", outcome="REJECTED", reason="blacklist: it failed here", seq=1)
    assert "digits: REJECTED: blacklist: it failed here" in run("device", "list").out


def test_device_without_a_release_says_none(world: World, run: Run) -> None:
    says(world, "d1", release=0)
    assert "digits  none" in run("device", "show", "d1").out


def test_release_that_is_no_number_is_refused_in_plain_words(world: World, run: Run) -> None:
    ran = run("device", "list", "--not-on", "v4")
    assert (ran.code, "'v4' is no number of a release" in ran.err) == (2, True)
    assert "`modelwave release list`" in ran.err


def test_filters_are_combined(world: World, run: Run) -> None:
    world.inbox.put(topics.presence(FLEET, "d1"), b"offline")
    world.inbox.put(topics.presence(FLEET, "d4"), b"offline")
    fetching(world, "d4")
    fetching(world, "d2")
    assert len(listed(run)) == 6
    assert listed(run, "--offline") == ["d1", "d4"]
    assert listed(run, "--trouble") == ["d2", "d4"]
    assert listed(run, "--target", "esp32") == ["d4", "d5"]
    assert listed(run, "--offline", "--trouble") == ["d4"]
    assert listed(run, "--trouble", "--target", "linux-cpu") == ["d2"]
    assert listed(run, "--trouble", "--offline", "--target", "linux-cpu") == []


def test_silent_devices_are_offline_and_in_trouble(world: World, run: Run) -> None:
    world.now += 2 * SILENT_SECONDS
    world.tick()
    world.hear([d for d in world.devices.values() if d.name != "d3"])
    assert listed(run, "--offline") == ["d3"]
    assert listed(run, "--trouble") == ["d3"]


def test_devices_that_are_not_on_a_release_are_those_where_another_or_none_is_live(
    world: World, run: Run
) -> None:
    for name, release in (("d0", 5), ("d1", 5), ("d2", 4), ("d3", 6)):
        says(world, name, release=release)
    assert listed(run, "--not-on", "5") == ["d2", "d3", "d4", "d5"]
    assert listed(run, "--not-on", "5", "--target", "linux-cpu") == ["d2", "d3"]
    assert listed(run, "--not-on", "0", "--target", "esp32") == []


def test_release_of_several_models_needs_the_name_of_one(world: World, run: Run) -> None:
    says(world, "d0", release=5)
    says(world, "d1", model="faces", release=5)
    ran = run("device", "list", "--not-on", "5")
    assert ran.code == 2
    assert "--not-on" in ran.err
    assert "digits, faces" in ran.err
    assert "--model" in ran.err
    assert listed(run, "--model", "faces") == ["d1"]
    assert listed(run, "--not-on", "5", "--model", "faces") == []
    assert listed(run, "--not-on", "4", "--model", "faces") == ["d1"]


def test_device_whose_reports_cannot_be_read_is_in_trouble(world: World, run: Run) -> None:
    world.inbox.put(topics.reported(FLEET, "stranger"), b"{")
    world.hear([])
    assert listed(run, "--trouble") == ["stranger"]
    assert "stranger" not in listed(run, "--target", "linux-cpu")


def measures(world: World, n: int, **changes: Any) -> None:
    """Device d0 sends the window n, of 15 minutes; its end is n windows after the first one's."""
    document = {"boot": 1, "n": n, "window": n, "seconds": 900, "age_seconds": 9000 - 900 * n}
    document |= {"model": "digits", "release": 1, "inferences": 100, "failures": 1}
    document |= {"labelled": 10, "correct": 9, "latency": {"bins": [6, 60, 40], "log": 2500000}}
    sent = {key: value for key, value in (document | changes).items() if value is not None}
    payload = json.dumps(sent).encode()
    world.inbox.put(topics.metrics(FLEET, "d0"), payload)
    while world.writer.write_batch(0):
        pass


def test_device_shows_what_it_observed_in_its_newest_windows(world: World, run: Run) -> None:
    assert run("device", "show", "d0", "--json").json()["observed"] == []
    says(world, "d0", "letters")
    for n in range(1, 7):
        measures(world, n, release=1 if n < 4 else 2)
    measures(
        world, 7, model="letters", labelled=0, correct=0, latency={"bins": [15, 9], "log": 9000000}
    )
    digits, letters = run("device", "show", "d0", "--json").json()["observed"]
    assert (digits["model"], digits["release"], digits["windows"]) == ("digits", 2, 3)
    assert (digits["seconds"], digits["inferences"], digits["failures"]) == (2700, 300, 3)
    assert (digits["failed"], digits["accuracy"]) == (0.01, 0.9)
    assert 3600 <= digits["age_seconds"] <= 3700
    assert (letters["accuracy"], letters["median_ms"]) == (None, 4096)
    lines = [" ".join(line.split()) for line in run("device", "show", "d0").lines()]
    [line] = [line for line in lines if line.startswith("digits in 45 min, until")]
    assert line.endswith("ago 2 300 1 % (3) 90 % of 30 14.3 ms")
    [line] = [line for line in lines if line.startswith("letters in")]
    assert line.endswith("ago 1 100 1 % (1) – 4,096 ms or more")


def test_newest_windows_are_the_newest_whatever_the_order_of_their_arrival(
    world: World, run: Run
) -> None:
    for n in (9, 3, 1, 8, 2, 7, 6):
        measures(world, n, inferences=n)
    measures(world, 10, seconds=None, age_seconds=0, inferences=0, failures=0, latency=None)
    with world.store.read() as connection:
        assert connection.scalar(select(func.count()).select_from(tables.windows)) == 8
    [digits] = run("device", "show", "d0", "--json").json()["observed"]
    assert (digits["windows"], digits["inferences"]) == (4, 9 + 8 + 7 + 6)
