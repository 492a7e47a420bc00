"""One life of a device's agent."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.inject.calls import Point
from tests.inject.lives import Forker, Life
from tests.inject.surroundings import Device
from tests.inject.tracing import Log


@asynccontextmanager
async def running(
    forker: Forker, device: Device, log: Log | None = None, point: Point | None = None
) -> AsyncIterator[Life]:
    """The device's agent, which is disturbed at `point`; `log` is strace's."""
    said = device.folder / "stderr"
    said.write_text("")
    async with forker.life(["run", "--config", str(device.config)], said, log, point) as life:
        yield life


def problems_of(life: Life, point: Point | None = None) -> list[str]:
    """What is wrong with how the agent has ended."""
    return life.end().problems("modelwave-agent", point)
