"""Tests that the import contracts of pyproject.toml catch violations: each draft below is a
forbidden import, also if only for a type, and breaks the contract that it is listed under."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

REPO = Path(__file__).parents[1]
ROOTS = ("shared", "agent", "controller")
# Judges the sources for each line that it reads, each time in a fork: to import the linter takes
# longer than to judge.
LINT = """
import os, sys
from importlinter.cli import lint_imports_command as main
for _ in sys.stdin:
    if not os.fork():
        main([])
    os.wait()
    print("judged", flush=True)
"""

# {contract: "who what he imports"}, in words without `modelwave_`.
DRAFTS = {
    "Imports run one way: controller → shared ← agent": """
        shared.slots            agent.types
        shared.slots            controller.errors
        agent.types             controller.errors
        controller.errors       agent.types
    """,
    "The agent: its core knows neither its host nor its board": """
        agent.host.clock        agent.board.clock
        agent.board.clock       agent.host.clock
        agent.runner            agent.host.clock
        agent.runner            agent.board.clock
        agent.update            agent.runner
        agent.inbox             agent.update
        agent.work              agent.inbox
        agent.checks            agent.work
        agent.driver            agent.checks
        agent.envelopes         agent.driver
        agent.machine           agent.progress
        agent.ports             agent.trial
        agent.banks             agent.ports
        agent.intake            agent.record
        agent.journal           agent.intake
        agent.types             agent.journal
        agent.unlisted          agent.runner
    """,
    "No board imports what needs a host, or git": """
        agent.board.clock       agent.host.clock
        agent.board.clock       shared.checkout
        agent.board.clock       shared.authorities
        agent.board.clock       shared.local_time
        shared.version          shared.checkout
        agent.machine           enum
        shared.rules            dataclasses
    """,
    "The controller's folders stand on floors": """
        controller.operations   controller.cli.view
        controller.service      controller.operations.status
        controller.operations   controller.demo.story
        controller.storage      controller.operations.status
        controller.releases     controller.storage.log
        controller.storage      controller.releases.catalog
        controller.rollout      controller.storage.log
        controller.rollout      controller.home
        controller.rollout      controller.models.targets
        controller.home         controller.models.targets
        controller.tracing      controller.rollout.events
        controller.evidence     controller.storage.windows
        controller.rollout      controller.evidence.findings
        controller.trust        controller.rollout.state
        controller.fit          controller.trust.keys
        controller.judge        controller.rollout.state
        controller.judge        controller.disk
        controller.boards       controller.disk
        controller.errors       controller.disk
        controller.errors       controller.phrases
        controller.unlisted     controller.errors
    """,
    "No circle anywhere, also not of types": """
        shared.rules            shared.schema
        agent.host.clock        agent.host.daemon
        controller.rollout.gates    controller.rollout.decide
    """,
    "What is decided is decided without SQL, files, clock, chance or network": """
        controller.rollout.gates    sqlalchemy
        controller.rollout.plan     pathlib
        controller.rollout.facts    time
        controller.rollout.events   socket
        controller.rollout.state    controller.disk
        controller.fit.planner      os
        agent.machine               time
        agent.checks                asyncio
        agent.types                 os
    """,
    "A release is judged by arithmetic alone; its only chance follows from a seed": """
        controller.judge.looks      time
        controller.judge.devices    numpy
        controller.judge.compare    shared.rules
        controller.judge.compare    controller.errors
    """,
    "What devices measure, or would, is judged without SQL, files, clock or network": """
        controller.evidence.findings    sqlalchemy
        controller.evidence.quantities  time
        controller.evidence             numpy
    """,
    "SQL is in storage, and in the transactions of what stands on it": """
        controller.cli.view         sqlalchemy
        controller.demo.story       sqlalchemy
        controller.releases.figures sqlalchemy
        controller.disk             alembic
        controller.judge.levels     sqlalchemy
        agent.host.log              sqlite3
        shared.slots                sqlite3
    """,
}
ROWS = [
    (contract, *line.split())
    for contract, lines in DRAFTS.items()
    for line in lines.strip().splitlines()
]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the product's sources."""
    folder = tmp_path_factory.mktemp("sources")
    for name in ROOTS:
        shutil.copytree(
            REPO / name, folder / name, ignore=lambda _, names: {"__pycache__"} & set(names)
        )
    shutil.copy(REPO / "pyproject.toml", folder)
    return folder


class Linter:
    """The contracts' judge of the sources in a folder."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", LINT],
            cwd=folder,
            env={"PYTHONPATH": ":".join(str(folder / name) for name in ROOTS), "PYTHONUTF8": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def judged(self) -> dict[str, str]:
        """{contract: KEPT or BROKEN}"""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        lines = list(takewhile(lambda line: line != "judged\n", self.process.stdout))
        ends = [line.strip().rpartition(" ") for line in lines]
        found = {contract: word for contract, _, word in ends if word in ("KEPT", "BROKEN")}
        assert found, "".join(lines)
        return found


@pytest.fixture(scope="module")
def linter(sources: Path) -> Iterator[Linter]:
    made = Linter(sources)
    yield made
    made.process.kill()
    made.process.communicate()


@pytest.fixture
def drafted(sources: Path, who: str, what: str) -> Iterator[None]:
    """The sources, in which module `who` imports `what` for its types."""
    file = _file_of(sources, who)
    before = file.read_text() if file.exists() else None
    name = f"modelwave_{what}" if what.partition(".")[0] in ROOTS else what
    file.write_text(f"{before or ''}\nif TYPE_CHECKING:\n    import {name}\n")
    yield
    file.unlink() if before is None else file.write_text(before)


def _file_of(sources: Path, module: str) -> Path:
    root = module.partition(".")[0]
    path = sources / root / f"modelwave_{module}".replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def test_every_contract_has_its_drafts_and_is_kept_without(linter: Linter) -> None:
    assert linter.judged() == dict.fromkeys(DRAFTS, "KEPT")


@pytest.mark.usefixtures("drafted")
@pytest.mark.parametrize(("contract", "who", "what"), ROWS)
def test_draft_breaks_its_contract(linter: Linter, contract: str) -> None:
    assert linter.judged()[contract] == "BROKEN"
