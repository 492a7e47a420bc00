"""The list of bad input (list.toml) names a case or a test for each entry, and each is there."""

import re
from pathlib import Path

from tests.bad_input.running import CASES, LIST, named
from tests.test_docs import unknown_tests

ROOT = Path(__file__).parents[2]
SECTIONS = {"envelope": 26, "signature": 11, "fields": 19, "transfer": 12, "controller": 15}


def entries() -> dict[str, list[str]]:
    return {
        f"{section}: {entry}": shown
        for section, found in LIST.items()
        for entry, shown in found.items()
    }


def in_a_program(name: str) -> bool:
    """Whether it is a test of a program for boards: FILE::TEST."""
    file, _, test = name.partition("::")
    text = (ROOT / file).read_text()
    return bool(re.search(rf"^def {test}\(", text, re.M))


def test_every_entry_of_the_list_has_a_case() -> None:
    assert {name: len(LIST[name]) for name in SECTIONS} == SECTIONS
    assert [entry for entry, shown in entries().items() if not shown] == []


def test_every_case_and_test_that_the_list_names_is_there() -> None:
    words = [name for shown in entries().values() for name in shown]
    programs = [name for name in words if name.startswith("tests/board/programs/")]
    tests = [
        name for name in words if name.startswith(("test_", "tests/")) and name not in programs
    ]
    assert [name for name in programs if not in_a_program(name)] == []
    assert unknown_tests(tests) == []
    rest = [name for name in words if name not in tests and name not in programs]
    assert [name for name in rest if not named(name)] == []


def test_every_case_is_in_the_list() -> None:
    found = [case for shown in entries().values() for name in shown for case in named(name)]
    assert [case.name for case in CASES if case not in found] == []
