"""What an operator may do with rollouts. Each is a transaction that appends to the log; the
service sees it at its next tick. Refusals are OperatorErrors that say what to do instead.
"""

import contextlib
import hashlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from modelwave_controller.errors import NoDeviceError, OperatorError
from modelwave_controller.releases.bundles import Signed
from modelwave_controller.rollout import state
from modelwave_controller.rollout.events import (
    Aborted,
    Body,
    Created,
    Paused,
    Release,
    Resumed,
    RevertAsked,
)
from modelwave_controller.rollout.plan import Plan
from modelwave_controller.rollout.state import Rollout, State
from modelwave_controller.storage import devices, log, outbox
from modelwave_controller.storage.store import Store
from modelwave_shared.limits import SLOTS


@dataclass(frozen=True)
class Request:
    """A rollout as asked for. `targets` empty: all that the release is for."""

    model: str
    releases: dict[str, Signed]  # by target
    targets: Sequence[str]
    plan: Plan
    start_slot: int | None = None  # None: a random one


def propose(connection: Connection, found: State, request: Request) -> Created:
    """The rollout that `start` would begin; `found` as log.under_way. Raises OperatorError if it
    cannot, NoDeviceError if only devices are missing."""
    chosen = _chosen(request)
    if obstacle := found.obstacle(request.model):
        raise OperatorError(f"no rollout of {request.model} can be started: {obstacle}")
    active = found.active(request.model)
    if active:
        raise OperatorError(
            f"rollout {active.id} of {request.model} is {active.status}: `modelwave rollout "
            f"watch {active.id}` follows it, `rollout abort {active.id}` ends it"
        )
    if not devices.any_has(connection, list(chosen), request.model):
        raise NoDeviceError(
            f"no device of target {', '.join(chosen)} has reported {request.model}: start "
            f'`modelwave serve` and an agent with models = ["{request.model}"], and see '
            "`modelwave device list`"
        )
    for target, signed in chosen.items():
        current = found.current.get((request.model, target))
        if current and current.manifest == signed.digest:
            raise OperatorError(
                f"{target} was brought to release {current.release} of {request.model} already; "
                "name the other targets with --target, or another release"
            )
    if request.start_slot is not None and not 0 <= request.start_slot < SLOTS:
        raise OperatorError(f"--start-slot: 0 to {SLOTS - 1}")
    return Created(
        model=request.model,
        plan=request.plan,
        releases={target: _release(signed) for target, signed in chosen.items()},
        previous={
            target: found.current[request.model, target]
            for target in chosen
            if (request.model, target) in found.current
        },
        start_slot=secrets.randbelow(SLOTS) if request.start_slot is None else request.start_slot,
    )


def start(store: Store, request: Request, now: float) -> int:
    """Begins a rollout; its number."""
    with _writing(store) as (connection, found):
        created = propose(connection, found, request)
        for signed in request.releases.values():
            outbox.keep_blob(connection, signed.envelope)
        number = log.next_rollout(connection)
        log.append(connection, number, now, [created])
        return number


def pause(store: Store, rollout: str, reason: str, now: float) -> int:
    return _append(store, rollout, now, lambda _, r: _pause(r, reason))


def resume(store: Store, rollout: str, accept: str, now: float) -> int:
    """`accept` is why the gate that holds the rollout is overruled; "" waits for it anew."""
    return _append(store, rollout, now, lambda _, r: _resume(r, accept))


def abort(store: Store, rollout: str, reason: str, now: float) -> int:
    return _append(store, rollout, now, lambda _, r: _abort(r, reason))


def revert(store: Store, rollout: str, reason: str, now: float) -> int:
    return _append(store, rollout, now, lambda found, r: _revert(found, r, reason))


def find(found: State, wanted: str | None) -> Rollout:
    """The rollout that an operator names by its number, or by its model (the newest one);
    None is the newest of all. Raises OperatorError."""
    rollouts = list(found.rollouts.values())
    if not rollouts:
        raise OperatorError("there is no rollout yet: `modelwave rollout start MODEL RELEASE`")
    if wanted is None:
        return rollouts[-1]
    matching = [r for r in rollouts if wanted in (str(r.id), r.model)]
    if not matching:
        raise OperatorError(
            f"ROLLOUT: no rollout or model is called {wanted[:64]!r}; see `modelwave rollout list`"
        )
    return matching[-1]


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
def _writing(store: Store) -> Iterator[tuple[Connection, State]]:
    """A write transaction and log.under_way in it. Most of the log is folded before: it takes
    long where many devices have answered, and the service waits for whoever writes."""
    with store.read() as connection:
        found = log.under_way(connection)
    with store.write() as connection:
        yield connection, log.caught_up(connection, found)


def _append(store: Store, wanted: str, now: float, entry: Callable[[State, Rollout], Body]) -> int:
    with _writing(store) as (connection, found):
        rollout = find(found, wanted)
        log.append(connection, rollout.id, now, [entry(found, rollout)])
        return rollout.id


def _require_understood(rollout: Rollout, obstacle: str) -> None:
    if obstacle:
        raise OperatorError(
            f"rollout {rollout.id} is left as it is: {obstacle} (`rollout abort {rollout.id}` "
            "ends it, and is all that this one can do)"
        )


def _pause(rollout: Rollout, reason: str) -> Body:
    _require_understood(rollout, rollout.not_understood)
    if rollout.status not in (state.NEW, state.RUNNING):
        raise OperatorError(f"rollout {rollout.id} is {rollout.status}: there is nothing to pause")
    return Paused(reason=reason)


def _resume(rollout: Rollout, accept: str) -> Body:
    _require_understood(rollout, rollout.not_understood)
    if rollout.status not in (state.PAUSED, state.HELD):
        raise OperatorError(f"rollout {rollout.id} is {rollout.status}: there is nothing to resume")
    if any(state.failed(stage) for stage in rollout.stages):
        raise OperatorError(
            f"rollout {rollout.id} has failed and cannot go on: `rollout revert {rollout.id}` "
            f"takes it back, `rollout abort {rollout.id}` leaves it; then start a new one"
        )
    if accept and rollout.status != state.HELD:
        raise OperatorError(f"--accept: no gate holds rollout {rollout.id}; it is paused")
    if accept and rollout.held_by == "format":
        raise OperatorError(
            f"--accept: no gate holds rollout {rollout.id}, but devices that could not read its "
            f"next order: `modelwave rollout status {rollout.id}` names them"
        )
    return Resumed(accepted=accept)


def _abort(rollout: Rollout, reason: str) -> Body:
    if rollout.status not in (*state.ACTIVE, state.UNKNOWN):
        raise OperatorError(f"rollout {rollout.id} is {rollout.status}: there is nothing to abort")
    return Aborted(reason=reason)


def _revert(found: State, rollout: Rollout, reason: str) -> Body:
    # What its slots are ordered to run is known only if no later rollout ordered them since
    # in words that this program does not know.
    _require_understood(rollout, found.obstacle(rollout.model, rollout.id))
    if rollout.back or rollout.revert_asked is not None:
        raise OperatorError(f"rollout {rollout.id} is being taken back, or was, already")
    active = found.active(rollout.model)
    if active and active.id != rollout.id:
        raise OperatorError(
            f"rollout {active.id} of {rollout.model} is {active.status}: abort or revert it first"
        )
    if not any(_ordered(found, rollout, target) for target in rollout.created.releases):
        raise OperatorError(
            f"no slot is ordered to run what rollout {rollout.id} brought: there is nothing to "
            f"take back{' (`rollout abort` ends it)' if active else ''}"
        )
    return RevertAsked(reason=reason)


def _ordered(found: State, rollout: Rollout, target: str) -> bool:
    desired = found.desired.get((rollout.model, target), {})
    return rollout.created.releases[target].manifest in desired.values()
