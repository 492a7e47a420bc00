"""A service that answers operators keeps the home's own access token valid."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from modelwave_controller.operations import recover
from modelwave_controller.people import tokens
from modelwave_controller.people.local_token import NAME
from modelwave_controller.people.roles import Person
from modelwave_controller.web import own_token
from tests.controller.rollout_world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path)) as made:
        yield made


def lets_in(world: World) -> Person:
    text = (world.home.path / NAME).read_text().strip()
    with world.store.read() as connection:
        return tokens.verify(connection, text, world.now)


def during(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    looks: Callable[[asyncio.Queue[str]], Awaitable[None]],
) -> None:
    """Runs `looks` while a service keeps the token; the queue gets it, or "", after each try."""
    real = own_token.local_token

    async def run() -> None:
        loop, tries = asyncio.get_running_loop(), asyncio.Queue[str]()

        def noting(*arguments: Any) -> str:
            text = ""
            try:
                text = real(*arguments)
                return text
            finally:
                loop.call_soon_threadsafe(tries.put_nowait, text)

        monkeypatch.setattr(own_token, "local_token", noting)
        async with own_token.kept(world.home, world.store, lambda: world.now):
            await looks(tries)

    asyncio.run(run())


def test_it_is_there_from_the_start_and_made_anew_before_it_expires(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_token, "LOOK_SECONDS", 0.01)

    async def looks(tries: asyncio.Queue[str]) -> None:
        first = await tries.get()
        assert lets_in(world) == ("local", "admin")
        world.now += 85 * 86400
        while await tries.get() == first:
            pass
        assert lets_in(world) == ("local", "admin")

    during(world, monkeypatch, looks)


def test_it_is_made_anew_when_all_tokens_were_revoked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_token, "LOOK_SECONDS", 0.01)

    async def looks(tries: asyncio.Queue[str]) -> None:
        first = await tries.get()
        assert recover.note_restored(world.store, world.now) == 1
        while await tries.get() == first:
            pass
        assert lets_in(world) == ("local", "admin")

    during(world, monkeypatch, looks)


def test_a_service_goes_on_without_it_and_tries_again(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(own_token, "LOOK_SECONDS", 0.01)
    file = world.home.path / NAME
    file.touch()
    file.chmod(0o644)

    async def looks(tries: asyncio.Queue[str]) -> None:
        assert "others may read it" in caplog.text
        file.unlink()
        while not await tries.get():
            pass
        assert lets_in(world) == ("local", "admin")

    with caplog.at_level(logging.WARNING):
        during(world, monkeypatch, looks)
