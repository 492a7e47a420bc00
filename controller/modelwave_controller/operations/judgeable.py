"""Refuses a rollout whose plan names a gate that its releases sign too little for: an estimate of
accuracy needs their tables of reliability, over(latency_ms) their limit."""

from collections.abc import Mapping
from typing import NoReturn

from sqlalchemy import Connection

from modelwave_controller.errors import OperatorError
from modelwave_controller.evidence.figures import ReleaseFigures
from modelwave_controller.releases import latency_limit, signed_figures
from modelwave_controller.releases.bundles import Signed
from modelwave_controller.rollout.events import Created
from modelwave_controller.rollout.planned_gates import ESTIMATED, LIMIT, OVER, PlannedGate
from modelwave_controller.storage import outbox

_OPTIONS = {ESTIMATED: "--reliability FILE", OVER: "--latency-limit MS"}
_WHAT = {ESTIMATED: "table of reliability", OVER: "limit of latency"}


def require_figures(connection: Connection, created: Created, new: Mapping[str, Signed]) -> None:
    """Raises OperatorError if a gate that the plan names could never be judged. `new`: the releases
    by target."""
    named = [gate for gate in created.plan.named_gates() if gate.name in _OPTIONS]
    for target in sorted(created.releases) if named else ():
        ours = signed_figures.of_manifest(new[target].document)
        before = created.previous.get(target)
        envelope = outbox.blob(connection, before.envelope) if before else b""
        theirs = signed_figures.of_envelope(envelope) if before else None
        for gate in named:
            _require(created, target, gate, ours, theirs)


def _require(
    created: Created,
    target: str,
    gate: PlannedGate,
    ours: ReleaseFigures,
    theirs: ReleaseFigures | None,
) -> None:
    which = f"of {created.model} for {target}"
    new = f"release {created.releases[target].release} {which}"
    if not _has(gate, ours):
        _refuse(gate, f"{new} has no {_WHAT[gate.name]}{_sign(gate)}")
    if gate.kind == LIMIT:
        return
    if theirs is None:
        _refuse(
            gate, f"no rollout has brought a release {which} before, to compare with: leave it out"
        )
    old = f"release {created.previous[target].release} {which}"
    if not _has(gate, theirs):
        _refuse(gate, f"{old} has no {_WHAT[gate.name]}{_sign(gate)}")
    if gate.name == OVER and ours.limit_us != theirs.limit_us:
        limits = [latency_limit.shown(one.limit_us) for one in (ours, theirs)]
        _refuse(
            gate,
            f"{new} has a limit of {limits[0]}, and {old} one of {limits[1]}: sign the same one, "
            "or give a fixed limit in place of baseline",
        )


def _has(gate: PlannedGate, figures: ReleaseFigures) -> bool:
    return figures.table is not None if gate.name == ESTIMATED else bool(figures.limit_us)


def _sign(gate: PlannedGate) -> str:
    command = f"modelwave release create {_OPTIONS[gate.name]}"
    return f": sign one with `{command}`, or leave it out"


def _refuse(gate: PlannedGate, why: str) -> NoReturn:
    raise OperatorError(f'--plan: "{gate.text}" cannot be judged: {why}')
