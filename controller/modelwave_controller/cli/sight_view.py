"""Shows what the stages of a rollout will see, in a dry run."""

from collections.abc import Sequence

from modelwave_controller.results.starts import Sight
from modelwave_controller.terminal import safe, say, show, table

_COLUMNS = ("stage", "gate", "canaries", "controls", "finds", "can judge", "has", "good ones pass")
SMALLEST = 0.0001  # what is smaller is shown as such
_LEGEND = (
    "the harm that 8 of 10 rollouts find; the margin that 9 of 10 good releases pass; the plan's "
    "margin there; how many good releases pass it"
)


def show_sights(sights: Sequence[Sight]) -> None:
    """Prints a table of what can be said, and a line of what cannot."""
    if not sights:
        return
    say("\nWhat each stage can see, by the last windows of its devices:")
    known = [one for one in sights if one.smallest_margin is not None]
    if known:
        show(table(_COLUMNS, [_row(one) for one in known]))
        say(f"({_LEGEND})")
    for gate, why in dict.fromkeys((one.gate, one.why) for one in sights if one.why):
        where = [str(one.stage + 1) for one in sights if (one.gate, one.why) == (gate, why)]
        say(safe(f"{gate}, stage {', '.join(where)}: {why}"))


def _row(one: Sight) -> tuple[object, ...]:
    numbers = (one.smallest_harm, one.smallest_margin, one.allowed)
    return (
        f"{one.stage + 1} ({one.whom})",
        one.gate,
        one.canaries,
        one.controls,
        *map(_amount, numbers),
        _word(one),
    )


def _word(one: Sight) -> str:
    share = f"{100 * (one.passes or 0.0):.0f} %"
    if one.smallest_margin is None or one.smallest_margin <= one.allowed:
        return share
    return f"{share}, else INCONCLUSIVE, which {'holds' if one.holds else 'goes on'}"


def _amount(number: float | None) -> str:
    if number is None:
        return "–"
    return f"{number:.3g}" if abs(number) >= SMALLEST else f"< {SMALLEST}"
