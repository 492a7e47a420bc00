"""What the docs take from the code is what the code says."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from modelwave_agent import machine

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


def test_a_change_of_the_table_makes_the_diagram_stale(
    generate: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(machine.TABLE["idle"], "boot", ("trial", machine.keep, ""))
    assert ROOT / "docs/device.md" in generate.stale()


def test_every_link_of_the_docs_leads_somewhere() -> None:
    for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_test_that_the_threat_list_names_is_there() -> None:
    tests = {path.relative_to(ROOT).as_posix(): path for path in ROOT.glob("tests/**/test_*.py")}
    named = re.findall(r"`((?:tests/|test_)[\w/.]+)`", (ROOT / "docs/threats.md").read_text())
    everything = "\n".join(path.read_text() for path in tests.values())
    for name in named:
        assert name in tests or f"def {name}(" in everything, name
