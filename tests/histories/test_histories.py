"""Some of the histories of `python -m tests.histories`, and what they need to be believed.

MODELWAVE_LONG=1 plays one of seven, an ordinary run some."""

import logging
import os
import sys
from collections.abc import Iterator

import pytest

from tests.histories import command, model
from tests.histories.broker import Troubles
from tests.histories.command import Count, Part
from tests.histories.courses import COURSES
from tests.histories.points import Ended, Kill, play

LONG = os.environ.get("MODELWAVE_LONG") == "1"
# Of so many points one is played: before and after, commits and publishes, as the numbers are odd.
EVERYDAY = {"good": 151, "bad": 67, "paused": 151, "promoted": 91}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def ends(course: str, step: int, seed: int = 0) -> list[Ended]:
    found: list[Ended] = []
    play(course, seed, Part(course, seed, step // 2, step).chosen, found.append)
    return found


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("course", COURSES)
def test_service_killed_at_a_commit_or_a_publish_ends_as_the_model_says(course: str) -> None:
    count, found = Count(), ends(course, 7 if LONG else EVERYDAY[course])
    count.add(found)
    print(f"{course}: {count.line()}")
    assert [end for end in found if end.problems] == []
    assert count.kills > len(found) > 1


@pytest.mark.slow
def test_a_history_is_played_the_same_each_time() -> None:
    """So one that was bad can be played again: its points are the same ones."""
    found: list[Ended] = []
    kill = Kill(101, 20)
    points = play("bad", 0, lambda number: [kill.more] if number == kill.at else [], found.append)
    again = play("bad", 0, lambda number: [], found.append)
    assert (points, [end.problems for end in found]) == (again, [[], [], []])
    assert found[0].kills == 2
    assert command.played("bad", 0, kill, Troubles()) == found[0].problems


def test_a_point_that_a_history_does_not_have_is_no_good_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that was bad would seem mended where the program has fewer points than before."""

    def without_the_point(*arguments: object) -> int:
        told = arguments[3]
        assert callable(told)
        told(Ended(Kill(0, 0), "", 0, []))
        return 70

    monkeypatch.setattr(command, "play", without_the_point)
    monkeypatch.setattr(sys, "argv", ["histories", "--play", "good:1:71+0"])
    assert command.main() == command.NOT_PLAYED
    assert capsys.readouterr().out == "it has 70 points, and was not killed at 71\n"
    assert command.still_bad("good", 1, Kill(71, 3)) == []


@pytest.mark.parametrize("arguments", [["nosuch"], ["--play", "good:1"]])
def test_what_plays_nothing_is_refused(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["histories", *arguments])
    with pytest.raises(SystemExit, match="2"):
        command.main()
    assert "histories: error: " in capsys.readouterr().err


def test_only_holds_that_a_later_look_has_ended_are_left_out() -> None:
    held = ["began 2", "INCONCLUSIVE 2", "held", "PASS 2", "continued", "opened 3"]
    assert [*model._without_holds(held)] == ["began 2", "PASS 2", "opened 3"]
    for words in (["began 1", "held", "PASS 1"], ["PASS 1", "continued"], ["INCONCLUSIVE 1"]):
        assert [*model._without_holds(words)] == words
