"""Tests the service's log: a line for each thing that happens, and only for what is committed."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rollout_world import FLEET, World

from modelwave_controller.cli.logs import JsonLines, TextLines
from modelwave_controller.errors import StorageError
from modelwave_controller.operations import acts, rollouts
from modelwave_controller.rollout.lines import line_of
from modelwave_controller.service import tick
from modelwave_controller.service.journal import MAX_NAMED, IgnoredJournal
from modelwave_controller.storage import log
from modelwave_controller.storage.ignored import Ignored
from modelwave_shared import topics


@pytest.fixture
def world(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[World]:
    caplog.set_level(logging.INFO)
    with closing(World(tmp_path, devices=20)) as made:
        made.tick()
        yield made


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [f"{record.levelname} {record.getMessage()}" for record in caplog.records]
    caplog.clear()
    return found


def test_rollout_that_ends_well_has_a_line_for_each_step(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    rollouts.pause(world.store, str(world.start(1)), "lunch", world.now, "eve@desk")
    rollouts.resume(world.store, "1", "", world.now, "eve@desk")
    for _ in range(4):
        world.tick()
        world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    found = told(caplog)
    assert found[:4] == [
        "INFO rollout 1 (digits): created: digits release 1 (v1) for linux-cpu, "
        "slots drawn by seed 0 by operator",
        "INFO rollout 1 (digits): paused by eve@desk: lunch",
        "INFO rollout 1 (digits): resumed by eve@desk",
        "INFO rollout 1 (digits): stage 1 opened: order 1 for 2 known devices",
    ]
    assert sum("gate of stage" in line for line in found) == 3
    assert any("gate of stage 3: PASS" in line for line in found)
    assert "finished" in found[-2]
    assert "ordered anew" in found[-1]  # one order for all
    assert all(line.startswith("INFO rollout 1 (digits): ") for line in found)
    with world.store.read() as connection:
        events = [event for event in log.events_after(connection) if event.body.kind != "reported"]
    assert len(found) == len(events)
    assert all(line_of(event).what in line for event, line in zip(events, found, strict=True))


def test_fail_hold_and_revert_are_warnings(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.start(1)
    world.tick()
    told(caplog)
    world.answer("ROLLED_BACK", world.devices.values(), "golden set failed")
    world.tick()
    grave = [line for line in told(caplog) if line.startswith("WARNING")]
    assert any("gate of stage 1: FAIL" in line for line in grave)
    assert any("reverted" in line for line in grave)


def test_acts_of_operators_that_belong_to_no_rollout_are_in_the_log(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    with world.store.write() as connection:
        acts.forget(connection, FLEET, "d3", world.now, "eve@desk")
    world.tick()
    assert told(caplog) == ["INFO fleet: device d3 forgotten by eve@desk"]
    assert caplog.records == []


def test_record_names_rollout_model_stage_and_device(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.start(1)
    world.tick()
    opened = next(record for record in caplog.records if "stage 1 opened" in record.getMessage())
    line = json.loads(JsonLines().format(opened))
    assert line["level"] == "info"
    assert line["time"].endswith("Z")
    assert (line["rollout"], line["model"], line["stage"]) == (1, "digits", 1)
    assert "device" not in line
    assert line["message"].startswith("rollout 1 (digits): stage 1 opened")


def test_what_is_rolled_back_is_not_logged_and_what_is_committed_is_logged_once(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.clear()
    world.start(1)

    def fails(*_arguments: object) -> None:
        raise StorageError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(tick._Step, "_open", fails)
        for _ in range(3):
            with pytest.raises(StorageError):
                world.tick()
    assert told(caplog) == []
    world.tick()
    found = told(caplog)
    assert sum("created" in line for line in found) == 1
    assert sum("stage 1 opened" in line for line in found) == 1


def test_what_happened_before_the_service_ran_is_not_logged_again(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.start(1)
    world.tick()
    world.ticker = tick.Ticker(world.store, world.issuer)
    told(caplog)
    world.tick()
    assert told(caplog) == []


def test_answers_of_devices_are_not_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.start(1)
    world.tick()
    told(caplog)
    world.answer("FAILED", [*world.devices.values()], "no disk")
    world.tick()
    assert not any("answered" in line for line in told(caplog))


def test_unreadable_messages_of_a_device_are_logged_each_time_that_they_have_doubled(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    counts = []
    caplog.clear()
    for _ in range(9):
        world.inbox.put(topics.reported(FLEET, "d1"), b"{")
        world.hear([])
        counts.append(len(told(caplog)))
    assert counts == [1, 1, 0, 1, 0, 0, 0, 1, 0]


def test_old_reports_of_a_device_are_logged_with_the_way_out(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    device = world.devices["d1"]
    device.boot = 7
    world.hear([device])
    device.boot, device.n = 1, 1
    caplog.clear()
    world.hear([device])
    (line,) = told(caplog)
    assert line.startswith("WARNING device d1: 1 old report ignored: a newer one is stored")
    assert line.endswith("`modelwave device forget d1`")
    assert "modelwave device forget" in line


def test_flood_of_ignored_devices_is_a_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    journal = IgnoredJournal()
    flood = [Ignored(f"d{number}", "old report", 1, "why") for number in range(500)]
    journal.tell(flood)
    found = told(caplog)
    assert len(found) == MAX_NAMED + 1
    assert "490 more devices" in found[-1]
    journal.tell(flood)
    assert told(caplog) == []


def record(message: str, error: bool = False) -> logging.LogRecord:
    try:
        raise ValueError("wrong")
    except ValueError:
        info = sys.exc_info() if error else None
    return logging.LogRecord("x", logging.ERROR, "x.py", 1, "%s", (message,), info)


def test_text_of_a_line_cannot_forge_another_line() -> None:
    line = TextLines().format(record("a\n2026-01-01 INFO all is well\x1b[2J"))
    assert "\n" not in line
    assert "\x1b" not in line
    assert "ERROR a�2026" in line


HOSTILE = "a\n2026-01-01 INFO all is well\x1b[2J\u202e\u2066\u2028\x9b31m\r\x00\udcff\x85z"


@pytest.mark.parametrize("error", [False, True], ids=["message", "traceback"])
def test_hostile_text_changes_neither_a_terminal_nor_the_lines_of_the_log(error: bool) -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        info = sys.exc_info() if error else None
    hostile = logging.LogRecord("x", logging.ERROR, "x.py", 1, "%s", (HOSTILE,), info)
    hostile.about = {"device": HOSTILE}
    first, *more = TextLines().format(hostile).split("\n")
    assert first.endswith("z")
    assert all(line.startswith("  ") for line in more)
    assert all(line.isprintable() for line in (first, *more))
    line = JsonLines().format(hostile)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["message"] == HOSTILE


def test_errors_keep_their_traceback_in_both_forms() -> None:
    assert "ValueError: wrong" in TextLines().format(record("failed", error=True))
    line = json.loads(JsonLines().format(record("failed", error=True)))
    assert (line["level"], line["message"]) == ("error", "failed")
    assert line["traceback"].endswith("ValueError: wrong")
