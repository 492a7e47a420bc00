"""Brings a controller past the order numbers of its devices, after its database was lost or
restored from a backup.

Devices take no order whose number is not above their last one. `numbers` shows how far they are
ahead, `recover` raises the floor of a model's numbers. Reports are not signed, and a forged one
could use the numbers up, so a person confirms it, and a jump beyond MAX_JUMP needs a number.
"""

from dataclasses import replace

from sqlalchemy import Connection

from modelwave_controller.errors import OperatorError
from modelwave_controller.operations import ways
from modelwave_controller.people import tokens
from modelwave_controller.phrases import plural
from modelwave_controller.results.upkeep import Numbers, Running
from modelwave_controller.rollout.events import FLEET, Recovered, by
from modelwave_controller.rollout.state import State
from modelwave_controller.storage import ahead, floors, log, snapshot
from modelwave_controller.storage.ahead import MAX_JUMP, Comparison
from modelwave_controller.storage.store import Store
from modelwave_shared.limits import MAX_SEQ_STEP

# Numbers above the highest that was reported are passed over: devices that are offline may have
# taken orders that no report has named.
MARGIN = 1000
# The other half of what a device without an order yet takes stays for orders. No controller counts
# so far, so a higher number was signed by who has stolen the order key.
MAX_FLOOR = MAX_SEQ_STEP // 2


def numbers(connection: Connection, epoch: int) -> list[Numbers]:
    """Returns the numbers of all models; `epoch` is that of the fleet's root."""
    found = log.folded(connection, reports_of=[])
    return [_numbers(connection, found, model, epoch) for model in ahead.models(connection)]


def of_model(connection: Connection, model: str, epoch: int, to: int | None = None) -> Numbers:
    """Returns the numbers of a model; `to` as for `floor_for`. Raises OperatorError if no order or
    report names it."""
    if model not in ahead.models(connection):
        raise OperatorError(
            f"MODEL: there is no order for {model[:64]!r}, and no device reports it; see "
            "`modelwave recover`"
        )
    return _numbers(connection, log.folded(connection, reports_of=[]), model, epoch, to)


def floor_for(found: Numbers, to: int | None) -> int:
    """Returns the floor that `recover` sets: the operator's `to`, or one above what devices report
    and the broker holds. Raises OperatorError if there is nothing to do, or the number is not to be
    believed."""
    if found.proved > MAX_FLOOR:
        raise OperatorError(
            f"an order {found.proved} of {found.model} was signed, beyond {MAX_FLOOR:,}, and no "
            "device takes such a step: somebody has signed orders with this fleet's order key; "
            "`modelwave key rotate order` and `modelwave key epoch` make a root under which "
            "numbers begin anew"
        )
    if to is not None:
        if not found.proved <= to <= MAX_FLOOR:
            whose = "this controller's newest" if found.proved == found.given else "the broker's"
            raise OperatorError(
                f"--to: {to}; give a number from {found.proved}, {whose} of {found.model}, to "
                f"{MAX_FLOOR}"
            )
        return to
    if not found.due:
        raise OperatorError(
            f"nothing to recover: none of {plural(found.devices, 'device')} of {found.model} has "
            f"an order above this controller's newest, {found.given}"
        )
    if found.highest - found.proved > MAX_JUMP:
        rest = f"; the others are at most at {found.believed}" if found.believed else ""
        raise OperatorError(
            f"{found.device} reports order {found.highest}, more than {MAX_JUMP:,} above "
            f"{_whose(found)}{rest}: find out whether that report is forged, and give the number "
            "to go on from with --to N"
        )
    return max(found.proved, found.highest) + MARGIN


def _whose(found: Numbers) -> str:
    if found.proved == found.given:
        return f"this controller's {found.given}"
    return f"the broker's {found.at_broker}"


def recover(
    store: Store, model: str, epoch: int, to: int | None, now: float, actor: str = ""
) -> int:
    """Raises the floor of the model's numbers, and lets its orders be signed again. Returns the
    floor. `to`, `epoch` and the errors are those of `floor_for` and `of_model`."""
    with store.write() as connection:
        floor = floor_for(of_model(connection, model, epoch), to)
        floors.raise_to(connection, model, floor, epoch)
        recovered = Recovered(model=model, floor=floor, epoch=epoch)
        log.append(connection, FLEET, now, [by(actor, recovered)])
        return floor


def note_restored(store: Store, now: float, actor: str = "") -> int:
    """Notes that the database was restored without `modelwave restore`: no order is signed before
    its model is recovered, and all access tokens are revoked. Returns how many these were."""
    snapshot.note_restored(store, now, now, actor)
    with store.write() as connection:
        return tokens.revoke_all(connection, now, actor, tokens.RESTORED)


def require_not_behind(found: Comparison, model: str) -> None:
    """Raises OperatorError if devices would refuse the controller's next order. A single device
    that reports a number beyond belief does not keep the others from their rollout."""
    if not found.believed and 2 * len(found.ahead) <= found.devices:
        return
    raise OperatorError(f"{behind(found, model)}: run `modelwave recover {model}`")


def behind(found: Comparison, model: str) -> str:
    """Says how far devices are ahead; there must be one."""
    ours = f"this controller's newest is {found.given}" if found.given else "its database has none"
    return (
        f"{len(found.ahead)} of {plural(found.devices, 'device')} of {model} have orders up to "
        f"{found.ahead[0].seq} and refuse older ones, and {ours}"
    )


def _numbers(
    connection: Connection, found: State, model: str, epoch: int, to: int | None = None
) -> Numbers:
    compared = ahead.compare(connection, model, epoch)
    first = compared.ahead[0] if compared.ahead else None
    its = Numbers(
        model=model,
        given=compared.given,
        devices=compared.devices,
        ahead=len(compared.ahead),
        highest=first.seq if first else 0,
        device=first.device if first else "",
        believed=max((one.seq for one in compared.believed), default=0),
        at_broker=compared.at_broker,
        restored_at=found.restored.get(model),
        runs=_runs(connection, found, model),
        under_way=[rollout.id for rollout in found.active_anywhere(model)],
        first=ways.before_a_start(found, model),
    )
    if not its.due:
        return its
    try:
        return replace(its, next=floor_for(its, to) + 1)
    except OperatorError as error:
        return replace(its, problem=str(error))


def _runs(connection: Connection, found: State, model: str) -> list[Running]:
    """Returns for each target the release that most devices run, if it is not the one that the
    controller has brought there, or is bringing there now."""
    most: dict[str, Running] = {}
    for target, release, sha256, number in ahead.releases(connection, model):
        most.setdefault(target, Running(target, release, sha256, number))
    ours = {
        target: release
        for active in found.active_anywhere(model)
        for target, release in active.created.releases.items()
    }
    return [
        one
        for target, one in sorted(most.items())
        if one.sha256
        not in {
            release.manifest
            for release in (found.current.get((model, target)), ours.get(target))
            if release
        }
    ]
