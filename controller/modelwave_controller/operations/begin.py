"""Begins a rollout, with the deltas that its devices have use for, or says what it would do."""

from typing import Any

from modelwave_controller.evidence.sight import refusal
from modelwave_controller.operations import deltas, preview, rollouts, two_people
from modelwave_controller.operations.rollouts import Request
from modelwave_controller.operations.sight import sights
from modelwave_controller.operations.status import StatusReader
from modelwave_controller.phrases import bans
from modelwave_controller.releases.catalog import Releases
from modelwave_controller.results.starts import DryRun, Started
from modelwave_controller.storage import log
from modelwave_controller.storage.store import Store


def start(store: Store, releases: Releases, request: Request, now: float, actor: str) -> Started:
    """Makes the deltas first, so that the first orders have them. Raises as rollouts.start."""
    made, problem = _deltas(store, releases, request)
    number = rollouts.start(store, request, now, actor)
    with store.read() as connection:
        status = StatusReader(connection, str(number)).read(connection, now)
        back = preview.downgrade(connection, request.model, status.targets, status.release)
        created = log.folded(connection, reports_of=[]).rollouts[number].created
        banned = [] if request.lift_ban else preview.banned(connection, created)
    first = f" (`modelwave rollout abort {number}` first)"
    told = [
        bans(banned) + first if banned else "",
        back,
        two_people.told(request.plan, created.plan, request.another_from),
    ]
    return Started(status, made, problem, [line for line in told if line])


def dry_run(store: Store, releases: Releases, request: Request) -> DryRun:
    with store.read() as connection:
        created = rollouts.propose(connection, log.without_answers(connection), request)
        places = preview.preview(connection, created, request.releases)
        number = next(iter(created.releases.values())).release
        back = preview.downgrade(connection, created.model, created.releases, number)
        banned = [] if request.lift_ban else preview.banned(connection, created)
        seen = sights(connection, created, places)
    plan: dict[str, Any] = created.plan.model_dump()
    return DryRun(
        banned=banned,
        downgrade=back,
        seed=int(created.seed or 0),
        plan=plan,
        devices=places,
        held_out=preview.held_out(releases, created, request.releases),
        sees=seen,
        refused="" if request.accept_blind else refusal(seen),
        release=number,
        whom=[stage.whom for stage in created.plan.stages],
        another=two_people.told(request.plan, created.plan, request.another_from),
    )


def _deltas(store: Store, releases: Releases, request: Request) -> tuple[list[str], str]:
    """Returns what was made, in words, and why nothing could be, or ""."""
    found = {
        target: one
        for target, one in request.releases.items()
        if not request.targets or target in request.targets
    }
    try:
        return [one.told() for one in deltas.prepare(store, releases, request.model, found)], ""
    except OSError as error:
        return [], f"no deltas were made: {error}"
