"""The simulated devices: the agent's core on simulated ports (tests/heal/devices.py), on a real
broker, and a program that counts inferences, each right as often as the release that serves."""

import asyncio

import numpy as np

from tests.day.link import SocketLink
from tests.heal import devices
from tests.heal.fleet import MODEL

WINDOW_SECONDS = 60
PARTS = 2  # in which the inferences of a window are counted
LABELS = 100  # of a window
SPREAD = 0.02  # the standard deviation of devices: how much easier the inputs of one are


class DayDevice(devices.Device):
    metrics_seconds = WINDOW_SECONDS

    def __init__(self, world, name, folder, has_clock):
        super().__init__(world, name, folder, has_clock)
        self.joined, self.has_old_agent = 0.0, False
        self.skill = world.random.gauss(0, SPREAD)

    def link(self, reachable):
        return SocketLink(self.world.port, self.name, reachable)

    @property
    def serving(self):
        """The release that serves, or None."""
        live = self.life and not self.life.task.done() and self.life.update.live()
        return self.world.fleet.by_number[live.release] if live else None


async def count(world, seed):
    """Counts inferences of all devices, for ever."""
    chance = np.random.default_rng(seed)
    while True:
        await asyncio.sleep(WINDOW_SECONDS / PARTS)
        labels = LABELS // PARTS
        for device in world.devices:
            release = device.serving
            if release:
                share = min(max(release.accuracy + device.skill, 0.0), 1.0)
                counts = [labels, 0, labels, int(chance.binomial(labels, share))]
                device.life.agent.count(MODEL, counts, release.number, "", None, None)
