"""Says what leads on from a rollout: only commands that would work now.

The status of a rollout that is over, and the refusals of the operations, use these words.
"""

from collections.abc import Iterator, Mapping, Sequence

from modelwave_controller.errors import OperatorError
from modelwave_controller.phrases import plural
from modelwave_controller.rollout import retry as retrying
from modelwave_controller.rollout import state, wanted
from modelwave_controller.rollout.decide import answers
from modelwave_controller.rollout.events import IN_PROGRESS, Release
from modelwave_controller.rollout.facts import Known, Population, facts
from modelwave_controller.rollout.gates import Counts
from modelwave_controller.rollout.state import Rollout, State
from modelwave_controller.storage.unfinished import Unfinished
from modelwave_shared.words import REJECTED, ROLLED_BACK


def require_understood(rollout: Rollout, obstacle: str) -> None:
    """Raises OperatorError if there is an obstacle, as in State.obstacle."""
    if obstacle:
        ends = rollout.status == state.UNKNOWN
        end = f" (this modelwave can only end it: `modelwave rollout abort {rollout.id}`)"
        raise OperatorError(
            f"rollout {rollout.id} cannot be changed: {obstacle}{end if ends else ''}"
        )


def require_revertible(found: State, rollout: Rollout) -> None:
    """Raises OperatorError if the rollout cannot be reverted now."""
    # A later rollout with events that this program does not understand may have sent other orders
    # to the slots.
    require_understood(rollout, found.obstacle(rollout.model, rollout.id))
    if rollout.back or rollout.revert_asked is not None:
        word = "was" if rollout.over else "is being"
        raise OperatorError(f"rollout {rollout.id} {word} reverted already; {instead(rollout)}")
    active = found.active(rollout.model, rollout.created.releases)
    for other in active:
        if other.id != rollout.id:
            raise OperatorError(
                f"rollout {other.id} of {rollout.model} is {other.status}: {_first(other)}"
            )
    if not any(_ordered(found, rollout, target) for target in rollout.created.releases):
        end = "`modelwave rollout list` shows what came after it"
        raise OperatorError(
            f"no slot has an order for the release of rollout {rollout.id}: there is nothing to "
            f"revert ({f'`modelwave rollout abort {rollout.id}` ends it' if active else end})"
        )


def instead(rollout: Rollout) -> str:
    """Returns what to do with a rollout in place of an operation that its status does not allow."""
    if rollout.status == state.PAUSED:
        return f"`modelwave rollout resume {rollout.id}` lets it go on"
    if rollout.over or rollout.status == state.HELD:
        return f"`modelwave rollout status {rollout.id}` says what leads on"
    return f"`modelwave rollout watch {rollout.id}` follows it"


def before_a_start(found: State, model: str) -> str:
    """Returns what has to be done before a rollout of the model can start, such as a command; "" if
    one can."""
    if obstacle := found.obstacle(model):
        return obstacle
    return " and ".join(
        f"`modelwave rollout {'abort' if one.status in state.ACTIVE else 'watch'} {one.id}`"
        for one in found.active_anywhere(model)
    )


def after_the_end(
    found: State, rollout: Rollout, known: Population, unfinished: Unfinished, clock: float
) -> str:
    """Returns what can be done about a rollout that is over; `clock` is in seconds of the rollout
    clock. The answers of the devices that have not succeeded must be in `found`."""
    back = f"; `modelwave rollout revert {rollout.id}` would revert it"
    then = back if _is_revertible(found, rollout) else ""
    if rollout.retry:
        anew = plural(len(rollout.retry), "device")
        return f"{anew} to be ordered anew at the service's next ticks{then}"
    if rollout.status == state.ABORTED:
        ends = "; shadows end" if rollout.created.plan.shadow else ""
        return f"nothing: opened slots keep their order{ends}{then}"
    counts = _counts(rollout, known)
    left = counts.devices - counts.succeeded
    if not left:
        return f"nothing: it is over{then}"
    got = "did not get back" if rollout.back else "did not get to the release"
    ways = "; ".join(_ways_on(found, rollout, unfinished, clock, left))
    return f"it is over, but {left} of {plural(counts.devices, 'device')} {got}: {ways}{then}"


def lifting(found: State, rollout: Rollout, known: Known, banned: Sequence[str]) -> str:
    """Returns how devices may try the release again that they have banned."""
    created = rollout.created
    for active in found.active(rollout.model, created.releases):
        return f"it can be tried again when rollout {active.id} is over: {_first(active)}"
    releases = created.previous if rollout.back else created.releases
    starts = " and ".join(
        f"`modelwave rollout start {rollout.model} {number}{options} --lift-ban REASON`"
        for number, options in _starts(releases, known, set(banned))
    )
    return f"{starts} lets them try it again"


def _is_revertible(found: State, rollout: Rollout) -> bool:
    try:
        require_revertible(found, rollout)
    except OperatorError:
        return False
    return True


def _counts(rollout: Rollout, known: Population) -> Counts:
    """Returns the answers to the orders of a rollout that is over: of its revert, if it had one."""
    so_far = facts(rollout, known)
    if so_far.back is None:
        return answers(rollout.created.plan, so_far)
    return so_far.back


def _ways_on(
    found: State, rollout: Rollout, few: Unfinished, clock: float, left: int
) -> Iterator[str]:
    """Yields what helps the `left` devices that did not succeed. A device that rolled the release
    back has banned it, so that an order alone would be rejected."""
    known, least = few.known, "at least " if few.more else ""
    outcomes = retrying.outcomes(found, rollout, known, clock)
    again = f"`modelwave rollout retry {rollout.id}"
    failed = len(retrying.chosen(outcomes, retrying.BY_DEFAULT))
    rejected = len(retrying.chosen(outcomes, [REJECTED]))
    banned = retrying.chosen(outcomes, [ROLLED_BACK])
    going = len(retrying.chosen(outcomes, [IN_PROGRESS]))
    if failed:
        yield f"{again}` orders {least}{failed} anew"
    if rejected:
        yield f"{least}{rejected} rejected it, {again} --outcome REJECTED` if the cause is gone"
    if banned:
        yield f"{least}{len(banned)} rolled it back, {lifting(found, rollout, known, banned)}"
    if going:
        yield f"{least}{going} still in progress"
    if (others := left - failed - rejected - len(banned) - going - few.more) > 0:
        yield f"{others} forgotten, or ordered something else since: `modelwave rollout list`"


def _starts(
    releases: Mapping[str, Release], known: Known, banned: set[str]
) -> Iterator[tuple[int, str]]:
    """Yields the number of each release that the devices have banned, and the options for their
    targets: on another one all devices may run it already, and then the start is refused."""
    targets: dict[int, list[str]] = {}
    for target, release in sorted(releases.items()):
        if known.of([target]) & banned:
            targets.setdefault(release.release, []).append(target)
    for number, those in targets.items():
        every = len(those) == len(releases)
        yield number, "" if every else "".join(f" --target {target}" for target in those)


def _first(active: Rollout) -> str:
    """Returns what has to be done about a rollout before something else of its model can be."""
    if active.status not in state.ACTIVE:
        return f"`modelwave rollout watch {active.id}` follows it; wait until it is over"
    either = f" or `modelwave rollout revert {active.id}`" if active.stages else ""
    return f"`modelwave rollout abort {active.id}`{either} first"


def _ordered(found: State, rollout: Rollout, target: str) -> bool:
    manifest = rollout.created.releases[target].manifest
    orders = wanted.standing_for(found, rollout.model, target)
    return any(order.release.manifest == manifest for order in orders)
