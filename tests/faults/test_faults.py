"""Tests the list of seeded faults, and puts a few of them in. `make faults` puts all of them in."""

from pathlib import Path

import pytest

from tests.ending import INTERRUPTED
from tests.faults import command, entries
from tests.faults.entries import Fault
from tests.faults.judging import Result, Runner
from tests.faults.tree import Tree, copy

LEAST = 100
CHEAP = ("takes-s-above-l", "range-without-its-end", "says-succeeded-when-it-is-fetched")
FAULTS = {fault.name: fault for fault in entries.read()}
UNSEEN = FAULTS["range-without-its-end"]._replace(
    test="tests/core/test_slots.py::test_slot_is_what_openssl_computes"
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    made = copy(tmp_path_factory.mktemp("faults") / "1")
    assert Runner().not_green(made, [FAULTS[name].test for name in CHEAP]) == []
    return made


def test_each_fault_changes_one_line_of_the_source_and_names_a_test_that_is_there() -> None:
    assert len(FAULTS) >= LEAST
    assert {name: told for name, one in FAULTS.items() if (told := entries.problem(one))} == {}
    assert [name for name, one in FAULTS.items() if not one.why] == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"old": "no such text"}, "shared/modelwave_shared/slots.py has the old text 0 times"),
        ({"old": "slots"}, "times: update the entry"),
        ({"new": "return any("}, "never closed"),
        ({"new": f"{UNSEEN.old}  # a word"}, "the program is the same with it"),
        ({"new": f"pass\n    {UNSEEN.new}"}, "it changes more than one line"),
        ({"test": "tests/core/test_slots.py::test_none"}, "there is no tests/core/test_slots.py"),
    ],
)
def test_entry_that_is_out_of_date_or_no_fault_is_told(changes: dict[str, str], told: str) -> None:
    assert told in entries.problem(UNSEEN._replace(**changes))


@pytest.mark.slow
@pytest.mark.parametrize("name", CHEAP)
def test_fault_is_caught_and_taken_out_again(name: str, tree: Tree) -> None:
    fault = FAULTS[name]
    path = tree.top / fault.file
    before = path.read_text(), path.stat().st_mtime_ns
    assert Runner().judge(tree, fault).test.partition("[")[0] == fault.test
    assert (path.read_text(), path.stat().st_mtime_ns) == before


@pytest.mark.slow
def test_fault_that_its_test_does_not_see_is_told(tree: Tree) -> None:
    result = Runner().judge(tree, UNSEEN)
    assert (result.test, "1 passed" in result.said) == ("", True)
    assert command.last_line([result], wrong=0) == "faults: 0 of 1 caught, 1 bad"


def test_fault_that_its_test_does_not_see_is_judged_by_all_tests_if_asked(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def run(
        _runner: Runner, _environment: object, _tree: Tree, arguments: list[str]
    ) -> tuple[int, list[tuple[str, str]], str]:
        asked.append(arguments)
        return (0, [], "") if len(asked) == 1 else (1, [("failed", "tests/x.py::test_y")], "")

    monkeypatch.setattr(Runner, "_run", run)
    assert Runner().judge(tree, UNSEEN, all_tests=True).test == "tests/x.py::test_y"
    assert asked == [["-x", UNSEEN.test], ["-x"]]


@pytest.mark.slow
def test_test_that_is_skipped_or_fails_without_a_fault_is_told(tree: Tree) -> None:
    file = tree.top / "tests" / "test_made_here.py"
    file.write_text(
        "import pytest\n"
        "def test_skips(): pytest.skip('no')\n"
        "def test_fails(): assert False\n"
        "@pytest.mark.parametrize('n', (1, 2))\n"
        "def test_passes(n): pass\n"
    )
    names = ("skips", "fails", "passes")
    found = Runner().not_green(tree, [f"tests/test_made_here.py::test_{name}" for name in names])
    file.unlink()
    assert [one.rpartition("_")[2] for one in found] == ["fails", "skips"]


@pytest.mark.slow
def test_after_a_stop_nothing_is_run(tree: Tree) -> None:
    runner = Runner()
    runner.stop()
    assert runner.judge(tree, UNSEEN).said == "stopped"


def test_wrong_entry_is_told_and_nothing_is_judged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(entries, "read", lambda: [UNSEEN._replace(old="gone")])
    assert command.main([]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "faults: 0 of 0 caught, 1 bad"


def test_ctrl_c_tells_what_was_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_faults: list[Fault], _runner: Runner, results: list[Result], *_: object) -> int:
        results.append(Result(UNSEEN, UNSEEN.test, 1.0))
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run", run)
    assert command.main([]) == INTERRUPTED
    said = capsys.readouterr().out.splitlines()[-1]
    assert said == "faults: 1 of 1 caught, 0 bad; ended by Ctrl-C"


def test_name_of_no_fault_is_refused_before_any_test_is_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["takes-s-above-l", "nosuch"])
    assert ended.value.code == 2
    assert "nosuch: no fault's name begins so; --list prints them" in capsys.readouterr().err


def test_list_has_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(FAULTS)
    assert Path(entries.LISTS).is_dir()
