"""What the simulated devices of one process, or of several, have seen so far. Pure."""

from dataclasses import asdict, dataclass, field
from typing import Any

COUNTS = (
    "connected",
    "most_connected",
    "lost",
    "refused",
    "reports",
    "windows",
    "received",
    "succeeded",
    "rolled_back",
    "gateways_down",
)


@dataclass
class Wave:
    """The devices that an order has reached. Times are in Unix seconds."""

    devices: int
    first: float
    last: float


@dataclass
class Tally:
    """`connected`: devices that are connected, subscribed and have reported; `most_connected`: at
    any time, in each process. `lost`: connections that ended. `refused`: orders that the devices
    did not take as signed. `reports`, `windows`, `received`: messages. `succeeded`, `rolled_back`:
    updates. `gateways_down`: how often one went down. `waves`: by model, epoch and number of the
    order, with / between. `problem`: the newest failure to connect."""

    connected: int = 0
    most_connected: int = 0
    lost: int = 0
    refused: int = 0
    reports: int = 0
    windows: int = 0
    received: int = 0
    succeeded: int = 0
    rolled_back: int = 0
    gateways_down: int = 0
    waves: dict[str, Wave] = field(default_factory=dict)
    problem: str = ""

    def reach(self, wave: str, at: float) -> None:
        """Counts a device that an order of the wave has reached."""
        known = self.waves.setdefault(wave, Wave(0, at, at))
        known.devices += 1
        known.last = at

    def add(self, other: "Tally") -> None:
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name, wave in other.waves.items():
            known = self.waves.setdefault(name, Wave(0, wave.first, wave.last))
            known.devices += wave.devices
            known.first = min(known.first, wave.first)
            known.last = max(known.last, wave.last)
        self.problem = other.problem or self.problem


def written(tally: Tally) -> dict[str, Any]:
    return asdict(tally)


def read(document: dict[str, Any]) -> Tally:
    """Reads what `written` returned."""
    waves = {name: Wave(**wave) for name, wave in document["waves"].items()}
    return Tally(**(document | {"waves": waves}))
