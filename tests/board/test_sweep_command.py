"""Tests the command of the sweep of power cuts, with a small sweep in place of the real ones."""

import pytest

from tests.board.sweep import command

LITTLEFS = ["lfs2/update", "lfs2-32/update"]


class Small:
    """Has three cuts and six second ones. `bad`: how many littlefs fails; `known`: of a kind that
    FAT is known for; `interrupts`: Ctrl-C comes before the second ones."""

    def __init__(self, count, bad=0, known=0, interrupts=False):
        self.count, self.bad, self.known, self.interrupts = count, bad, known, interrupts

    def run(self, pairs):
        self.count.single = 3
        if self.interrupts:
            raise KeyboardInterrupt
        self.count.double = 6 if pairs else 0
        self.count.bad = self.bad
        self.count.known["rot in FAT's table"] = self.known
        if self.bad:
            self.count.faults["serves a damaged model"] = ["half 2, rot 1"]

    def only(self, names):
        return [f"nothing after {' and '.join(names)}"] if self.bad else []


@pytest.fixture
def runs(monkeypatch, capsys):
    """Runs the command; returns its exit status and lines. `small`: {WHAT: what it is made of}."""

    def run(small, *arguments):
        def sweep(self, what):
            count = self.counts[what] = command.Count()
            return Small(count, **small.get(what, {}))

        monkeypatch.setattr(command.Runs, "sweep", sweep)
        monkeypatch.setattr(command.compiled, "program", lambda folder, name: None)
        status = command.main([*arguments])
        return status, capsys.readouterr().out.splitlines()

    return run


def test_the_last_line_has_all_counts(runs):
    status, lines = runs({}, *LITTLEFS, "fat/update", "--pairs", "5")
    assert status == 0
    assert lines[-1] == (
        "littlefs: 6 single cuts, 12 double, 0 bad; FAT: 3 single, 6 double, 0 bad"
    )


def test_bad_case_of_littlefs_is_shown_and_ends_with_1(runs):
    status, lines = runs({"lfs2-32/update": {"bad": 2}}, *LITTLEFS)
    assert status == 1
    assert '    serves a damaged model: --case "half 2, rot 1" lfs2-32/update' in lines
    assert lines[-1].startswith("littlefs: 6 single cuts, 12 double, 2 bad; ")


def test_kind_that_fat_is_known_for_is_counted_and_named(runs):
    status, lines = runs({"fat/update": {"known": 4}}, "fat/update")
    assert status == 0
    assert lines[-2] == "FAT, rot in FAT's table: 4"
    assert lines[-1].endswith("FAT: 3 single, 6 double, 4 bad")


def test_kind_that_fat_is_not_known_for_ends_with_1(runs):
    assert runs({"fat/update": {"known": 4, "bad": 1}}, "fat/update")[0] == 1


def test_ctrl_c_shows_what_was_done(runs):
    status, lines = runs({"lfs2/update": {"interrupts": True}}, "lfs2/update")
    assert status == command.INTERRUPTED
    assert lines[-1].startswith("littlefs: 3 single cuts, 0 double, 0 bad; ")


def test_one_case_is_run_alone(runs):
    case = ["--case", "half 2, rot 1", "lfs2/update"]
    assert runs({}, *case) == (0, ["lfs2/update, half 2, rot 1: nothing is wrong"])
    status, lines = runs({"lfs2/update": {"bad": 1}}, *case)
    assert (status, lines) == (1, ["lfs2/update, half 2, rot 1: nothing after half 2 and rot 1"])


def test_part_that_there_is_not_is_refused(runs):
    with pytest.raises(SystemExit):
        runs({}, "lfs3/update")
