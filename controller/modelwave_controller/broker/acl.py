"""Who may say and hear what on the embedded broker. Pure: names and topics in, answers out.

A user name is a device id, or the controller's. Under `modelwave/1/<fleet>/`:

| user         | client id             | may publish                   | may subscribe to        |
| ------------ | --------------------- | ----------------------------- | ----------------------- |
| a device     | its user name         | reported/<id>, presence/<id>, | desired/<target>/+/+,   |
|              |                       | metrics/<id>, file/<id>/get   | desired/device/<id>/+,  |
|              |                       |                               | root/+, heartbeat/<id>, |
|              |                       |                               | file/<id>/block         |
| a controller | any but a device's id | #                             | #                       |
| anyone else  | none                  | nothing                       | nothing                 |

There is no rule that allows by its absence. A subscription is allowed only if every topic
that its filter can ever match is allowed; so what reaches a subscriber needs no second look.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from modelwave_shared import fields
from modelwave_shared.errors import DocumentError
from modelwave_shared.topics import under

# A level of a pattern that stands for one target: any word but the wildcards, and not
# `device`, which is where orders for single devices are.
A_TARGET = "<target>"


def is_topic_name(topic: str) -> bool:
    """Whether a client may publish there at all: MQTT 3.1.1, section 4.7, and not under `$`,
    which is the broker's own."""
    return bool(topic) and not topic.startswith("$") and not any(c in topic for c in "+#\0")


def is_device_id(name: str) -> bool:
    try:
        fields.name(name, "device")
    except DocumentError:
        return False
    return True


def covers(pattern: str, asked: str) -> bool:
    """Whether every topic that matches the filter (or is the topic) `asked` matches `pattern`."""
    allowed_levels, asked_levels = pattern.split("/"), asked.split("/")
    for index, allowed in enumerate(allowed_levels):
        if allowed == "#":
            return True
        if index >= len(asked_levels) or not _level_covers(allowed, asked_levels[index]):
            return False
    return len(allowed_levels) == len(asked_levels)


def _level_covers(allowed: str, asked: str) -> bool:
    if asked == "#":
        return False
    if allowed == A_TARGET:
        return asked not in ("+", "device")
    return allowed in ("+", asked)


@dataclass(frozen=True)
class FleetAcl:
    """The table above, for one fleet. `controllers` are the user names with that role."""

    fleet: str
    controllers: frozenset[str] = frozenset({"controller"})

    def may_connect(self, user: str, client_id: str) -> bool:
        """A client id belongs to one user: whoever connects with a device's client id ends
        that device's connection, and has its will published."""
        if user in self.controllers:
            return client_id == user or not is_device_id(client_id)
        return is_device_id(user) and client_id == user

    def may_publish(self, user: str, topic: str) -> bool:
        """Also asked for a last will."""
        return is_topic_name(topic) and any(covers(p, topic) for p in self._writes(user))

    def may_subscribe(self, user: str, topic_filter: str) -> bool:
        return any(covers(p, topic_filter) for p in self._reads(user))

    def _writes(self, user: str) -> Iterator[str]:
        if user in self.controllers:
            yield under(self.fleet, "#")
        elif is_device_id(user):
            yield under(self.fleet, "reported", user)
            yield under(self.fleet, "presence", user)
            yield under(self.fleet, "metrics", user)
            yield under(self.fleet, "file", user, "get")

    def _reads(self, user: str) -> Iterator[str]:
        if user in self.controllers:
            yield under(self.fleet, "#")
        elif is_device_id(user):
            yield under(self.fleet, "desired", A_TARGET, "+", "+")
            yield under(self.fleet, "desired", "device", user, "+")
            yield under(self.fleet, "root", "+")
            yield under(self.fleet, "heartbeat", user)
            yield under(self.fleet, "file", user, "block")
