"""Tests the mutation run: mutants are made, and noticed or not as their tests are."""

from pathlib import Path

import pytest

from tests.mutation import covering, mutants, running, survivors
from tests.mutation.mutants import Mutant

MODULE = """\
def least(a, b):
    if a <= b:
        return a
    return b


def double(a):
    return a + a
"""
TESTS = """\
from module import double, least

def test_least():
    assert least(1, 2) == 1
    assert least(2, 1) == 1

def test_double():
    assert double(2) == 4
"""
MADE = {
    ("if a <= b:", "if a < b:"): False,  # nobody can tell: both are the same where they are equal
    ("if a <= b:", "if a > b:"): True,
    ("if a <= b:", "if not a <= b:"): True,
    ("return a + a", "return a - a"): True,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of one module and its tests."""
    (tmp_path / "module.py").write_text(MODULE)
    (tmp_path / "test_module.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    for module in (mutants, running, covering):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.slow
def test_mutants_are_noticed_by_the_tests_of_their_line_where_these_can(folder: Path) -> None:
    known = covering.covering(["module.py"], ["test_module.py"])
    made = list(mutants.mutants("module.py"))
    chosen = {mutant.before: known.of(mutant) for mutant in made}
    assert chosen["return a + a"] == ["test_module.py::test_double"]
    assert chosen["if a <= b:"] == ["test_module.py::test_least"]
    found = running.tested(made, known.of, known.seconds, 2)
    assert {(mutant.before, mutant.after): noticed for mutant, noticed in found} == MADE


def test_quick_tests_are_shown_a_mutant_first_and_no_test_twice() -> None:
    known = covering.Covering(
        {"m.py": {"2": ["slow", "quick"]}}, {"quick": 1, "other": 2, "slow": 3}
    )
    inside, at_import = (Mutant("m.py", line, "", "", "") for line in (2, 1))
    assert known.of(inside) == ["quick", "slow"]
    assert known.others(inside) == ["other"]
    assert known.of(at_import) == ["quick", "other", "slow"]
    assert known.others(at_import) == []
    assert known.seconds(known.of(inside)) == 4


@pytest.mark.slow
def test_tests_that_fail_without_a_mutant_are_said(folder: Path) -> None:
    (folder / "test_module.py").write_text("def test():\n    assert False\n")
    with pytest.raises(ValueError, match="fails without a mutant: pytest test_module"):
        covering.covering(["module.py"], ["test_module.py"])


@pytest.mark.slow
def test_mutant_that_hangs_is_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "LEAST_SECONDS", 0.1)
    endless = Mutant("module.py", 1, "", "", f"while True: pass\n{MODULE}")
    chosen = running.tested([endless], lambda _: ["test_module.py"], lambda _: 0, 1)
    assert list(chosen) == [(endless, True)]


def test_every_survivor_that_is_explained_stands_in_its_file() -> None:
    found = survivors.explained()
    assert not survivors.gone(found)
    assert all(one.why for one in found)
