"""The home folder that commit b56a209 left during a rollout (data/home_of_b56a209)."""

import shutil
from pathlib import Path

from rollout_world import Device, World
from sqlalchemy import select

from modelwave_controller.storage.tables import devices

ARCHIVE = Path(__file__).parents[1] / "data" / "home_of_b56a209" / "home.tar.gz"
MADE_AT = 1_800_001_010  # what its clock said in the end


def unpacked(folder: Path) -> Path:
    shutil.unpack_archive(ARCHIVE, folder)  # not extractall(filter=…): Debian 12 lacks it
    return folder / "home"


def world(folder: Path, broker_port: int = 1) -> World:
    """Its fleet, opened by the present program; every device has restarted."""
    (folder / "old").mkdir()
    made = World(folder, made=unpacked(folder / "old"), broker_port=broker_port)
    made.now = MADE_AT + 1
    with made.store.read() as connection:
        for name in connection.scalars(select(devices.c.device)):
            made.devices[name] = Device(name)
            made.devices[name].boot = 2
    return made
