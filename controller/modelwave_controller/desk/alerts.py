"""Does the calls about alerts."""

from modelwave_controller.api import alerts as calls
from modelwave_controller.api.call import Asked
from modelwave_controller.desk.desk import Desk
from modelwave_controller.desk.doing import does
from modelwave_controller.operations import alerts
from modelwave_controller.results.alerts import AlertState, Tested


@does(calls.LIST)
def list_all(desk: Desk, _asked: Asked) -> list[AlertState]:
    with desk.store.read() as connection:
        return alerts.states(connection, desk.home.config.alerts)


@does(calls.TEST)
def send_test(desk: Desk, asked: calls.One) -> Tested:
    return alerts.send_test(desk.home, asked.alert, desk.clock(), desk.person.name)
