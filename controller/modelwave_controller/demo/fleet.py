"""The demo's devices: their folders, and which of them run where."""

from dataclasses import dataclass
from pathlib import Path

from modelwave_controller.demo.processes import AGENT, FLEET, Processes
from modelwave_shared.slots import slot

FLEET_NAME = "demo"
HOST, SMALL = "linux-cpu", "nano33ble"
# What the small ones may keep in a bank and in RAM: they stand in for a board of that
# target, on this machine's CPU.
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
    """Three daemons and the rest of the hosts, and two small ones of which one is a daemon."""
    hosts = [Device(f"pi-{n:02}", HOST, daemon=n <= 3) for n in range(1, number - 1)]
    return [*hosts, Device("nano-01", SMALL, daemon=True), Device("nano-02", SMALL, daemon=False)]


@dataclass(frozen=True)
class Parts:
    """Where the fleet finds what it needs."""

    folder: Path
    root: Path
    broker: str
    heldout: Path

    def configure(self, device: Device) -> Path:
        """Writes the device's agent.toml, its own folder for state beside it."""
        place = self.folder / ("daemons" if device.daemon else "library")
        place.mkdir(exist_ok=True)
        limits = (SMALL_FLASH_BYTES, SMALL_RAM_BYTES) if device.target == SMALL else (0, 0)
        path = place / f"{device.name}.toml"
        path.write_text(
            f'device = "{device.name}"\n'
            f'target = "{device.target}"\n'
            'models = ["digits"]\n'
            f'state = "{self.folder / "state" / device.name}"\n'
            f'root = "{self.root}"\n'
            f"metrics_seconds = {METRICS_SECONDS}\n"
            f'[broker]\nurl = "{self.broker}"\n'
            f"[limits]\nflash_bytes = {limits[0]}\nram_bytes = {limits[1]}\n"
        )
        return path

    def start(self, running: Processes, fleet: list[Device]) -> None:
        for device in fleet:
            path = self.configure(device)
            if device.daemon:
                running.start(device.name, [*AGENT, "run", "--config", str(path)])
        pause = str(INFERENCES_PAUSE_SECONDS)
        library = str(self.folder / "library")
        running.start(
            "library",
            [*FLEET, "--configs", library, "--inputs", str(self.heldout), "--every", pause],
        )

    def start_again(self, running: Processes, device: Device) -> None:
        config = self.folder / "daemons" / f"{device.name}.toml"
        running.start(device.name, [*AGENT, "run", "--config", str(config)])
