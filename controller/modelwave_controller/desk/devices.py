"""Does the calls about devices."""

from typing import Any

from modelwave_controller.api import devices as calls
from modelwave_controller.desk.desk import Desk
from modelwave_controller.desk.doing import does
from modelwave_controller.errors import OperatorError
from modelwave_controller.operations import acts, device_history, device_list
from modelwave_controller.operations.device_list import DeviceList, Only
from modelwave_controller.operations.health import health
from modelwave_controller.results.device_history import DeviceHistory
from modelwave_controller.results.devices import DevicePage, Forgotten


@does(calls.LIST)
def list_some(desk: Desk, asked: calls.List) -> DevicePage:
    only = Only(**asked.model_dump(exclude={"after", "limit"}))
    proof = desk.home.config.devices.proof
    found = DeviceList(desk.store, desk.clock(), only, proof, asked.after or "", asked.limit)
    devices = list(found)
    return DevicePage(devices, found.more, found.problem)


@does(calls.SHOW)
def show(desk: Desk, asked: calls.One) -> dict[str, Any]:
    now, proof = desk.clock(), desk.home.config.devices.proof
    with desk.store.read() as connection:
        found = device_list.device(connection, asked.device, now, proof)
        return found | {"problem": health(connection, now).problem}


@does(calls.HISTORY)
def show_history(desk: Desk, asked: calls.One) -> DeviceHistory:
    with desk.store.read() as connection:
        return device_history.of(connection, asked.device, desk.clock())


@does(calls.TAG)
def tag(desk: Desk, asked: calls.Tag) -> dict[str, list[str]]:
    if not asked.add and not asked.remove:
        raise OperatorError("device tag: give --add TAG or --remove TAG")
    if both := set(asked.add) & set(asked.remove):
        raise OperatorError(f"--add and --remove: both have {min(both)}")
    now, who = desk.clock(), desk.person.name
    with desk.store.write() as connection:
        return {
            device: acts.tag(connection, device, asked.add, asked.remove, now, who)
            for device in asked.devices
        }


@does(calls.FORGET)
def forget(desk: Desk, asked: calls.One) -> Forgotten:
    fleet, who = desk.home.config.fleet, desk.person.name
    with desk.store.write() as connection:
        kept = acts.forget(connection, fleet, asked.device, desk.clock(), who)
    return Forgotten(asked.device, True, kept)
