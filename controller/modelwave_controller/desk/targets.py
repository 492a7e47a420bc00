"""Does the calls about targets."""

from modelwave_controller.api import targets as calls
from modelwave_controller.api.call import Asked
from modelwave_controller.desk.doing import OfFiles, does
from modelwave_controller.models.targets import Target, Targets


@does(calls.LIST)
def list_all(desk: OfFiles, _asked: Asked) -> list[Target]:
    return list(Targets(desk.home.targets).all().values())


@does(calls.SHOW)
def show(desk: OfFiles, asked: calls.One) -> Target:
    return Targets(desk.home.targets).get(asked.target)
