"""What a rollout would do, as the page shows it: a dry run by stage. Pure."""

from collections.abc import Iterator
from typing import NamedTuple

from modelwave_controller.releases.heldout import points
from modelwave_controller.results.starts import DryRun, HeldOut, HeldOutShare, Sight

MAX_NAMES = 6  # of a stage, and of devices that would not take it
NONE = "–"


class Step(NamedTuple):
    """A stage. `devices`: how many are in it; `names`: some of them."""

    number: int
    whom: str
    devices: int
    names: list[str]
    waits: bool  # for approval


class Compared(NamedTuple):
    """A metric on held-out data."""

    target: str
    metric: str
    new: str
    old: str
    difference: str
    worse: bool


class Unfit(NamedTuple):
    device: str
    why: str


class Preview(NamedTuple):
    """`blind`: gates of which a stage sees nothing, by gate and reason, with the stages."""

    found: DryRun
    steps: list[Step]
    compared: list[Compared]
    sights: list[Sight]
    blind: list[tuple[str, str, str]]
    unfit: list[Unfit]
    more_unfit: int


def preview(found: DryRun) -> Preview:
    unfit = [
        Unfit(one.device, "; ".join([*one.shortfalls, *one.unreadable]))
        for one in found.devices
        if one.shortfalls or one.unreadable
    ]
    return Preview(
        found,
        list(_steps(found)),
        [row for target, one in found.held_out.items() for row in _compared(target, one)],
        [one for one in found.sees if one.smallest_margin is not None],
        _blind(found),
        unfit[:MAX_NAMES],
        max(0, len(unfit) - MAX_NAMES),
    )


def _steps(found: DryRun) -> Iterator[Step]:
    names: dict[int, list[str]] = {}
    for one in found.devices:
        for stage in {one.stage, one.shadow_stage} - {None}:
            names.setdefault(stage or 0, []).append(one.device)
    for number, (whom, planned) in enumerate(zip(found.whom, found.plan["stages"], strict=True)):
        its = names.get(number, [])
        yield Step(number + 1, whom, len(its), its[:MAX_NAMES], bool(planned["approval"]))


def _compared(target: str, found: HeldOut) -> Iterator[Compared]:
    by_name = {one.name: one for one in found.compared}
    for name in {**found.new, **found.old}:
        both = by_name.get(name)
        told = f"{points(both.difference)} points" if both else NONE
        if both:
            told += f" ({points(both.least)} to {points(both.most)})"
        new, old = found.new.get(name), found.old.get(name)
        yield Compared(target, name, _share(new), _share(old), told, bool(both and both.worse))


def _share(one: HeldOutShare | None) -> str:
    return NONE if one is None else f"{100 * one.share:.2f} % of {one.n:,}"


def _blind(found: DryRun) -> list[tuple[str, str, str]]:
    where: dict[tuple[str, str], list[str]] = {}
    for one in found.sees:
        if one.why:
            where.setdefault((one.gate, one.why), []).append(str(one.stage + 1))
    return [(gate, why, ", ".join(stages)) for (gate, why), stages in where.items()]
