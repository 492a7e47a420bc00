"""Reads the agreement with the release before that manifests sign, for gates of shadow stages."""

from collections.abc import Mapping

from modelwave_controller.errors import OperatorError
from modelwave_controller.releases import heldout
from modelwave_controller.releases.bundles import Signed
from modelwave_controller.rollout.events import Expected
from modelwave_controller.rollout.plan import Plan
from modelwave_controller.rollout.planned_gates import AGREEMENT, EXPECTED


def expected_agreement(plan: Plan, releases: Mapping[str, Signed]) -> dict[str, Expected]:
    """Returns what each release expects, by target; those that sign no agreement are left out.
    Raises OperatorError if a gate that the plan names needs one."""
    if plan.shadow is None:
        return {}
    shares = {t: heldout.shares(one.manifest.lineage.metrics) for t, one in releases.items()}
    found = {
        target: Expected(share=share.value, n=share.n)
        for target, its in shares.items()
        if (share := its.get(AGREEMENT)) is not None
    }
    for number, stage in enumerate(plan.stages):
        if not stage.shadow or plan.named_of(number) is None:
            continue
        needs = [gate.text for gate in plan.gates_of(number) if gate.kind == EXPECTED]
        lacking = sorted(releases.keys() - found)
        if needs and lacking:
            raise OperatorError(
                f'plan: stages.{number}.gates: "{needs[0]}": the release for {lacking[0]} signs no '
                "agreement; create it with --metric agreement=0.98 --n 360, or give a limit such "
                "as agreement >= 0.97"
            )
    return found
