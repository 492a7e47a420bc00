"""Does the calls about the fleet as a whole, and its log."""

from modelwave_controller.api import fleet as calls
from modelwave_controller.api.call import Asked
from modelwave_controller.api.rollouts import none_if_newest
from modelwave_controller.desk.desk import Desk
from modelwave_controller.desk.doing import does
from modelwave_controller.operations import deployments, history, overview, trusted
from modelwave_controller.results.deployments import DeploymentsPage
from modelwave_controller.results.fleet import Fleet
from modelwave_controller.results.log import LogPage
from modelwave_controller.storage.log import Wanted


@does(calls.STATUS)
def status(desk: Desk, _asked: Asked) -> Fleet:
    home = desk.home
    warnings = [*trusted.troubles(home), *home.warnings()]
    with desk.store.read() as connection:
        return overview.fleet(
            connection, home.config.fleet, desk.clock(), home.config.devices.proof, warnings
        )


@does(calls.LOG)
def log(desk: Desk, asked: calls.Log) -> LogPage:
    number = None
    if asked.rollout is not None:
        number = history.number_of(desk.store, none_if_newest(asked.rollout))
    wanted = Wanted(number, asked.answers, asked.since)
    return history.page(desk.store, wanted, asked.limit, asked.cursor)


@does(calls.DEPLOYMENTS_OF)
def list_deployments(desk: Desk, asked: calls.Deployments) -> DeploymentsPage:
    wanted = deployments.Asked(asked.model, asked.device, asked.since)
    return deployments.page(desk.store, wanted, asked.limit, asked.cursor)
