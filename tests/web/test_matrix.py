"""Tests every role against every call: who may and who may not. The table is written by hand."""

import pytest

from modelwave_controller.operations import history
from modelwave_controller.web import openapi
from tests.controller.rollout_world import World
from tests.web.asking import ask
from tests.web.figures import tell

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
    "GET /api/v1/devices/{device}/history": VIEW,
    "DELETE /api/v1/devices/{device}": OPERATE,
    "POST /api/v1/tags": OPERATE,
    "GET /api/v1/releases": VIEW,
    "POST /api/v1/releases": OPERATE,
    "GET /api/v1/releases/{model}/{release}": VIEW,
    "GET /api/v1/releases/{model}/{release}/sbom": VIEW,
    "GET /api/v1/models": VIEW,
    "GET /api/v1/models/{model}": VIEW,
    "GET /api/v1/models/{model}/releases/{release}": VIEW,
    "GET /api/v1/models/{model}/releases/{release}/arenas/{target}": VIEW,
    "POST /api/v1/fits": OPERATE,
    "GET /api/v1/targets": VIEW,
    "GET /api/v1/targets/{target}": VIEW,
    "GET /api/v1/alerts": VIEW,
    "POST /api/v1/alerts/{alert}/test": OPERATE,
    "POST /api/v1/enrolment/approve": ADMINISTER,
    "POST /api/v1/enrolment/revoke": ADMINISTER,
    "GET /api/v1/clock": VIEW,
    "POST /api/v1/clock/accept": ADMINISTER,
    "GET /api/v1/log/verify": VIEW,
    "GET /api/v1/log/prunable": VIEW,
    "POST /api/v1/log/prune": ADMINISTER,
    "GET /api/v1/order-numbers": VIEW,
    "GET /api/v1/order-numbers/{model}": VIEW,
    "POST /api/v1/order-numbers/{model}/recover": ADMINISTER,
    "GET /api/v1/tokens": ADMINISTER,
    "POST /api/v1/tokens": ADMINISTER,
    "POST /api/v1/tokens/{token}/revoke": ADMINISTER,
}


# Fields of paths: of nothing that there is.
NO_SUCH = {
    "rollout": "77",
    "device": "no-such-device",
    "alert": "no-such-alert",
    "model": "no-such-model",
    "release": "7",
    "target": "no-such-target",
    "token": "nobody",
}
WAYS = ("", "/", "?force=true")
NOBODY = ("", "nobody", "admin2")


@pytest.fixture(scope="module")
def url(shared_url: str) -> str:
    return shared_url


def test_the_table_has_every_call() -> None:
    number = len(MAY) * (len(VIEW) * len(WAYS) + len(NOBODY))
    tell("roles against paths", number, f"{len(MAY)} calls, each in {len(WAYS)} ways, and nobody's")
    paths = openapi.document()["paths"]
    assert {f"{m.upper()} {path}" for path, found in paths.items() for m in found} == {*MAY}


@pytest.mark.parametrize("call", MAY)
def test_each_role_may_what_the_table_says_and_nothing_else(
    shared_world: World, url: str, call: str
) -> None:
    method, _, path = call.partition(" ")
    # A thing that there is not: who may is told so, and nothing is changed.
    path = path.format(**NO_SUCH)
    path += "?after=-1" if path.endswith("/stream") else ""
    before = history.newest_id(shared_world.store)
    for role in VIEW:
        for ways in WAYS:
            status = ask(url, method, path + ways, token=role).status
            if role not in MAY[call]:
                assert status == 403 or (ways == "/" and status == 404), (role, ways)
            else:
                assert status in (200, 404, 422), (role, ways)
    for nobody in NOBODY:
        assert ask(url, method, path, token=nobody).status == 401
    assert history.newest_id(shared_world.store) == before
