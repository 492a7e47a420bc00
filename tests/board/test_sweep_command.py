"""Tests the command of the sweep of power cuts, with a small sweep in place of the real ones."""

import pytest

from tests.board.sweep import __main__ as command
from tests.board.sweep.cuts import Point, each
from tests.board.sweep.results import Results

PART = ["--fs", "fat", "--scenario", "new-agent"]
HALF = ("fat", "new agent", "half", False)


class Small:
    """Has three points; the second, with garbage, fails in FAT's own accounts."""

    operations = 3

    def __init__(self, interrupted_at=0, fails_at=2):
        self.interrupted_at = interrupted_at
        self.fails_at = fails_at
        self.ran = []

    def point(self, mode, number):
        if number == self.interrupted_at:
            raise KeyboardInterrupt
        self.ran.append((mode, number))
        is_bad = number == self.fails_at and mode == "garbage"
        point = Point(mode, number, ["lost"] if is_bad else [])
        point.where = "table" if number == 2 else "contents"
        return point


@pytest.fixture
def runs(monkeypatch):
    def run(small, *arguments):
        monkeypatch.setattr(command.Sweeps, "_sweep", lambda *_: small)
        return command.main([*PART, *arguments])

    return run


def test_a_part_of_the_sweep_is_a_table(runs, capsys):
    assert runs(Small()) == 0
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "| fat | new agent | lost | 3 | 0 | 0 |",
        "| fat | new agent | half | 3 | 0 | 0 |",
        "| fat | new agent | garbage | 3 | 1 | 1 |",
    ]


def test_a_point_that_must_not_fail_is_told_and_ends_with_1(runs, capsys):
    assert runs(Small(fails_at=3)) == 1
    assert "garbage 3 contents: lost" in capsys.readouterr().err


def test_a_sweep_that_was_stopped_goes_on(runs, capsys, tmp_path):
    kept = ["--results", str(tmp_path / "results")]
    first, then = Small(interrupted_at=3), Small()
    assert runs(first, "--mode", "half", *kept) == command.INTERRUPTED
    assert "the same command goes on" in capsys.readouterr().err
    assert runs(then, "--mode", "half", *kept) == 0
    assert (first.ran, then.ran) == ([("half", 1), ("half", 2)], [("half", 3)])
    assert "| fat | new agent | half | 3 | 0 | 0 |" in capsys.readouterr().out


def test_results_of_other_code_and_a_line_that_was_cut_do_not_count(tmp_path):
    path = tmp_path / "results"
    with Results(path, "one") as results:
        results.add(Point("half", 1, ["lost"]), *HALF)
    with path.open("a") as file:
        file.write('["one", ["fat"')
    with Results(path, "one") as results:
        assert [point.faults for point in results.of(*HALF).values()] == [["lost"]]
    with Results(path, "two") as results:
        assert results.of(*HALF) == {}


def test_points_that_have_not_begun_do_not_begin_after_an_interrupt():
    begun = []
    with pytest.raises(ZeroDivisionError):
        list(each(lambda number: begun.append(number) or 1 // (number - 1), range(1, 1000)))
    assert len(begun) < 1000
