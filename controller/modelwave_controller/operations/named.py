"""Finds the devices of the stages that name tags or devices, when a rollout starts.

They are part of the rollout from then on: a tag that is given or taken later changes nothing, and
the start does what its dry run has shown.
"""

from collections.abc import Collection

from sqlalchemy import Connection

from modelwave_controller.errors import OperatorError
from modelwave_controller.rollout.plan import MAX_NAMED_DEVICES, Plan, Stage
from modelwave_controller.storage import devices, tags


def with_devices(connection: Connection, plan: Plan, model: str, targets: Collection[str]) -> Plan:
    """Returns the plan with the devices of its tags; one that is in several stages is in the first,
    and may be in a shadow stage before. Raises OperatorError for a stage without devices, and for a
    device that does not report the model or is of no target."""
    taken_by: dict[bool, set[str]] = {False: set(), True: set()}  # shadow stages, and the others
    stages: list[Stage] = []
    for number, stage in enumerate(plan.stages):
        taken = taken_by[stage.shadow]
        if stage.percent is None:
            names = _names(connection, stage, f"stages.{number}", model, targets)
            stage = stage.model_copy(update={"devices": tuple(sorted(names - taken))})
            _check(stage, f"stages.{number}")
            taken |= names
        stages.append(stage)
    return plan.model_copy(update={"stages": tuple(stages)})


def _names(
    connection: Connection, stage: Stage, where: str, model: str, targets: Collection[str]
) -> set[str]:
    given = list(stage.devices)
    found = devices.that_run(connection, given, model, targets)
    if strangers := set(given).difference(found):
        raise OperatorError(
            f"plan: {where}.devices: {min(strangers)} has not reported {model}, or is not of "
            f"target {', '.join(sorted(targets))}; see `modelwave device list`"
        )
    tagged = tags.devices_with(connection, stage.tags) if stage.tags else []
    return {*found, *devices.that_run(connection, tagged, model, targets)}


def _check(stage: Stage, where: str) -> None:
    if not stage.devices:
        raise OperatorError(
            f"plan: {where}: no device for {stage.whom if stage.tags else 'it'} that reports the "
            "model and is in no earlier stage; `modelwave device tag DEVICE --add TAG`"
        )
    if len(stage.devices) > MAX_NAMED_DEVICES:
        raise OperatorError(
            f"plan: {where}: {len(stage.devices)} devices; at most {MAX_NAMED_DEVICES} can be "
            "named, use percent for more"
        )
