"""Fixtures for the controller's tests: a database of each kind that this machine has."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_server import needs_postgres, postgres


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
