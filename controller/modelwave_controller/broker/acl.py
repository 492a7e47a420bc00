"""The access rules of brokers: who may publish and subscribe to which topics. The embedded broker
asks them; for Mosquitto `device enrol` writes them to a file (enrolment/access.py). Pure: takes
names and topics, returns answers.

A user name is a device id, or the controller's. Under `modelwave/1/<fleet>/`:

| user         | client id             | may publish                   | may subscribe to        |
| ------------ | --------------------- | ----------------------------- | ----------------------- |
| a device     | its user name         | reported/<id>, presence/<id>, | desired/<target>/+/+,   |
|              |                       | metrics/<id>, file/<id>/get   | desired/device/<id>/+,  |
|              |                       |                               | root/+, heartbeat/<id>, |
|              |                       |                               | file/<id>/block,        |
|              |                       |                               | reported/<id>           |
| a gateway    | its user name         | presence/<id>                 | nothing                 |
| a controller | any but a device's id | #                             | #                       |
| anyone else  | none                  | nothing                       | nothing                 |

A device reads its own report to notice that a broker drops it. A device whose target is known reads
the orders of that target alone. A gateway speaks for devices with their own users.

Everything without a rule is denied. A subscription is allowed only if every topic that its
filter can ever match is allowed, so messages need no check on their way to a subscriber.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from modelwave_shared import fields
from modelwave_shared.errors import DocumentError
from modelwave_shared.topics import under

# A level of a pattern that stands for one target: any word except the wildcards and `device`,
# the level of the orders for single devices.
A_TARGET = "<target>"
A_GATEWAY = "<gateway>"  # in place of a target: the user is a gateway


def is_topic_name(topic: str) -> bool:
    """Returns whether this is a topic to publish to (MQTT 3.1.1, section 4.7): no wildcards, and
    not under `$`, which belongs to the broker."""
    return bool(topic) and not topic.startswith("$") and not any(c in topic for c in "+#\0")


def is_device_id(name: str) -> bool:
    try:
        fields.name(name, "device")
    except DocumentError:
        return False
    return True


def covers(pattern: str, asked: str) -> bool:
    """Returns whether `pattern` matches every topic that `asked`, a filter or topic, matches."""
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
    """The rules of the table above, for one fleet. `controllers` are the users with that role;
    `targets` has the targets of devices that are known, A_GATEWAY for gateways."""

    fleet: str
    controllers: frozenset[str] = frozenset({"controller"})
    targets: Mapping[str, str] = field(default_factory=dict)

    def may_connect(self, user: str, client_id: str) -> bool:
        """Returns whether the user may use this client id. Each id belongs to one user, because
        a connection with a device's client id ends that device's own connection."""
        if user in self.controllers:
            return client_id == user or not is_device_id(client_id)
        return is_device_id(user) and client_id == user

    def may_publish(self, user: str, topic: str) -> bool:
        """Returns whether the user may publish to this topic; also checked for a last will."""
        return is_topic_name(topic) and any(covers(p, topic) for p in self.writes(user))

    def may_subscribe(self, user: str, topic_filter: str) -> bool:
        return any(covers(p, topic_filter) for p in self.reads(user))

    def writes(self, user: str) -> Iterator[str]:
        """Yields the patterns of topics that the user may publish to."""
        if user in self.controllers:
            yield under(self.fleet, "#")
        elif is_device_id(user):
            yield under(self.fleet, "presence", user)
            if self.targets.get(user) == A_GATEWAY:
                return
            yield under(self.fleet, "reported", user)
            yield under(self.fleet, "metrics", user)
            yield under(self.fleet, "file", user, "get")

    def reads(self, user: str) -> Iterator[str]:
        """Yields the patterns of topics that the user may subscribe to; A_TARGET is in one of them
        if the device's target is not known."""
        if user in self.controllers:
            yield under(self.fleet, "#")
        elif is_device_id(user) and self.targets.get(user) != A_GATEWAY:
            yield under(self.fleet, "desired", self.targets.get(user, A_TARGET), "+", "+")
            yield under(self.fleet, "desired", "device", user, "+")
            yield under(self.fleet, "root", "+")
            yield under(self.fleet, "heartbeat", user)
            yield under(self.fleet, "file", user, "block")
            yield under(self.fleet, "reported", user)
