"""Tests that a request with a key is done once, however often and whenever it is sent."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select

from modelwave_controller.desk import rollouts as desk
from modelwave_controller.errors import StorageError
from modelwave_controller.operations import history
from modelwave_controller.storage import kept_requests
from modelwave_controller.storage.store import Store
from modelwave_controller.storage.tables import kept_requests as table
from tests.controller.rollout_world import World
from tests.web.asking import Answer, ask

PAUSE, RESUME = "/api/v1/rollouts/1/pause", "/api/v1/rollouts/1/resume"
AGAIN = "idempotent-replayed"


def post(url: str, path: str, key: str, body: Any = None, token: str = "admin") -> Answer:
    return ask(url, "POST", path, {} if body is None else body, token, Idempotency_Key=key)


def test_a_request_that_is_repeated_is_done_once(world: World, url: str) -> None:
    first = post(url, PAUSE, "one")
    events = history.newest_id(world.store)
    assert (first.status, AGAIN in first.headers) == (200, False)
    again = post(url, PAUSE, "one")
    assert (again.status, again.body, again.headers[AGAIN]) == (200, first.body, "true")
    assert history.newest_id(world.store) == events
    assert post(url, PAUSE, "two").status == 422  # nothing to pause: it was done


def test_a_refusal_is_repeated_too(world: World, url: str) -> None:
    refused = post(url, RESUME, "one")
    assert refused.status == 422
    post(url, PAUSE, "two")
    again = post(url, RESUME, "one")
    assert (again.status, again.body, again.headers[AGAIN]) == (422, refused.body, "true")
    assert again.headers["content-type"] == "application/problem+json"


def test_what_was_not_begun_may_be_mended_under_the_same_key(url: str) -> None:
    assert post(url, PAUSE, "one", {"reason": 1}).status == 422
    assert post(url, PAUSE, "one", token="viewer").status == 403
    assert post(url, PAUSE, "one", {"reason": "lunch"}).status == 200


@pytest.mark.parametrize("path", [PAUSE, RESUME])
def test_a_key_of_another_request_is_refused(url: str, path: str) -> None:
    post(url, PAUSE, "one")
    other = post(url, path, "one", {"reason": "lunch"} if path == PAUSE else {})
    assert other.status == 422
    assert "take a new one" in other.json["detail"]


def test_another_person_s_key_is_another_key(url: str) -> None:
    post(url, PAUSE, "one")
    assert AGAIN not in post(url, PAUSE, "one", token="operator").headers


def test_of_two_at_once_one_does_it_and_both_have_its_answer(world: World, url: str) -> None:
    before = history.newest_id(world.store)
    with ThreadPoolExecutor(8) as pool:
        found = [*pool.map(lambda _: post(url, PAUSE, "one"), range(8))]
    assert {(one.status, one.body) for one in found} == {(200, found[0].body)}
    assert sum(AGAIN in one.headers for one in found) == 7
    assert history.newest_id(world.store) == before + 1


def test_a_key_that_another_process_has_taken_meanwhile_is_refused_and_nothing_done(
    world: World, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Store(world.home.database_url)
    key = kept_requests.Key("some-admin", "one", "0" * 64)
    real = desk.rollouts.pause

    def pause(*arguments: Any) -> int:
        with other.write() as connection:
            kept_requests.claim(connection, key, "its run", world.now)
        return real(*arguments)

    monkeypatch.setattr(desk.rollouts, "pause", pause)
    before = history.newest_id(world.store)
    assert post(url, PAUSE, "one").status == 409
    assert history.newest_id(world.store) == before
    other.close()


def test_what_was_done_before_a_kill_is_not_done_again(
    world: World, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise StorageError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(kept_requests, "answer", killed)
        assert post(url, PAUSE, "one").status == 200
    before = history.newest_id(world.store)
    again = post(url, PAUSE, "one")
    assert again.status == 409
    assert "was done before" in again.json["detail"]
    assert history.newest_id(world.store) == before


def test_what_failed_before_anything_was_changed_is_tried_again(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise StorageError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(desk.rollouts, "pause", fails)
        assert post(url, PAUSE, "one").status == 503
    assert post(url, PAUSE, "one").status == 200


def test_keys_are_kept_for_a_day_and_a_bounded_number_of_them(
    world: World, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_requests, "KEPT_OF_ONE", 3)
    for number in range(5):
        post(url, RESUME if number % 2 else PAUSE, f"key {number}".replace(" ", "-"))
        world.now += 1
    assert kept(world) == ["key-2", "key-3", "key-4"]
    world.now += kept_requests.KEPT_SECONDS
    post(url, RESUME, "late")
    assert kept(world) == ["late"]


def kept(world: World) -> list[str]:
    with world.store.read() as connection:
        return [*connection.scalars(select(table.c.key).order_by(table.c.at))]


def test_a_long_answer_is_not_kept_and_its_request_not_done_again(
    world: World, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_requests, "MAX_ANSWER_BYTES", 10)
    assert post(url, PAUSE, "one").status == 200
    assert post(url, PAUSE, "one").status == 409


@pytest.mark.parametrize("key", ["", " ", "x" * 129, "a b", "ü"])
def test_what_is_no_key_is_refused(world: World, url: str, key: str) -> None:
    assert post(url, PAUSE, key.encode().decode("latin-1")).status in (400, 422)
    with world.store.read() as connection:
        assert not connection.scalar(select(func.count()).select_from(table))
