"""A fleet of two devices with a rollout that begins, and a listener on it: one for each test, or
one that the tests of a module share as they change nothing of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.controller.rollout_world import World, quick
from tests.web.served import served


@contextmanager
def _begun(folder: Path) -> Iterator[World]:
    made = World(folder, devices=2)
    made.start(1, quick(50, 100))
    yield made
    made.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with _begun(tmp_path) as made:
        yield made


@pytest.fixture
def url(world: World) -> Iterator[str]:
    with served(world) as found:
        yield found


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with _begun(tmp_path_factory.mktemp("shared")) as made:
        yield made


@pytest.fixture(scope="module")
def shared_url(shared_world: World) -> Iterator[str]:
    with served(shared_world) as found:
        yield found
