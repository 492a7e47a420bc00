"""Tries what the broker lets a device do, with the device's own user. It sends empty messages,
which nobody counts."""

import secrets
from typing import NamedTuple

from modelwave_controller.service.broker_address import ServiceBroker
from modelwave_controller.service.broker_probe import Probe
from modelwave_shared import topics
from modelwave_shared.limits import MAX_EPOCH
from modelwave_shared.topics import under

MODEL = "check"


class Finding(NamedTuple):
    """What was tried, whether the broker does it, what was seen, and what mends it."""

    what: str
    holds: bool
    seen: str
    mend: str = ""


class Device(NamedTuple):
    """A device that does not run: the broker would end its connection."""

    name: str
    target: str
    broker: ServiceBroker


def tried(device: Device, controller: ServiceBroker, place: tuple[str, int], fleet: str) -> Finding:
    """Returns whether the device may use its own topics and no others. Raises ProbeError."""
    other = f"check-{secrets.token_hex(6)}"
    own = under(fleet, "controller", other)
    forbidden = [
        topics.reported(fleet, other),
        topics.presence(fleet, other),
        topics.desired_device(fleet, device.name, MODEL),
        topics.desired_all(fleet, device.target, MODEL),
        topics.root(fleet, MAX_EPOCH),
    ]
    hidden = [topics.heartbeat(fleet, other), topics.file_block(fleet, other)]
    allowed = topics.heartbeat(fleet, device.name)
    with Probe(controller, place) as ours:
        with _connected(device) as its:
            its.subscribe([allowed])
            its.subscribe(hidden)
            ours.publish([*hidden, allowed], b"")
            works = its.wait(lambda: any(one.topic == allowed for one in its.heard))
            read = [one.topic for one in its.heard if one.topic in hidden]
        ours.subscribe([*forbidden, own])
        for topic in forbidden:
            with _connected(device) as its:  # which the broker may end for it
                its.publish([topic], b"")
        ours.publish([own], b"after them")
        ours.wait(lambda: any(one.topic == own for one in ours.heard))
        wrote = [one.topic for one in ours.heard if one.topic in forbidden]
    seen = [f"it may write {topic}" for topic in wrote]
    seen += [f"it may read {topic}" for topic in read]
    seen += [] if works else [f"it may not read {allowed}"]
    return Finding(
        f"what device {device.name} may",
        not seen,
        "; ".join(seen) or "use its own topics, and no others",
        "acl_file with the rules that `modelwave device enrol` writes" if seen else "",
    )


def _connected(device: Device) -> Probe:
    return Probe(device.broker, device.broker.places[0], client_id=device.name)
