"""Fixtures for the controller's tests: a database of each kind that this machine has, and the
command line."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from postgres_server import needs_postgres, postgres
from rollout_commands import Run, commands
from rollout_world import World
from two_services import Services

from modelwave_controller.releases import measuring


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=needs_postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database's URL. On PostgreSQL it is one for all tests of a module."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.fixture
def run(world: World, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line on the home of the module's fixture `world`."""
    return commands(world, capsys)


@pytest.fixture(scope="module")
def forks() -> Iterator[Services]:
    with closing(Services()) as made:
        yield made


@pytest.fixture
def services(forks: Services) -> Iterator[Services]:
    yield forks
    forks.end_all()


@pytest.fixture(autouse=True)
def _unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """No release is run to measure its memory, which takes a second; as if no runtime were
    installed. test_measuring.py has the tests of it."""
    monkeypatch.setattr(measuring, "measure", lambda *_: None)
