"""Tests that the docs agree with the code that they quote."""

import importlib.util
import re
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from modelwave_agent import machine
from modelwave_shared.window_format import latency_bin

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_state_diagram_command_help_and_watch_view_are_drawn_from_the_code(
    generate: ModuleType,
) -> None:
    assert list(generate.stale()) == [], "run `make docs`"


def test_edges_of_latency_bins_on_the_page_are_those_of_the_code() -> None:
    text = (ROOT / "docs/observations.md").read_text()
    rows = re.findall(r"^\| (\d+) \| ([\d.]+)(?: ms)? \| ", text, re.MULTILINE)
    assert [(int(number), latency_bin(float(edge))) for number, edge in rows] == [
        (number, number) for number in (0, 1, 2, 15)
    ]
    assert [latency_bin(2.0 ** (k - 3)) for k in range(3, 15)] == list(range(3, 15))


def test_a_change_of_the_table_makes_the_diagram_stale(
    generate: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(machine.TABLE["idle"], "boot", ("trial", machine.keep, ""))
    assert ROOT / "docs/device.md" in generate.stale()


def test_a_new_status_of_a_decision_makes_the_list_of_them_stale(
    generate: ModuleType, tmp_path: Path
) -> None:
    records = tmp_path / "docs/decisions"
    shutil.copytree(ROOT / "docs/decisions", records)
    generate.ROOT = tmp_path
    assert generate.decisions() in (records / "README.md").read_text()
    record = records / "0001-documents-hold-no-fractions.md"
    record.write_text(record.read_text().replace("- Status: accepted", "- Status: rejected"))
    assert generate.decisions() not in (records / "README.md").read_text()
    record.write_text("# 1. No head\n")
    with pytest.raises(SystemExit, match="0001"):
        generate.decisions()


@pytest.mark.parametrize(
    ("page", "program"), [("README.md", "on_a_host.py"), ("docs/boards.md", "main.py")]
)
def test_inference_program_of_the_page_is_the_one_that_is_tested(page: str, program: str) -> None:
    text = (ROOT / "examples/inference" / program).read_text()
    if text.startswith('"""'):
        text = text.split('"""\n\n', 1)[1]
    assert f"```python\n{text}```\n" in (ROOT / page).read_text()


def test_every_link_of_the_docs_leads_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/both-pythons.md"])
def test_every_file_that_a_recipe_names_is_there(page: str) -> None:
    """`a/b.py` may be short for a longer path; a `*` stands for several."""
    folders = ("agent", "controller", "shared", "tests", "docs")
    paths = [path.as_posix() for folder in folders for path in (ROOT / folder).glob("**/*")]
    text = (ROOT / page).read_text()
    named = re.findall(r"`([\w./-]*/|[\w./-]+\.(?:py|toml|md))`", text)
    assert len(named) > 3
    for name in named:
        here = (ROOT / name).exists()
        assert here or any(path.endswith("/" + name.rstrip("/")) for path in paths), name


def test_every_command_that_a_page_names_is_in_the_list_of_commands() -> None:
    listed = (ROOT / "README.md").read_text().split("<!-- generated: help", 1)[1]
    commands = set(re.findall(r"^modelwave ([a-z-]+(?: [a-z-]+)?)", listed, re.MULTILINE))
    groups = {command.split()[0] for command in commands if " " in command} - commands
    pages = [ROOT / "README.md", *ROOT.glob("docs/*.md")]
    named = [
        (page.name, command, second)
        for page in pages
        for command, second in re.findall(
            r"`modelwave\s+([a-z][a-z-]*)\b(?! …)(?:\s+([a-z][a-z-]*))?", page.read_text()
        )
    ]
    assert len(named) > 50
    for page, first, second in named:
        known = f"{first} {second}" if first in groups else first
        assert known in commands, f"{page}: modelwave {known}"


THREATS = ROOT / "docs/threats.md"


def threat_rows(text: str) -> list[list[str]]:
    """The cells of each row of each table, without the tables' heads."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    rules = [number for number, line in enumerate(lines) if set(line) <= set("|- ")]
    heads = {number - 1 for number in rules}
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for number, line in enumerate(lines)
        if number not in heads and number not in rules
    ]


def names_in(cell: str) -> list[str]:
    return re.findall(r"`((?:tests/|test_)[\w/.:]+)`", cell)


def unknown_tests(names: list[str]) -> list[str]:
    """Those of `names` that are no file of tests, no test, or no test of their file (`a.py::b`)."""
    files = {path.relative_to(ROOT).as_posix(): path for path in ROOT.glob("tests/**/test_*.py")}
    of_file = {
        name: set(re.findall(r"^(?: {4})?(?:async )?def (test_\w+)\(", path.read_text(), re.M))
        for name, path in files.items()
    }
    known = set(of_file) | set().union(*of_file.values())
    known |= {f"{file}::{test}" for file, tests in of_file.items() for test in tests}
    return [name for name in names if name not in known]


def test_every_test_that_the_threat_list_names_is_there() -> None:
    named = names_in(THREATS.read_text())
    assert len(named) > 150
    assert unknown_tests(named) == []


def test_every_row_of_the_threat_list_names_a_test_and_promises_nothing() -> None:
    text = THREATS.read_text()
    rows = threat_rows(text)
    assert len(rows) > 80
    assert [cells[0] for cells in rows if not names_in(cells[-1])] == []
    assert [cells[0] for cells in rows if len(cells) not in (3, 4, 5)] == []
    assert re.findall(r"(?i)comes later|not implemented|not yet|to be done", text) == []


def test_a_test_that_is_not_there_is_found_out() -> None:
    there = "test_every_test_that_the_threat_list_names_is_there"
    assert unknown_tests([there, "tests/test_docs.py", f"tests/test_docs.py::{there}"]) == []
    gone = ["test_that_nobody_wrote", "tests/nowhere.py", f"tests/test_sizes.py::{there}"]
    assert unknown_tests(gone) == gone
