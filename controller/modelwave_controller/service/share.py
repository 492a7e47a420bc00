"""Says which devices are in a share: the ones whose id has this remainder by CRC-32.

A filter of MQTT cannot take part of a level, so each ingest process subscribes to all devices and
drops what is of the others, by the topic alone. All messages of a device reach one process, in
their order. ($share subscriptions would break that order, and brokers send no retained messages
over them.)
"""

import hashlib
import zlib
from typing import NamedTuple

from modelwave_controller.errors import OperatorError
from modelwave_controller.home import Home
from modelwave_controller.storage import shares
from modelwave_controller.storage.lease import Seat
from modelwave_controller.storage.store import file_of


class Share(NamedTuple):
    """The share `number`, from 1 on, of `shares`."""

    number: int
    shares: int

    def has(self, device: str) -> bool:
        return zlib.crc32(device.encode()) % self.shares == self.number - 1

    def wants(self, topic: str) -> bool:
        """Returns whether a message on this topic of a device is for the share; the device's id is
        the last level."""
        return self.has(topic[topic.rfind("/") + 1 :])

    @property
    def seat(self) -> Seat:
        return shares.seat(self.number, self.shares)

    def session(self, fleet: str) -> str:
        """Returns the client id under which the broker keeps what comes while nobody receives the
        share. No device id has capitals, and brokers take 23 characters."""
        name = f"{fleet} share {self.number}"
        return f"CONTROLLER-{hashlib.sha256(name.encode()).hexdigest()[:12]}"

    def __str__(self) -> str:
        return f"share {self.number} of {self.shares}"


def shares_of(home: Home) -> int:
    """Returns into how many shares the settings divide the devices; 0: they do not. Raises
    OperatorError if the database cannot be written by several processes at once."""
    number = home.config.ingest.processes
    if number and file_of(home.database_url) is not None:
        raise OperatorError(
            f"ingest.processes in controller.toml is {number}, which needs PostgreSQL: set "
            "database.url, or ingest.processes = 0"
        )
    return number
