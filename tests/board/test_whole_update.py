"""A whole update on MicroPython over a real broker: programs/whole_update.py."""

import pytest

from tests.board.updating import SOURCES, Ground, broker

pytestmark = pytest.mark.slow

SOURCE_HEAP = "176k"  # a Pico W has 188; compiling the sources takes more than running them


@pytest.fixture(params=["mosquitto", "embedded"])
def ground(request, tmp_path):
    with broker(tmp_path, request.param) as port, Ground(tmp_path, port) as made:
        yield made


def test_whole_update_from_the_sources(ground):
    found = ground.update(SOURCE_HEAP, SOURCES)
    assert found["end"]["outcome"] == "SUCCEEDED", found
    assert found["end"]["release"] == 1


def test_unhealthy_model_is_rolled_back(ground):
    found = ground.update(SOURCE_HEAP, SOURCES, healthy=False)
    assert found["end"]["outcome"] == "ROLLED_BACK", found
    assert found["end"]["release"] == 0
