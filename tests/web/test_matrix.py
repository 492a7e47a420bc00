"""Tests every role against every call: who may and who may not. The table is written by hand."""

from collections.abc import Iterator

import pytest

from modelwave_controller.operations import history
from modelwave_controller.web import openapi
from tests.controller.rollout_world import World, quick
from tests.web.asking import ask
from tests.web.figures import tell
from tests.web.served import served

VIEW = {"viewer", "operator", "approver", "admin"}
OPERATE = {"operator", "admin"}
APPROVE = {"approver", "admin"}
ADMINISTER = {"admin"}

MAY = {
    "GET /api/v1/rollouts": VIEW,
    "POST /api/v1/rollouts": OPERATE,
    "POST /api/v1/dry-runs": VIEW,  # nothing is started
    "POST /api/v1/plans/lint": VIEW,
    "GET /api/v1/deployments": VIEW,
    "GET /api/v1/rollouts/{rollout}": VIEW,
    "GET /api/v1/rollouts/{rollout}/report": VIEW,
    "POST /api/v1/rollouts/{rollout}/pause": OPERATE,
    "POST /api/v1/rollouts/{rollout}/resume": OPERATE,
    "POST /api/v1/rollouts/{rollout}/promote": OPERATE,
    "POST /api/v1/rollouts/{rollout}/approve": APPROVE,
    "POST /api/v1/rollouts/{rollout}/retry": OPERATE,
    "POST /api/v1/rollouts/{rollout}/abort": OPERATE,
    "POST /api/v1/rollouts/{rollout}/revert": OPERATE,
    "GET /api/v1/fleet": VIEW,
    "GET /api/v1/log": VIEW,
    "GET /api/v1/log/stream": VIEW,
    "GET /api/v1/devices": VIEW,
    "GET /api/v1/devices/{device}": VIEW,
    "DELETE /api/v1/devices/{device}": OPERATE,
    "POST /api/v1/tags": OPERATE,
    "GET /api/v1/alerts": VIEW,
    "POST /api/v1/alerts/{alert}/test": OPERATE,
}
WAYS = ("", "/", "?force=true")
NOBODY = ("", "nobody", "admin2")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("matrix"), devices=2)
    world.start(1, quick(50, 100))
    yield world
    world.close()


@pytest.fixture(scope="module")
def url(world: World) -> Iterator[str]:
    with served(world) as url:
        yield url


def test_the_table_has_every_call() -> None:
    number = len(MAY) * (len(VIEW) * len(WAYS) + len(NOBODY))
    tell("roles against paths", number, f"{len(MAY)} calls, each in {len(WAYS)} ways, and nobody's")
    paths = openapi.document()["paths"]
    assert {f"{m.upper()} {path}" for path, found in paths.items() for m in found} == {*MAY}


@pytest.mark.parametrize("call", MAY)
def test_each_role_may_what_the_table_says_and_nothing_else(
    world: World, url: str, call: str
) -> None:
    method, _, path = call.partition(" ")
    # A thing that there is not: who may is told so, and nothing is changed.
    path = path.replace("{rollout}", "77").replace("{device}", "no-such-device")
    path = path.replace("{alert}", "no-such-alert")
    path += "?after=-1" if path.endswith("/stream") else ""
    before = history.newest_id(world.store)
    for role in VIEW:
        for ways in WAYS:
            status = ask(url, method, path + ways, token=role).status
            if role not in MAY[call]:
                assert status == 403 or (ways == "/" and status == 404), (role, ways)
            else:
                assert status in (200, 404, 422), (role, ways)
    for nobody in NOBODY:
        assert ask(url, method, path, token=nobody).status == 401
    assert history.newest_id(world.store) == before
