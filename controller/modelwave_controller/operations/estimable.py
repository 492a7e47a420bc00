"""Refuses a rollout whose plan names an estimate of accuracy without the tables that it needs."""

from collections.abc import Mapping
from typing import NoReturn

from sqlalchemy import Connection

from modelwave_controller.errors import OperatorError
from modelwave_controller.releases import reliability, signed_figures
from modelwave_controller.releases.bundles import Signed
from modelwave_controller.rollout.events import Created
from modelwave_controller.storage import outbox


def require_tables(connection: Connection, created: Created, new: Mapping[str, Signed]) -> None:
    """Raises OperatorError if a gate of the plan could never be judged. `new`: the releases by
    target."""
    named = created.plan.estimates()
    for target in sorted(created.releases) if named else ():
        before = created.previous.get(target)
        if reliability.of_manifest(new[target].document) is None:
            _refuse(named[0].text, f"release {created.releases[target].release}", created, target)
        if before is None:
            _refuse(named[0].text, "", created, target)
        if signed_figures.of_envelope(outbox.blob(connection, before.envelope)).table is None:
            _refuse(named[0].text, f"release {before.release}", created, target)


def _refuse(gate: str, release: str, created: Created, target: str) -> NoReturn:
    """`release` is the one without a table, "" if there is no release before."""
    which = f"of {created.model} for {target}"
    why = f"no rollout has brought a release {which} before, to compare with: leave it out"
    if release:
        why = (
            f"{release} {which} has no table of reliability: sign one with `modelwave release "
            "create --reliability FILE`, or leave it out"
        )
    raise OperatorError(f'--plan: "{gate}" cannot be judged: {why}')
