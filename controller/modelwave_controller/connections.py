"""Bounds the connections of a server: all of them, those of an address, and those that wait.

A connection waits until it has said what it wants, a login or a request, and again between two
requests. Where there is no room, the oldest that waits makes place for a new one: who says
something comes through, however many hold half a sentence back. If none waits, the new one is
refused.

Pure: the server tells what happens, and `end` of a connection is called to end it.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple


def is_loopback(host: str) -> bool:
    """Returns whether the name or address is of this machine itself."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Bounds(NamedTuple):
    """How many connections there may be."""

    all: int
    by_address: int
    waiting_by_address: int


class Place:
    """The place of one connection."""

    def __init__(self, group: str, end: Callable[[], None]) -> None:
        self.group = group
        self.end = end


class _Group:
    """The places of an address: those that wait, the oldest first, and the others."""

    def __init__(self) -> None:
        self.waiting: OrderedDict[Place, None] = OrderedDict()
        self.served: set[Place] = set()

    def __len__(self) -> int:
        return len(self.waiting) + len(self.served)


class Connections:
    """The connections of one server; a new one waits."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._groups: dict[str, _Group] = {}
        self._waiting: OrderedDict[Place, None] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def enter(self, address: str, end: Callable[[], None]) -> Place | None:
        """Returns the place of a new connection, or None if there is no room for it."""
        name = group_of(address)
        group = self._groups.get(name, _Group())
        crowded = (
            len(group) >= self._bounds.by_address
            or len(group.waiting) >= self._bounds.waiting_by_address
        )
        if crowded and not self._made_room(group.waiting):
            return None
        if self._count >= self._bounds.all and not self._made_room(self._waiting):
            return None
        place = Place(name, end)
        self._groups.setdefault(name, group).waiting[place] = None
        self._waiting[place] = None
        self._count += 1
        return place

    def serve(self, place: Place) -> None:
        """It has said what it wants, and does not make place for others from now on."""
        group = self._groups.get(place.group)
        if group is not None and place in group.waiting:
            del group.waiting[place], self._waiting[place]
            group.served.add(place)

    def wait(self, place: Place) -> None:
        """It waits again."""
        group = self._groups.get(place.group)
        if group is not None and place in group.served:
            group.served.remove(place)
            group.waiting[place] = self._waiting[place] = None

    def leave(self, place: Place) -> None:
        """It ended; may be called again."""
        group = self._groups.get(place.group)
        if group is None or not (place in group.waiting or place in group.served):
            return
        group.waiting.pop(place, None)
        self._waiting.pop(place, None)
        group.served.discard(place)
        self._count -= 1
        if not group:
            del self._groups[place.group]

    def _made_room(self, waiting: OrderedDict[Place, None]) -> bool:
        if not waiting:
            return False
        oldest = next(iter(waiting))
        self.leave(oldest)
        oldest.end()
        return True


def group_of(address: str) -> str:
    """Returns what stands for one user of addresses: an IPv4 address, or the first half of an IPv6
    one, as each network has all addresses below its own."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.IPv6Network((found, 64), strict=False))
    return str(found)
