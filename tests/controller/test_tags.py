"""Tests the tags of devices: words of the operator, which no device changes."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rollout_commands import Run
from rollout_world import World

from modelwave_controller.operations.acts import MAX_TAGS
from modelwave_controller.storage import log, tags


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=4)) as made:
        made.now = time.time()
        made.tick()
        yield made


def listed(run: Run, *options: str) -> list[str]:
    return [entry["device"] for entry in run("device", "list", "--json", *options).json()]


def test_tags_are_added_removed_shown_and_listed_by(world: World, run: Run) -> None:
    tagged = run("device", "tag", "d1", "d2", "--add", "canary", "--add", "site-7", "--json")
    assert tagged.json() == {"d1": ["canary", "site-7"], "d2": ["canary", "site-7"]}
    assert run("device", "tag", "d2", "--remove", "canary", "--add", "old").code == 0
    assert listed(run, "--tag", "canary") == ["d1"]
    assert listed(run, "--tag", "site-7") == ["d1", "d2"]
    assert listed(run, "--tag", "none-has-it") == []
    assert "canary, site-7" in run("device", "list").out
    assert "old, site-7" in run("device", "show", "d2").out


def test_change_is_in_the_log_with_who_made_it(run: Run) -> None:
    run("device", "tag", "d1", "--add", "canary")
    run("device", "tag", "d1", "--add", "old", "--remove", "canary")
    found = run("fleet", "log", "--json").json_lines()
    assert [entry["what"] for entry in found] == [
        "device d1 tagged +canary",
        "device d1 tagged +old -canary",
    ]
    assert all("@" in entry["actor"] for entry in found)


def test_what_changes_nothing_is_not_in_the_log(world: World, run: Run) -> None:
    run("device", "tag", "d1", "--add", "canary")
    run("device", "tag", "d1", "--add", "canary", "--remove", "old")
    with world.store.read() as connection:
        assert len(list(log.events_after(connection))) == 1


def test_tags_stay_with_the_id_when_a_device_is_forgotten_and_comes_back(
    world: World, run: Run
) -> None:
    run("device", "tag", "d1", "--add", "canary")
    assert "canary" in run("device", "forget", "d1").out
    assert listed(run, "--tag", "canary") == []
    world.hear([world.devices["d1"]])
    assert listed(run, "--tag", "canary") == ["d1"]


def test_tags_of_a_device_that_is_gone_can_be_removed(world: World, run: Run) -> None:
    run("device", "tag", "d1", "--add", "canary")
    run("device", "forget", "d1")
    assert run("device", "tag", "d1", "--remove", "canary").code == 0
    with world.store.read() as connection:
        assert tags.of_all(connection) == {}


def test_reports_do_not_change_tags(world: World, run: Run) -> None:
    run("device", "tag", "d1", "--add", "canary")
    world.devices["d1"].boot += 1
    world.hear([world.devices["d1"]])
    assert listed(run, "--tag", "canary") == ["d1"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("d1", "--add", "Canary"), "--add"),
        (("d1", "--add", ""), "--add"),
        (("d1", "--add", "x" * 64), "--add"),
        (("d1", "--add", "-x"), "--add"),
        (("d1", "--remove", "a b"), "--remove"),
        (("d1",), "--add TAG"),
        (("d1", "--add", "a", "--remove", "a"), "both have a"),
        (("../d1", "--add", "a"), "DEVICES"),
        (("nobody", "--add", "a"), "nobody"),
        (("d1", "nobody", "--add", "a"), "nobody"),
        (("--add", "a"), "DEVICES"),
    ],
)
def test_bad_tag_or_device_is_refused_and_nothing_is_changed(
    world: World, run: Run, arguments: tuple[str, ...], named: str
) -> None:
    ran = run("device", "tag", *arguments)
    assert ran.code == 2
    assert named in ran.err
    with world.store.read() as connection:
        assert tags.of_all(connection) == {}


def test_device_has_at_most_sixteen_tags(world: World, run: Run) -> None:
    many = [word for number in range(MAX_TAGS) for word in ("--add", f"t{number}")]
    assert run("device", "tag", "d1", *many).code == 0
    ran = run("device", "tag", "d1", "--add", "more")
    assert ran.code == 2
    assert "17 tags" in ran.err
    assert run("device", "tag", "d1", "--add", "more", "--remove", "t0").code == 0
