"""The demo's devices, their folders and their processes."""

from dataclasses import dataclass
from itertools import count
from pathlib import Path

from modelwave_controller.demo.processes import AGENT, FLEET, Processes
from modelwave_controller.rollout.draw import drawn
from modelwave_shared.slots import slot

FLEET_NAME = "demo"
HOST, SMALL = "linux-cpu", "nano33ble"
# The limits of a bank and of RAM for the small devices, which simulate boards of that target
# on this machine's CPU.
SMALL_FLASH_BYTES = 32 * 1024
SMALL_RAM_BYTES = 64 * 1024
LEAST_DEVICES = 24
METRICS_SECONDS = 1
INFERENCES_PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class Device:
    name: str
    target: str
    daemon: bool  # a process of its own; the others share one, through the library

    @property
    def slot(self) -> int:
        return slot(FLEET_NAME, self.name)


def devices(number: int) -> list[Device]:
    """Returns the devices: hosts, the first three of them daemons, and two small ones, one of
    them a daemon."""
    hosts = [Device(f"pi-{n:02}", HOST, daemon=n <= 3) for n in range(1, number - 1)]
    return [*hosts, Device("nano-01", SMALL, daemon=True), Device("nano-02", SMALL, daemon=False)]


def seed_that_ends_with(last: Device, fleet: list[Device]) -> int:
    """Returns the first seed of a rollout that opens the slot of `last` after those of all other
    devices."""

    def ends(seed: int) -> bool:
        places = {slot: place for place, slot in enumerate(drawn(seed))}
        return max(places[device.slot] for device in fleet) == places[last.slot]

    return next(seed for seed in count() if ends(seed))


@dataclass(frozen=True)
class Parts:
    """The folder, root document, broker, file host and held-out data that the fleet uses."""

    folder: Path
    root: Path
    broker: str
    files: str
    heldout: Path

    def configure(self, device: Device) -> None:
        """Writes the device's agent.toml; its state has a folder of its own."""
        limits = (SMALL_FLASH_BYTES, SMALL_RAM_BYTES) if device.target == SMALL else (0, 0)
        path = self.config(device)
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            f'device = "{device.name}"\n'
            f'target = "{device.target}"\n'
            'models = ["digits"]\n'
            f'state = "{self.folder / "state" / device.name}"\n'
            f'root = "{self.root}"\n'
            f"metrics_seconds = {METRICS_SECONDS}\n"
            f'[broker]\nurl = "{self.broker}"\n'
            f'[download]\nhosts = ["{self.files}"]\n'
            f"[limits]\nflash_bytes = {limits[0]}\nram_bytes = {limits[1]}\n"
        )

    def start(self, running: Processes, fleet: list[Device]) -> None:
        for device in fleet:
            self.configure(device)
            if device.daemon:
                self.start_daemon(running, device)
        pause = str(INFERENCES_PAUSE_SECONDS)
        library = str(self.folder / "library")
        running.start(
            "library",
            [*FLEET, "--configs", library, "--inputs", str(self.heldout), "--every", pause],
        )

    def start_daemon(self, running: Processes, device: Device) -> None:
        running.start(device.name, [*AGENT, "run", "--config", str(self.config(device))])

    def config(self, device: Device) -> Path:
        return self.folder / ("daemons" if device.daemon else "library") / f"{device.name}.toml"
