"""Releases and targets through the API."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from modelwave_controller.api import releases as calls
from modelwave_controller.trust import chain, drafts, keys
from tests.controller.rollout_world import PASSPHRASE, World
from tests.web.asking import ask
from tests.web.served import served


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=2)) as made:
        made.shelve(1)
        made.shelve(2)
        yield made


@pytest.fixture
def url(world: World) -> Iterator[str]:
    with served(world) as made:
        yield made


def publish_minimum(world: World, least: int) -> None:
    """Publishes a root below whose minimum no release of the model counts."""
    document = drafts.next_of(world.home.root_document, int(world.now))
    document |= {"minimum": {"digits": least}}
    signers = [
        keys.load_key(world.home.offline / f"root-{n}.key", lambda: PASSPHRASE) for n in (1, 2)
    ]
    data = drafts.signed(drafts.drafted(document), signers, world.home.root_document).envelope()
    chain.write(world.home.path, world.home.chain.followed_by(data, "a test's root"))


def test_a_list_has_pages(url: str) -> None:
    first = ask(url, "GET", "/api/v1/releases?limit=1", token="viewer").json
    assert [one["manifest"]["release"] for one in first["releases"]] == [1]
    assert first["next"] == "digits/1/linux-cpu"
    second = ask(url, "GET", f"/api/v1/releases?limit=1&cursor={first['next']}").json
    assert [one["manifest"]["release"] for one in second["releases"]] == [2]
    assert second["next"] == ""
    assert ask(url, "GET", "/api/v1/releases?model=letters").json["releases"] == []


@pytest.mark.parametrize("cursor", ["digits", "digits/x/y", "../1/y", "digits/1/y/", "/1/"])
def test_a_cursor_that_is_none_is_refused(url: str, cursor: str) -> None:
    assert ask(url, "GET", f"/api/v1/releases?cursor={cursor}").status == 422


def test_what_there_is_not_is_not_found(url: str) -> None:
    for path in ("releases/digits/9", "releases/letters/1", "releases/letters/1/sbom", "targets/x"):
        assert ask(url, "GET", f"/api/v1/{path}").status == 404, path


def test_a_root_that_was_published_since_the_service_began_counts(world: World, url: str) -> None:
    _ = world.home.chain  # the service has read it
    publish_minimum(world, 2)
    said = {"model": "digits", "release": "1"}
    assert "below 2" in ask(url, "POST", "/api/v1/rollouts", said).json["detail"]
    assert ask(url, "POST", "/api/v1/rollouts", said | {"release": "2"}).status == 200


def test_the_answer_of_a_list_is_what_its_call_says(url: str) -> None:
    answer = ask(url, "GET", "/api/v1/releases").body
    assert calls.LIST.written(calls.LIST.answer.validate_json(answer)) == answer
