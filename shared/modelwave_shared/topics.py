"""The topics, under modelwave/1/<fleet>/ (docs/documents.md tells who writes which)."""

PREFIX = "modelwave/1"


def under(fleet, *parts):
    return "/".join((PREFIX, fleet) + parts)


def desired_slot(fleet, target, model, slot):
    """Retained: the order for one slot of one target, and its manifest, a line each."""
    return under(fleet, "desired", target, model, str(slot))


def desired_device(fleet, device, model):
    """Retained: the same for one device."""
    return under(fleet, "desired", "device", device, model)


def reported(fleet, device):
    """Retained: the device's whole state."""
    return under(fleet, "reported", device)


def presence(fleet, device):
    """Retained, also the last will: online or offline."""
    return under(fleet, "presence", device)


def metrics(fleet, device):
    """A window of observations."""
    return under(fleet, "metrics", device)


def parts(fleet, topic):
    """What stands after modelwave/1/<fleet>/, split; [] for a topic of another fleet."""
    start = under(fleet, "")
    return topic[len(start) :].split("/") if topic.startswith(start) else []
