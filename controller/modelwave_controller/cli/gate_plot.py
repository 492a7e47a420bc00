"""Draws the looks of a gate as SVG: time from left to right, an estimate with its interval for each
look, and the margin of each stage. Colour adds nothing that a mark or a word does not say."""

from collections.abc import Iterator, Sequence
from math import floor, log10
from typing import NamedTuple

from modelwave_controller.drawing.intervals import Estimate, Scale, mark, scale_of
from modelwave_controller.drawing.markup import Markup, element
from modelwave_controller.judge.verdicts import FAIL, HOLD, PASS
from modelwave_controller.results.report import GateCourse, GateLook

_LEFT, _RIGHT, _TOP, _HEIGHT, _BELOW = 62, 16, 26, 150, 56
_MANY_STAGES = 8  # above it stages have no words, only their numbers
_TICKS = 6


class _Spaces(NamedTuple):
    look: int
    stage: int  # at least
    gap: int  # between two stages


_FEW, _MANY = _Spaces(36, 116, 12), _Spaces(25, 25, 4)


class _Stage(NamedTuple):
    number: int
    looks: Sequence[GateLook]
    left: float
    width: float

    @property
    def margin(self) -> float | None:
        return next((one.margin for one in self.looks if one.margin is not None), None)


def estimate_of(look: GateLook) -> Estimate:
    return Estimate(look.harm, look.low, look.high, look.margin)


def svg(course: GateCourse) -> Markup:
    """Returns the plot; nothing if no look had anything to compare."""
    if not any(look.harm is not None for look in course.looks):
        return Markup("")
    scale = scale_of(map(estimate_of, course.looks), with_zero=not course.is_limit)
    stages = list(_stages(course.looks))
    width = stages[-1].left + stages[-1].width + _RIGHT
    height = _TOP + _HEIGHT + _BELOW
    what = "measured" if course.is_limit else "harm"
    title = f"{what}, {'down' if course.worse_is_less else 'up'} is worse"
    parts = [
        element("title", f"{course.gate}: {what} with its interval, by look"),
        _text(4, 14, title, "axis"),
        _text(_LEFT - 10, _TOP + _HEIGHT + 18, "windows", "axis", "end"),
        *_grid(scale, width, not course.is_limit),
    ]
    words = len(stages) <= _MANY_STAGES
    for stage in stages:
        parts += _drawn(stage, scale, words)
    if words:
        parts += [_margin(stage, scale) for stage in stages]
    return element(
        "svg",
        *parts,
        class_="plot",
        viewBox=f"0 0 {width:.0f} {height}",
        width=f"{width:.0f}",
        height=height,
        role="img",
    )


def _stages(looks: Sequence[GateLook]) -> Iterator[_Stage]:
    numbers = list(dict.fromkeys(look.stage for look in looks))
    spaces = _FEW if len(numbers) <= _MANY_STAGES else _MANY
    left = float(_LEFT)
    for number in numbers:
        own = [look for look in looks if look.stage == number]
        width = float(max(spaces.stage, spaces.look * len(own)))
        yield _Stage(number, own, left, width)
        left += width + spaces.gap


def _drawn(stage: _Stage, scale: Scale, words: bool) -> Iterator[Markup]:
    """Yields the margin of a stage, its looks, and what is below them."""
    right = stage.left + stage.width
    if stage.margin is not None:
        y = _y(scale, stage.margin)
        yield _line(stage.left, y, right, y, "margin")
    each = stage.width / len(stage.looks)
    for place, look in enumerate(stage.looks):
        yield from _look(look, scale, stage.left + each * (place + 0.5))
    foot = _TOP + _HEIGHT
    middle = stage.left + stage.width / 2
    yield _line(stage.left, foot + 24, right, foot + 24, "zero")
    name = f"stage {stage.number}" if words else str(stage.number)
    yield _text(middle, foot + 37, name, "axis", "middle")
    verdict = _verdict(stage.looks)
    if words:
        yield _text(middle, foot + 51, verdict, f"word {verdict.lower()}", "middle")


def _margin(stage: _Stage, scale: Scale) -> Markup:
    if stage.margin is None:
        return Markup("")
    y = _y(scale, stage.margin) - 4
    return _text(stage.left + stage.width, y, f"margin {stage.margin:.3g}", "margin", "end")


def _verdict(looks: Sequence[GateLook]) -> str:
    """Returns what stands after the looks of a stage (rollout/course.py)."""
    words = [look.verdict for look in looks]
    return next((word for word in (FAIL, HOLD, PASS) if word in words), words[-1])


def _look(look: GateLook, scale: Scale, x: float) -> Iterator[Markup]:
    yield _text(x, _TOP + _HEIGHT + 18, str(look.windows), "axis", "middle")
    if look.harm is None or look.low is None or look.high is None:
        yield _text(x, _TOP + _HEIGHT / 2, "–", "axis", "middle")
        return
    low, high = _y(scale, look.low), _y(scale, look.high)
    at = f"translate({x:.1f} {_y(scale, look.harm):.1f})"
    yield element(
        "g",
        element("title", told(look)),
        _line(x, low, x, high, "range"),
        _end(x, low, 1, scale.has(look.low)),
        _end(x, high, -1, scale.has(look.high)),
        element("g", mark(look.verdict), transform=at),
    )


def told(look: GateLook) -> str:
    """Returns in words what is drawn of a look."""
    margin = "" if look.margin is None else f", margin {look.margin:.3g}"
    return (
        f"stage {look.stage}, after {look.windows} windows: {look.verdict}, {look.harm:.3g} "
        f"({look.low:.3g} to {look.high:.3g}){margin}, {look.canaries} canaries, "
        f"{look.controls} controls"
    )


def _grid(scale: Scale, width: float, with_zero: bool) -> Iterator[Markup]:
    for value in _ticks(scale):
        y = _y(scale, value)
        yield _line(_LEFT - 6, y, width - _RIGHT, y, "zero" if with_zero and not value else "grid")
        yield _text(_LEFT - 10, y + 4, f"{value:.6g}", "axis", "end")


def _ticks(scale: Scale) -> Iterator[float]:
    """Yields about _TICKS round values: 1, 2 or 5 times a power of ten apart."""
    rough = (scale.most - scale.least) / _TICKS
    power = 10.0 ** floor(log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough)
    first = floor(scale.least / step) + 1
    for number in range(first, first + 2 * _TICKS):
        if number * step < scale.most:
            yield number * step


def _y(scale: Scale, value: float) -> float:
    return _TOP + _HEIGHT * (1 - scale.place(value))


def _end(x: float, y: float, way: int, is_inside: bool) -> Markup:
    """Returns the end of an interval: an arrow where it goes beyond the plot."""
    if is_inside:
        return _line(x - 4, y, x + 4, y, "range")
    points = f"{x:.1f},{y + 5 * way:.1f} {x - 4:.1f},{y:.1f} {x + 4:.1f},{y:.1f}"
    return element("polygon", points=points)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    places = {"x1": f"{x1:.1f}", "y1": f"{y1:.1f}", "x2": f"{x2:.1f}", "y2": f"{y2:.1f}"}
    return element("line", class_=kind, **places)


def _text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> Markup:
    return element("text", words, class_=kind, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor)
