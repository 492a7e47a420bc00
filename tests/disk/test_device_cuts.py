"""Cuts the power of a device at every moment, on a disk that forgets what was not synced."""

import os
from collections.abc import Iterator

import pytest

from tests.disk import scenes
from tests.disk.device import Facts
from tests.disk.mounted import patched
from tests.disk.scenes import SCENES, Scene
from tests.disk.sweep import Count

LONG = os.environ.get("MODELWAVE_LONG") == "1"
# Of every so many first cuts the second ones are made, and every so many moments it is killed.
EVERYDAY = {"first": (0, 20), "update": (16, 8), "root walk": (0, 20)}


@pytest.fixture(autouse=True)
def on_memory() -> Iterator[None]:
    with patched():
        yield


def swept(scene: Scene, pairs: int = 0, kills: int = 0) -> Count:
    count = Count()
    scenes.sweep(scene, count, LONG).run(scene.start(), Facts(), pairs, kills)
    print(f"{scene.name}: {count.line()}")
    return count


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
def test_power_cut_at_every_moment_leaves_a_whole_model_and_a_true_report(name: str) -> None:
    count = swept(SCENES[name], *((1, 1) if LONG else EVERYDAY.get(name, (0, 0))))
    assert count.faults == {}
    assert count.single


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES if LONG else ["first", "update", "failed health"])
def test_error_of_the_disk_that_passes_or_stays_leaves_the_same(name: str) -> None:
    count = Count()
    scene = SCENES[name]
    scenes.sweep(scene, count).meet(scene.start(), Facts(), step=1 if LONG else 9)
    print(f"{name}: {count.line()}")
    assert count.faults == {}
    assert count.errors
