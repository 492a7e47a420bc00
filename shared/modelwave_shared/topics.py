"""The topics, under modelwave/1/<fleet>/ (docs/documents.md tells who writes which)."""

PREFIX = "modelwave/1"


def under(fleet: str, *parts: str) -> str:
    return "/".join((PREFIX, fleet) + parts)


def desired_slot(fleet: str, target: str, model: str, slot: int) -> str:
    """Retained: the order for one slot of one target, and its manifest, a line each."""
    return under(fleet, "desired", target, model, str(slot))


def desired_device(fleet: str, device: str, model: str) -> str:
    """Retained: the same for one device."""
    return under(fleet, "desired", "device", device, model)


def reported(fleet: str, device: str) -> str:
    """Retained: the device's whole state."""
    return under(fleet, "reported", device)


def presence(fleet: str, device: str) -> str:
    """Retained, also the last will: online or offline."""
    return under(fleet, "presence", device)


def metrics(fleet: str, device: str) -> str:
    """A window of observations."""
    return under(fleet, "metrics", device)


def file_get(fleet: str, device: str) -> str:
    """A piece of a file is asked for (blocks.py)."""
    return under(fleet, "file", device, "get")


def file_block(fleet: str, device: str) -> str:
    """The pieces that were asked for."""
    return under(fleet, "file", device, "block")


def parts(fleet: str, topic: str) -> list[str]:
    """What stands after modelwave/1/<fleet>/, split; [] for a topic of another fleet."""
    start = under(fleet, "")
    return topic[len(start) :].split("/") if topic.startswith(start) else []
