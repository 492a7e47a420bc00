"""Starts, pauses, resumes, aborts and reverts rollouts for an operator. Each operation is a
transaction that appends to the log, which the service reads at its next tick. A refused one
raises OperatorError, whose message says what to do instead. `actor` names the operator in the
log: user@host on the command line.
"""

import contextlib
import hashlib
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from sqlalchemy import Connection

from modelwave_controller.errors import NoDeviceError, NotFoundError, OperatorError
from modelwave_controller.evidence import sight
from modelwave_controller.operations import (
    approvers,
    judgeable,
    preview,
    recover,
    superseding,
    two_people,
    ways,
)
from modelwave_controller.operations.expected import expected_agreement
from modelwave_controller.operations.named import with_devices
from modelwave_controller.operations.sight import sights
from modelwave_controller.phrases import plural
from modelwave_controller.releases.bundles import Signed
from modelwave_controller.rollout import retry as retrying
from modelwave_controller.rollout import state, wanted
from modelwave_controller.rollout.draw import MAX_SEED
from modelwave_controller.rollout.events import (
    Aborted,
    Act,
    Created,
    Paused,
    Release,
    Resumed,
    Retried,
    RevertAsked,
    by,
)
from modelwave_controller.rollout.plan import Plan
from modelwave_controller.rollout.state import Rollout, State
from modelwave_controller.storage import ahead, clock, devices, log, outbox
from modelwave_controller.storage.store import Store
from modelwave_shared.words import ROLLED_BACK, SUCCEEDED


@dataclass(frozen=True)
class Request:
    """A rollout to start. Empty `targets` means all targets of the release."""

    model: str
    releases: dict[str, Signed]  # by target
    targets: Sequence[str]
    plan: Plan
    seed: int | None = None  # that draws the order of slots; None: a random one
    lift_ban: str = ""  # why devices that have banned the release may take it again
    epoch: int = 0  # of the fleet's root
    accept_blind: str = ""  # why the plan may name gates that a stage cannot judge
    start_at: float | None = None  # Unix seconds; None: at once
    supersede: str = ""  # why rollouts that are under way for its targets are to be ended for it
    # From which percent on another than who starts it has to approve, by the settings; None: never.
    another_from: float | None = None


def propose(connection: Connection, found: State, request: Request) -> Created:
    """Returns the rollout that `start` would begin; `found` needs no answers. Raises
    OperatorError if it cannot begin, NoDeviceError if the only reason is that no device has
    reported the model."""
    chosen = _chosen(request)
    if obstacle := found.obstacle(request.model):
        raise OperatorError(f"cannot start a rollout of {request.model}: {obstacle}")
    superseding.require_free(found, request.model, list(chosen), bool(request.supersede))
    if not devices.any_has(connection, list(chosen), request.model):
        raise NoDeviceError(
            f"no device of target {', '.join(chosen)} has reported {request.model}: start "
            f'`modelwave serve` and an agent with models = ["{request.model}"], and see '
            "`modelwave device list`"
        )
    for target, signed in chosen.items():
        current = found.current.get((request.model, target))
        everyone_has_it = (
            current is not None
            and current.manifest == signed.digest
            and not devices.any_lacks(connection, target, request.model, signed.digest)
        )
        if everyone_has_it:
            raise OperatorError(
                f"each device of {target} runs release {signed.manifest.release} of "
                f"{request.model} already; {_instead(found, request.model, target, signed.digest)}"
            )
    if doubt := found.numbers_doubt(request.model):
        raise OperatorError(f"{doubt}: run `modelwave recover {request.model}`")
    compared = ahead.compare(connection, request.model, request.epoch)
    recover.require_not_behind(compared, request.model)
    if request.seed is not None and not 0 <= request.seed <= MAX_SEED:
        raise OperatorError(f"--seed: {request.seed}; give a number from 0 to {MAX_SEED}")
    created = Created(
        model=request.model,
        plan=with_devices(connection, request.plan, request.model, list(chosen)),
        releases={target: _release(signed) for target, signed in chosen.items()},
        previous={
            target: release
            for target, signed in chosen.items()
            if (release := _before(found, request.model, target, signed.digest))
        },
        seed=secrets.randbelow(MAX_SEED + 1) if request.seed is None else request.seed,
        lift_ban=request.lift_ban,
        expected=expected_agreement(request.plan, chosen),
        accept_blind=request.accept_blind,
        start_at=request.start_at,
    )
    if request.another_from is not None:
        places = preview.preview(connection, created, request.releases)
        plan = two_people.asked(created.plan, request.another_from, places)
        created = created.model_copy(update={"plan": plan})
    judgeable.require_figures(connection, created, chosen)
    return created


def _instead(found: State, model: str, target: str, digest: str) -> str:
    """Returns what to do in place of a rollout of the live release `digest`: orders for another one
    may stand, which an aborted rollout has left."""
    others = [o for o in wanted.standing_for(found, model, target) if o.release.manifest != digest]
    if not others:
        return "name the other targets with --target, or another release"
    newest = max(others)
    return (
        f"but orders of rollout {newest.rollout} for release {newest.release.release} stand: "
        f"`modelwave rollout revert {newest.rollout}` takes them back"
    )


def start(store: Store, request: Request, now: float, actor: str = "") -> int:
    """Begins a rollout and returns its number. Raises OperatorError, as `propose`, and for a gate
    that the plan names and a stage cannot judge."""
    request = _require_sight(store, request)
    with writing(store) as (connection, found):
        created = propose(connection, found, request)
        approvers.require_starter(created.plan, actor)
        for signed in request.releases.values():
            outbox.keep_blob(connection, signed.envelope)
        number = log.next_rollout(connection)
        begun: tuple[int, Act] = (number, created)
        acts = [*superseding.ended(found, created, number, request.supersede), begun]
        log.append_all(connection, now, [(rollout, by(actor, act)) for rollout, act in acts])
        return number


def _require_sight(store: Store, request: Request) -> Request:
    """Returns the request with its seed, if its stages can judge the gates that the plan
    names. Windows are read before the write transaction, as the service waits for that."""
    plan = request.plan
    if request.accept_blind or not (plan.names_gates and plan.may_hold):
        return request
    with store.read() as connection:
        created = propose(connection, log.without_answers(connection), request)
        places = preview.preview(connection, created, request.releases)
        refused = sight.refusal(sights(connection, created, places))
    if refused:
        raise OperatorError(refused)
    return replace(request, seed=created.seed)


def pause(store: Store, rollout: str, reason: str, now: float, actor: str = "") -> int:
    return _append(store, rollout, now, actor, lambda _, r: _pause(r, reason))


def resume(store: Store, rollout: str, accept: str, now: float, actor: str = "") -> int:
    """Resumes a rollout. `accept` is the reason to overrule the gate that holds it; "" orders the
    devices anew that it waits for, and waits for the gate again."""
    with writing(store, answers=True) as (connection, found):
        held = find(found, rollout)
        entries: list[Act] = [_resume(held, accept)]
        if held.status == state.HELD and held.held_by == "gate" and not accept:
            words = _outcomes(connection, found, held, newest_only=True)
            if again := retrying.chosen(words, retrying.AFTER_A_HOLD):
                entries.append(Retried(devices=again, reason="resumed"))
        log.append(connection, held.id, now, [by(actor, entry) for entry in entries])
        return held.id


def retry(
    store: Store,
    rollout: str | None,
    names: Sequence[str],
    words: Sequence[str],
    reason: str,
    now: float,
    actor: str = "",
) -> tuple[int, int]:
    """Orders devices of a rollout its release anew: those of `names` and those whose outcome is one
    of `words` (retry.WORDS), or, without either, those that failed or are silent. Returns the
    rollout's number and how many devices these are. Raises OperatorError if there are none, or if
    they would refuse the order by its number."""
    with writing(store, answers=True) as (connection, found):
        chosen = find(found, rollout)
        epoch = ahead.newest_epoch(connection, chosen.model)
        recover.require_not_behind(ahead.compare(connection, chosen.model, epoch), chosen.model)
        again = _retry(connection, found, chosen, names, words)
        entry = by(actor, Retried(devices=again, reason=reason))
        log.append(connection, chosen.id, now, [entry])
        return chosen.id, len(again)


def abort(store: Store, rollout: str, reason: str, now: float, actor: str = "") -> int:
    return _append(store, rollout, now, actor, lambda _, r: _abort(r, reason))


def revert(
    store: Store,
    rollout: str,
    reason: str,
    now: float,
    actor: str = "",
    minimum: Mapping[str, int] = MappingProxyType({}),
) -> int:
    """`minimum`: by model, the least release that devices take under the fleet's root."""
    return _append(store, rollout, now, actor, lambda found, r: _revert(found, r, reason, minimum))


def find(found: State, wanted: str | None) -> Rollout:
    """Returns the rollout with this number, or the newest one of this model; None means the newest
    of all. Digits are always a number, as a model may be called "2". Raises OperatorError if there
    is none."""
    rollouts = list(found.rollouts.values())
    if not rollouts:
        raise NotFoundError("there is no rollout yet: `modelwave rollout start MODEL RELEASE`")
    if wanted is None:
        return rollouts[-1]
    matching = [r for r in rollouts if wanted == (str(r.id) if wanted.isdigit() else r.model)]
    if not matching:
        raise NotFoundError(
            f"ROLLOUT: no rollout or model is called {wanted[:64]!r}; see `modelwave rollout list`"
        )
    return matching[-1]


def _before(found: State, model: str, target: str, digest: str) -> Release | None:
    """Returns the release to revert to from the release `digest`; None if there is none. Where
    the target has that one already, it is the release before it."""
    current = found.current.get((model, target))
    if current is None or current.manifest != digest:
        return current
    brought = [
        rollout
        for rollout in found.rollouts.values()
        if rollout.model == model
        and rollout.status == state.FINISHED
        and rollout.created.releases.get(target) == current
    ]
    return brought[-1].created.previous.get(target) if brought else None


def _chosen(request: Request) -> dict[str, Signed]:
    unknown = [target for target in request.targets if target not in request.releases]
    if unknown:
        raise OperatorError(
            f"--target: this release is not for {unknown[0][:64]!r}; it is for "
            + ", ".join(sorted(request.releases))
        )
    return {
        target: signed
        for target, signed in sorted(request.releases.items())
        if not request.targets or target in request.targets
    }


def _release(signed: Signed) -> Release:
    return Release(
        release=signed.manifest.release,
        version=signed.manifest.version,
        manifest=signed.digest,
        envelope=hashlib.sha256(signed.envelope).hexdigest(),
        v=signed.manifest.v,
    )


@contextlib.contextmanager
def writing(store: Store, answers: bool = False) -> Iterator[tuple[Connection, State]]:
    """A write transaction and the state in it, with the `answers` to rollouts that are not over, or
    with none. Most of the log is folded before: it takes long where many devices have answered, and
    the service waits for whoever writes."""
    with store.read() as connection:
        found = log.under_way(connection) if answers else log.without_answers(connection)
    with store.write() as connection:
        new = log.caught_up if answers else log.without_answers
        yield connection, new(connection, found)


def _append(
    store: Store, wanted: str, now: float, actor: str, entry: Callable[[State, Rollout], Act]
) -> int:
    with writing(store) as (connection, found):
        rollout = find(found, wanted)
        log.append(connection, rollout.id, now, [by(actor, entry(found, rollout))])
        return rollout.id


def _require_not_failed(rollout: Rollout) -> None:
    if any(state.failed(stage) for stage in rollout.stages):
        raise OperatorError(
            f"rollout {rollout.id} has failed and cannot go on: `modelwave rollout revert "
            f"{rollout.id}` reverts it, `modelwave rollout abort {rollout.id}` leaves it; then "
            f"start a new one (`modelwave rollout promote {rollout.id} --force REASON` opens its "
            "next stage in spite of it)"
        )


def nothing_to(verb: str, rollout: Rollout) -> OperatorError:
    """Returns the error for an operation that the rollout's status does not allow."""
    return OperatorError(
        f"rollout {rollout.id} is {rollout.status}: there is nothing to {verb}; "
        f"{ways.instead(rollout)}"
    )


def _pause(rollout: Rollout, reason: str) -> Act:
    ways.require_understood(rollout, rollout.not_understood)
    if rollout.status not in (state.NEW, state.RUNNING, state.HELD):
        raise nothing_to("pause", rollout)
    return Paused(reason=reason)


def _resume(rollout: Rollout, accept: str) -> Act:
    ways.require_understood(rollout, rollout.not_understood)
    if rollout.status not in (state.PAUSED, state.HELD):
        raise nothing_to("resume", rollout)
    _require_not_failed(rollout)
    if accept and rollout.status != state.HELD:
        raise OperatorError(
            f"--accept: no gate holds rollout {rollout.id}; it is paused: {ways.instead(rollout)}"
        )
    if accept and rollout.held_by == "nobody":
        raise OperatorError(
            f"--accept: rollout {rollout.id} is held as no device of its next stage is known, and "
            f"not by a gate: `modelwave rollout abort {rollout.id}` ends it, and the plan of the "
            "next one may name other devices"
        )
    if accept and rollout.held_by == "format":
        raise OperatorError(
            f"--accept: rollout {rollout.id} is held by devices that cannot read its next order, "
            f"not by a gate: `modelwave rollout status {rollout.id}` names them"
        )
    return Resumed(accepted=accept)


def _retry(
    connection: Connection,
    found: State,
    rollout: Rollout,
    names: Sequence[str],
    words: Sequence[str],
) -> list[str]:
    ways.require_understood(rollout, found.obstacle(rollout.model, rollout.id))
    if rollout.revert_asked is not None:
        raise OperatorError(
            f"rollout {rollout.id} is being reverted: `modelwave rollout watch {rollout.id}` "
            "follows it; then retry"
        )
    if rollout.status in state.ACTIVE:
        _require_not_failed(rollout)
    if unknown := [word for word in words if word not in retrying.WORDS]:
        raise OperatorError(
            f"--outcome: {unknown[0][:40]!r} is none; give some of {', '.join(retrying.WORDS)}"
        )
    outcomes = _outcomes(connection, found, rollout)
    if strangers := [name for name in names if name not in outcomes]:
        raise OperatorError(
            f"--device: {strangers[0][:64]!r} is no known device whose newest order is one of "
            f"rollout {rollout.id}; `modelwave device list` shows the devices"
        )
    if names:
        outcomes = {name: outcomes[name] for name in names}
    wanted = words or (retrying.WORDS if names else retrying.BY_DEFAULT)
    again = retrying.chosen(outcomes, wanted)
    if not again:
        raise OperatorError(
            f"rollout {rollout.id}: no device to order anew: {_counted(rollout, outcomes)}"
        )
    _require_no_ban(connection, found, rollout, [d for d in again if outcomes[d] == ROLLED_BACK])
    return again


def _require_no_ban(
    connection: Connection, found: State, rollout: Rollout, banned: Sequence[str]
) -> None:
    """Raises OperatorError if an order of the rollout would not lift the ban of these devices,
    which rolled its release back: they would reject it, and the roll-back count no more."""
    if not banned or (rollout.created.lift_ban and not rollout.back):
        return
    known = devices.known(connection, rollout.model)
    raise OperatorError(
        f"rollout {rollout.id}: {plural(len(banned), 'device')}, such as {banned[0]}, rolled the "
        "release back, and would reject an order that does not lift the ban: "
        f"{ways.lifting(found, rollout, known, banned)}"
    )


def _outcomes(
    connection: Connection, found: State, rollout: Rollout, newest_only: bool = False
) -> dict[str, str]:
    """Returns the outcome of each device that the rollout's orders are still the newest for. The
    answers of a rollout that is over are read from the log here."""
    if rollout.over:
        found = log.folded(connection, reports_of=[rollout.id])
        rollout = found.rollouts[rollout.id]
    known = devices.known(connection, rollout.model)
    seconds = clock.stored(connection).seconds
    return retrying.outcomes(found, rollout, known, seconds, newest_only)


def _counted(rollout: Rollout, outcomes: dict[str, str]) -> str:
    """Returns the outcomes in words, such as "20 SUCCEEDED, 1 REJECTED", and what to do."""
    counts = Counter(outcomes.values())
    if not counts:
        return (
            "no device has its orders, or another rollout has ordered them something else since; "
            "`modelwave rollout list` shows the rollouts"
        )
    words = ", ".join(f"{number} {word}" for word, number in counts.most_common())
    may_be = set(counts) - {ROLLED_BACK}
    others = sorted(may_be - {SUCCEEDED} or may_be)
    if not others:
        return f"{words}; `modelwave rollout status {rollout.id}` says what leads on"
    return (
        f"{words}; name others with --outcome or --device, such as `modelwave rollout retry "
        f"{rollout.id} --outcome {','.join(others)}`"
    )


def _abort(rollout: Rollout, reason: str) -> Act:
    if rollout.status not in (*state.ACTIVE, state.UNKNOWN):
        raise nothing_to("abort", rollout)
    return Aborted(reason=reason)


def _revert(found: State, rollout: Rollout, reason: str, minimum: Mapping[str, int]) -> Act:
    ways.require_revertible(found, rollout)
    least = minimum.get(rollout.model, 1)
    before = sorted({one.release for one in rollout.created.previous.values()})
    if len(rollout.created.previous) == len(rollout.created.releases) and before[-1] < least:
        raise OperatorError(
            f"rollout {rollout.id} goes back to release {before[-1]} of {rollout.model}, which is "
            f"below {least}, the minimum that the fleet's root allows: devices refuse it. Start "
            f"a rollout of a release from {least} on, or `modelwave rollout abort {rollout.id}`"
        )
    return RevertAsked(reason=reason)
