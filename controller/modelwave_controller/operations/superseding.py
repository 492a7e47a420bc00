"""Says what a new rollout does to those that are under way for its targets. Pure.

A model has at most one active rollout for each target; those for other targets go on beside it. A
newer one for the same target is refused, unless the operator says that it supersedes the older one.
That one ends as ABORTED when the newer one begins: its slots keep its orders until stages of the
newer one open them. All its targets have to be among those of the newer one, as it would otherwise
end half-way where nothing follows.
"""

from collections.abc import Iterator, Sequence

from modelwave_controller.errors import OperatorError
from modelwave_controller.rollout import state
from modelwave_controller.rollout.events import Aborted, Created
from modelwave_controller.rollout.state import Rollout, State


def require_free(found: State, model: str, targets: Sequence[str], supersede: bool) -> None:
    """Raises OperatorError if a rollout of the model may not begin for these targets, because
    others are under way there."""
    for one in found.active(model, targets):
        here = f"rollout {one.id} of {model} for {', '.join(sorted(one.created.releases))}"
        watch = f"`modelwave rollout watch {one.id}` follows it"
        if one.status not in state.ACTIVE:
            raise OperatorError(f"{here} is {one.status}: {watch}; wait until it is over")
        ways = f"{watch}, `modelwave rollout abort {one.id}` ends it"
        if not supersede:
            free = [t for t in targets if not found.active(model, [t])]
            others = f", and --target {' --target '.join(free)} leaves it alone" if free else ""
            raise OperatorError(
                f"{here} is {one.status}: {ways}, --supersede REASON starts this one in its place"
                f"{others}"
            )
        if rest := sorted(one.created.releases.keys() - set(targets)):
            raise OperatorError(
                f"--supersede: {here} is also for {', '.join(rest)}, where this one would not "
                f"follow: {ways}"
            )


def ended(
    found: State, created: Created, number: int, reason: str
) -> Iterator[tuple[int, Aborted]]:
    """Yields (rollout, its end) of those that the rollout `number` supersedes."""
    active: list[Rollout] = found.active(created.model, created.releases)
    for one in active:
        yield one.id, Aborted(reason=f"superseded by rollout {number}: {reason}")
