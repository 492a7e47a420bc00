"""Says in words what is known of gateways, and of the devices that are reached through one.

`gateway` is None, or as in an entry of device_entries.py.
"""

from collections.abc import Sequence
from typing import Any

from modelwave_controller.phrases import listed, moment, plural
from modelwave_controller.results.fleet import Gateway


def is_down(gateway: dict[str, Any] | None) -> bool:
    return gateway is not None and gateway["online"] is False


def its(name: str, since: float, utc: bool = False) -> str:
    """Says of a device why nothing comes from it; `since` as in Gateway."""
    return f"its gateway {name} is offline since {moment(since, utc)}"


def itself(since: float, devices: int) -> str:
    """Says of a gateway that it is down."""
    return f"offline since {moment(since)}: {plural(devices, 'device')} {_is(devices)} behind it"


def one_down(name: str, since: float, devices: int) -> str:
    return f"gateway {name} is {itself(since, devices)}"


def why(device: dict[str, Any]) -> str:
    """Returns why a device is offline or silent, if that is because of its gateway; else ""."""
    is_heard = device["online"] and device["silent_since"] is None
    if is_heard or not device.get("via") or not is_down(device["gateway"]):
        return ""
    return its(device["via"], device["gateway"]["since"])


def of_its_board(device: dict[str, Any]) -> str:
    """Returns what a gateway says of a board that has no agent: the agent's words for that are in
    carried/keeper.py. "" if that is nothing, or if the device refused a message."""
    told = str(device.get("refused") or "")
    return told if device.get("via") and told.startswith(("the board: ", "the board runs ")) else ""


def of(device: dict[str, Any]) -> str:
    """Returns the gateway of a device, and how that is; "" if it has none."""
    name: str = device.get("via", "")
    if not name or not device["gateway"]:
        return name
    return f"{name}, {_state(device['gateway']['online'], device['gateway']['since'])}"


def _state(online: bool | None, since: float) -> str:
    if not since:
        return "from which nothing came itself"
    if online is None:
        return "of which is not known whether it is online"
    return f"{'online' if online else 'offline'} since {moment(since)}"


def troubles(gateways: Sequence[Gateway]) -> list[tuple[str, str]]:
    """Returns a word and what is wrong with each gateway that is down, and with those from which
    nothing came."""
    found = [
        ("gateway", f"{one.gateway} is {itself(one.since, one.devices)}")
        for one in gateways
        if one.online is False
    ]
    unheard = [one for one in gateways if not one.since and one.devices]
    if unheard:
        number = sum(one.devices for one in unheard)
        names = listed([one.gateway for one in unheard])
        told = f"{plural(number, 'device')} {'names' if number == 1 else 'name'} {names}"
        found.append(("gateway", f"{told}, from which nothing came itself"))
    return found


def _is(number: int) -> str:
    return "is" if number == 1 else "are"
