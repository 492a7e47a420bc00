"""Tests that a command of the tests refuses a number with which it would do nothing, crash, or
never end, and a name that it does not know. None of them begins its work here."""

import argparse
import sys
from collections.abc import Callable

import pytest

from tests import sweeps
from tests.agent import line_sweep
from tests.arguments import one_of, whole
from tests.board.sweep import command as boards
from tests.day import __main__ as day
from tests.day import floods
from tests.disk import command as disk
from tests.disk import sqlite
from tests.faults import command as faults
from tests.fuzz import command as fuzz
from tests.heal import command as heal
from tests.histories import command as histories
from tests.inject import command as inject
from tests.judge import __main__ as judge
from tests.mutation import __main__ as mutation
from tests.trust import command as trust

# Of each command its numbers, each with one that is too small.
TOO_SMALL = {
    boards.main: {"--pairs": -1, "--jobs": 0},
    day.main: {"--rollouts": 0, "--devices": 0, "--hosts": -1, "--boards": -1, "--seed": -1},
    disk.main: {"--pairs": -1, "--kills": -1, "--errors": -1, "--histories": -1},
    faults.main: {"--workers": 0},
    floods.main: {"--seconds": 1, "--devices": 0},
    fuzz.main: {"--runs": 0, "--seconds": -1, "--seed": -1},
    heal.main: {"--seed": -1, "--histories": 0, "--processes": 0},
    histories.main: {"--seeds": 0, "--step": 0, "--processes": 0},
    inject.main: {"--points": -1, "--kills": 0, "--seed": -1, "--at-once": 0},
    judge.main: {"--runs": 3, "--seed": -1},
    mutation.main: {"--workers": 0, "--every": 0},
    sqlite.main: {"--most": 0, "--step": 0, "--seed": -1},
}
BAD = [
    *((main, name, str(bad)) for main, its in TOO_SMALL.items() for name, bad in its.items()),
    (fuzz.main, "--runs", "-1"),
    (fuzz.main, "--runs", "1e6"),
    (fuzz.main, "--runs", str(2**31)),
    (fuzz.main, "--seconds", str(2**31)),
    (fuzz.main, "--seed", str(2**32)),
    (faults.main, "--workers", "3"),
    (floods.main, "--seconds", "nan"),
]


@pytest.fixture
def refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Gives a command arguments; returns the line with which it refuses them."""

    def ask(main: Callable[[], int], *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["a command", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        return capsys.readouterr().err.splitlines()[-1]

    return ask


@pytest.fixture
def parsing_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments that are taken end the test, where the command would begin."""
    parse = argparse.ArgumentParser.parse_args

    def only_parse(parser: argparse.ArgumentParser, *given: None) -> None:
        parse(parser, *given)
        pytest.fail("it is taken")

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", only_parse)


@pytest.mark.usefixtures("parsing_alone")
@pytest.mark.parametrize(
    ("main", "name", "bad"), BAD, ids=[f"{main.__module__} {name} {bad}" for main, name, bad in BAD]
)
def test_number_that_a_command_cannot_do_with_is_refused_in_one_line(
    main: Callable[[], int], name: str, bad: str, refused: Callable[..., str]
) -> None:
    line = refused(main, name, bad)
    assert f"error: argument {name}: {bad}: give a whole number, " in line


@pytest.mark.usefixtures("parsing_alone")
@pytest.mark.parametrize(
    ("main", "what", "one"),
    [
        (boards.main, "part", "lfs2"),
        (floods.main, "scene", "mosquitto-messages"),
        (fuzz.main, "target", "envelope"),
        (histories.main, "course", "promoted"),
        (inject.main, "part", "kills"),
        (judge.main, "table", "silence"),
        (mutation.main, "part", "trust"),
        (sweeps.main, "sweep", "sqlite"),
        (trust.main, "sweep", "root chains"),
    ],
    ids=lambda given: getattr(given, "__module__", ""),
)
def test_name_that_a_command_does_not_know_is_refused_with_those_that_it_knows(
    main: Callable[[], int], what: str, one: str, refused: Callable[..., str]
) -> None:
    line = refused(main, one, "nonsense")
    assert f": nonsense: no such {what}; there are " in line
    assert one in line


@pytest.mark.usefixtures("parsing_alone")
def test_step_of_the_sweep_of_a_wire(refused: Callable[..., str]) -> None:
    assert "argument step: 0: give a whole number, at least 1" in refused(line_sweep.main, "0")


@pytest.mark.usefixtures("parsing_alone")
@pytest.mark.parametrize(
    ("point", "wanted"),
    [
        ("write:0:EIO", "the number is from 1 to 65535"),
        ("write:-1:EIO", "the number is from 1 to 65535"),
        ("write:65536:EIO", "the number is from 1 to 65535"),
        ("write:x:EIO", "give CALL:NUMBER:FAULT, such as write:1:EIO"),
        ("write:1", "give CALL:NUMBER:FAULT, such as write:1:EIO"),
        ("write:1:EMFILE", "no such call, or it does not give that"),
    ],
)
def test_point_that_strace_would_refuse_is_refused_before_it(
    point: str, wanted: str, refused: Callable[..., str]
) -> None:
    line = refused(inject.main, "--point", point)
    assert line.endswith(f"error: argument --point: {point}: {wanted}")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--devices", "20"], "--devices: at least 21, as 20 are real and one is simulated"),
        (["--hosts", "0", "--boards", "0"], "--hosts and --boards: at least 1 of both together"),
    ],
)
def test_a_day_has_real_and_simulated_devices(
    arguments: list[str],
    told: str,
    refused: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(day.logging, "disable", lambda _level: None)
    monkeypatch.setattr(day, "processes", lambda _folder: pytest.fail("it is taken"))
    assert refused(day.main, *arguments).endswith(f"error: {told}")


def test_a_history_of_the_disk_is_named_with_its_scenes(refused: Callable[..., str]) -> None:
    line = refused(disk.main, "history x")
    assert "history x: no such scene; there are first, update, " in line
    assert line.endswith(", and 'history N' for every N")


def test_faults_of_a_wire_that_no_case_has_are_refused(refused: Callable[..., str]) -> None:
    line = refused(line_sweep.main, "999", "nonsense")
    assert line.endswith("error: nonsense: no case's name begins so")


def test_the_ends_of_a_range_are_taken() -> None:
    read = whole(1, 65535)
    assert [read("1"), read("65535")] == [1, 65535]
    for text in ("0", "65536", "", "1.5"):
        with pytest.raises(argparse.ArgumentTypeError, match="from 1 to 65535"):
            read(text)


def test_a_name_is_one_of_those_that_there_are() -> None:
    read = one_of(["a", "b"], "letter")
    assert read("b") == "b"
    for text in ("", "A", "ab"):
        with pytest.raises(argparse.ArgumentTypeError, match="no such letter; there are a, b"):
            read(text)
