"""The MQTT topics, under modelwave/1/<fleet>/ (docs/documents.md says who writes which)."""

PREFIX = "modelwave/1"


def under(fleet: str, *parts: str) -> str:
    return "/".join((PREFIX, fleet) + parts)


def desired_slot(fleet: str, target: str, model: str, slot: int) -> str:
    """Retained: two lines, the order for one slot of one target and its manifest."""
    return under(fleet, "desired", target, model, str(slot))


def desired_all(fleet: str, target: str, model: str) -> str:
    """Retained: two lines, the order for all slots of one target and its manifest."""
    return under(fleet, "desired", target, model, "all")


def desired_device(fleet: str, device: str, model: str) -> str:
    """Retained: two lines, the order for one device and its manifest."""
    return under(fleet, "desired", "device", device, model)


def root(fleet: str, version: int) -> str:
    """Retained: the root of trust with this version in the chain."""
    return under(fleet, "root", str(version))


def reported(fleet: str, device: str) -> str:
    """Retained: the device's report."""
    return under(fleet, "reported", device)


def presence(fleet: str, device: str) -> str:
    """Retained: "online" or "offline"; also the topic of the last will."""
    return under(fleet, "presence", device)


def metrics(fleet: str, device: str) -> str:
    """The device's windows of observations."""
    return under(fleet, "metrics", device)


def heartbeat(fleet: str, device: str) -> str:
    """The controller's answer to the nonce in the device's report."""
    return under(fleet, "heartbeat", device)


def file_get(fleet: str, device: str) -> str:
    """The device's requests for file blocks (blocks.py)."""
    return under(fleet, "file", device, "get")


def file_block(fleet: str, device: str) -> str:
    """The requested file blocks."""
    return under(fleet, "file", device, "block")


def parts(fleet: str, topic: str) -> list[str]:
    """Returns the levels after modelwave/1/<fleet>/; [] for a topic of another fleet."""
    start = under(fleet, "")
    return topic[len(start) :].split("/") if topic.startswith(start) else []
