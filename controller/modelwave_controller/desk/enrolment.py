"""Does the calls about which devices belong to the fleet."""

from modelwave_controller.api import enrolment as calls
from modelwave_controller.desk.desk import Desk
from modelwave_controller.desk.doing import does
from modelwave_controller.errors import StorageError
from modelwave_controller.operations import enrolling
from modelwave_controller.results.enrolment import Approved, Revoked


@does(calls.APPROVE)
def approve(desk: Desk, asked: calls.Those) -> Approved:
    enrolling.approve(desk.home, desk.store, asked.devices, desk.clock(), desk.person.name)
    return Approved(asked.devices, desk.home.config.devices.proof)


@does(calls.REVOKE)
def revoke(desk: Desk, asked: calls.Those) -> Revoked:
    has_user = bool(desk.home.config.broker.user)
    try:
        folder = enrolling.revoke(
            desk.home, desk.store, asked.devices, desk.clock(), desk.person.name
        )
    except OSError as error:
        raise StorageError(
            f"{error.filename or 'disk'}: {error.strerror or error}: nothing from these devices "
            "counts any more, and the broker's files still have them: let the service write there, "
            "and repeat it"
        ) from error
    return Revoked(asked.devices, str(folder), has_user)
