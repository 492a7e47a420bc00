"""Tests the install id: one random number for each state folder, in every document."""

import errno
import os

import pytest

from modelwave_agent import journal as journals
from modelwave_shared import reports, words
from tests.agent.fakes import World


def installs(agent):
    """The install id in a report and in a metrics window."""
    report = agent.state()
    reports.check(words.REPORT, report)
    agent.observations.add("digits", 0, [1, 0, 0, 0])
    agent.observations.close(1)
    window = agent.observations.next(agent.numbering.numbered, 1)
    agent.observations.sent()
    reports.check(words.METRICS, window)
    return report.get("install"), window.get("install")


def booted(world):
    """The id after a reset, which must be the same in all documents."""
    agent, _ = world.boot()
    of_report, of_window = installs(agent)
    assert of_report == of_window
    return of_report


def test_install_id_is_drawn_once_and_stays_over_resets(tmp_path):
    world = World(tmp_path)
    first = booted(world)
    assert len(first) == 16
    assert [booted(world) for _ in range(3)] == [first] * 3
    assert world.boot()[0].numbering.boot == 5


def test_another_state_folder_has_another_id_and_counts_from_one(tmp_path):
    found = set()
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        agent, _ = World(tmp_path / name).boot()
        assert agent.numbering.boot == 1
        found.add(agent.numbering.install)
    assert len(found) == 3


def test_state_folder_that_was_wiped_has_another_id(tmp_path):
    world = World(tmp_path)
    first = booted(world)
    for number in (0, 1):
        os.remove(f"{world.folder}/device.{number}")
    assert booted(world) != first


def test_journal_of_an_older_agent_gets_an_id_and_keeps_its_count(tmp_path):
    old = journals.Journal(str(tmp_path), "device")
    old.read()
    old.write({"boot": 41})
    world = World(tmp_path)
    agent, _ = world.boot()
    assert (agent.numbering.boot, len(agent.numbering.install)) == (42, 16)
    assert booted(world) == agent.numbering.install


@pytest.fixture
def unwritable(monkeypatch):
    def fails(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    def now():
        monkeypatch.setattr(journals, "sync", fails)

    return now


def test_id_that_is_not_durable_is_not_told(tmp_path, unwritable, monkeypatch):
    world = World(tmp_path)
    unwritable()
    agent, _ = world.boot()
    assert agent.numbering.trouble
    assert installs(agent) == (None, None)
    monkeypatch.undo()
    agent.numbering.count_boot()
    assert not agent.numbering.trouble
    told = installs(agent)[0]
    assert booted(world) == told


def test_id_that_was_durable_is_told_when_the_folder_is_read_only(tmp_path, unwritable):
    world = World(tmp_path)
    first = booted(world)
    unwritable()
    assert booted(world) == first


def test_next_reset_s_documents_come_after_those_of_one_that_was_not_counted(tmp_path, monkeypatch):
    def fails(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    world, told = World(tmp_path), []

    def boot():
        report = world.boot()[0].state()
        told.append((report["boot"], report["n"]))

    boot()
    monkeypatch.setattr(journals.Journal, "write", fails)
    boot()
    monkeypatch.undo()
    boot()
    assert told == sorted(set(told))


def test_documents_of_a_device_without_clock_come_in_order_while_it_is_not_counted(
    tmp_path, monkeypatch
):
    """It tries to count the reset each minute."""

    def fails(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    world, told = World(tmp_path), []
    world.wall = None
    world.boot()
    with monkeypatch.context() as failing:
        failing.setattr(journals.Journal, "write", fails)
        numbering = world.boot()[0].numbering
        for _ in range(3):
            told.append(numbering.numbered())
            numbering.count_boot()
    for _ in range(2):
        numbering.count_boot()
        told.append(numbering.numbered())
    numbers = [(one["boot"], one["n"]) for one in told]
    assert numbers == sorted(set(numbers))


def test_device_without_a_source_of_randomness_tells_no_id(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "urandom")
    agent, _ = World(tmp_path).boot()
    assert (agent.numbering.trouble, installs(agent)) == ("", (None, None))
