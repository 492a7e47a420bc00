"""A simulated gateway: it has presence at the broker, and its devices are connected only while it
is up."""

import asyncio
from typing import NamedTuple

from modelwave_shared import topics


class Turns(NamedTuple):
    """A gateway goes down after so long, and stays so long, each in the mean; 0: it stays up."""

    up_seconds: float = 0
    down_seconds: float = 0


class SimulatedGateway:
    def __init__(self, fleet: str, name: str) -> None:
        self.name = name
        self.presence = topics.presence(fleet, name)
        self.is_up = asyncio.Event()

    @property
    def retained(self) -> tuple[str, ...]:
        """The topics that the broker retains of it."""
        return (self.presence,)
