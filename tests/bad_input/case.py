"""A case of bad input for a device."""

from typing import TYPE_CHECKING, NamedTuple

from modelwave_shared import slots, topics
from modelwave_shared.words import REJECTED
from tests.bad_input import fleet

if TYPE_CHECKING:
    from collections.abc import Callable

ORDER = topics.desired_slot("demo", fleet.TARGET, fleet.MODEL, slots.slot("demo", fleet.DEVICE))
ALL = topics.desired_all("demo", fleet.TARGET, fleet.MODEL)
OWN = topics.desired_device("demo", fleet.DEVICE, fleet.MODEL)
ROOT = topics.root("demo", 3)  # the next one
HEARTBEAT = topics.heartbeat("demo", fleet.DEVICE)


class Case(NamedTuple):
    """`make(floor)`: the message, or the messages of which each is as bad; `floor` is the sequence
    of the newest order that the device has taken. `says`: how the reason begins; "": the device
    says nothing. `outcome`: what is said of the order, "" if it is only noted."""

    name: str
    make: "Callable[[int], bytes | list[bytes]]"
    says: str
    outcome: str = ""
    topic: str = ORDER

    def messages(self, floor: int) -> list[bytes]:
        made = self.make(floor)
        return made if isinstance(made, list) else [made]


def rejected(name: str, make: "Callable[[int], bytes | list[bytes]]", says: str) -> Case:
    """An order that is known to be authentic, and is refused for what it says."""
    return Case(name, make, says, REJECTED)


def always(message: "bytes | list[bytes]") -> "Callable[[int], bytes | list[bytes]]":
    return lambda floor: message
