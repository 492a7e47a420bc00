"""One device that lies, or that is broken, among others: it has one voice."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from observing_fleet import LABELS, NEW, ObservingFleet, judging
from rollout_world import Device, World

GATE = "p95(latency_ms) <= 1.2 * baseline"
VERY_MANY = 2**31 - 1


@pytest.fixture
def thirty(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=30)) as world:
        yield world


class FleetWithALiar(ObservingFleet):
    """The new release is slower. One device says of the old one that it is slow, very often."""

    liar = "d3"

    def document(self, device: Device, release: int, age: int) -> dict[str, Any]:
        slow = 8 + self.numbers[device.name] % 3 + (30 if release == NEW else 0)
        bins = [5, 40, 60 - slow, slow]
        if device.name == self.liar:
            bins = [13, VERY_MANY, VERY_MANY // 20]
        latency = {"bins": bins, "log": 2_000_000}
        return super().document(device, release, age) | {"latency": latency, "inferences": LABELS}


def test_a_device_with_very_many_inferences_does_not_choose_the_edge_of_a_quantile(
    thirty: World,
) -> None:
    fleet = FleetWithALiar(thirty)
    fleet.begin(judging(GATE, stages=(20, 100)))
    assert fleet.run().back is not None
