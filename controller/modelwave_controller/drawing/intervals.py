"""Draws an estimate with its interval and margin on a line: as a small SVG, or in characters."""

from collections.abc import Iterable
from math import isnan
from typing import NamedTuple, TypeGuard

from modelwave_controller.drawing.markup import Markup, element
from modelwave_controller.judge.verdicts import FAIL, PASS

_WIDTH, _HEIGHT, _EDGE = 180, 20, 6
_CHARACTERS = 33
_MOST = 1e100  # larger numbers, as in a damaged database, do not make the scale


class Estimate(NamedTuple):
    harm: float | None
    low: float | None
    high: float | None
    margin: float | None


class Scale(NamedTuple):
    """The values at both ends, of which `most` is greater."""

    least: float
    most: float

    def place(self, value: float) -> float:
        """Returns where a value is, from 0 to 1."""
        if isnan(value):
            return 0.5
        return min(max((value - self.least) / (self.most - self.least), 0.0), 1.0)

    def has(self, value: float) -> bool:
        return self.least <= value <= self.most


def _counts(value: float | None) -> TypeGuard[float]:
    return value is not None and abs(value) <= _MOST


def scale_of(estimates: Iterable[Estimate], with_zero: bool) -> Scale:
    """Returns a scale for all of them: it has each estimate and margin, and as much of the
    intervals as does not make these small."""
    found = list(estimates)
    middle = [v for one in found for v in (one.harm, one.margin) if _counts(v)]
    middle += [0.0] if with_zero or not middle else []
    least, most = min(middle), max(middle)
    room = (most - least) or abs(most) or 1.0
    ends = [v for one in found for v in (one.low, one.high) if _counts(v)]
    least, most = min([least, *ends]), max([most, *ends])
    least, most = max(least, min(middle) - room), min(most, max(middle) + room)
    edge = 0.05 * (most - least) or 0.5 * room
    return Scale(least - edge, most + edge)


def svg(one: Estimate, scale: Scale, mark: Markup, told: str) -> Markup:
    """Returns the drawing; `mark` is drawn at 0,0 and moved to the estimate, `told` says in words
    what is shown. An interval that goes beyond the scale ends in an arrow."""
    if one.harm is None or one.low is None or one.high is None:
        return Markup("")
    y = _HEIGHT / 2
    parts = [_upright(scale, 0.0, "zero")] if scale.has(0.0) else []
    if one.margin is not None:
        parts.append(_upright(scale, one.margin, "margin"))
    left, right = _x(scale, one.low), _x(scale, one.high)
    parts.append(_line(left, y, right, y))
    parts.append(_end(left, y, -1, scale.has(one.low)))
    parts.append(_end(right, y, 1, scale.has(one.high)))
    move = f"translate({_x(scale, one.harm):.1f} {y:.1f})"
    parts.append(element("g", mark, transform=move))
    return element(
        "svg",
        element("title", told),
        *parts,
        class_="interval",
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
    )


def mark(verdict: str) -> Markup:
    """Returns the mark of a verdict, around 0,0: a dot for PASS, a cross for FAIL, a ring else."""
    if verdict == FAIL:
        return element("path", class_="mark fail", d="M-5 -5L5 5M-5 5L5 -5")
    kind = "mark pass" if verdict == PASS else "mark inconclusive"
    return element("circle", class_=kind, cx="0", cy="0", r="4.5")


def text(one: Estimate, scale: Scale) -> str:
    """Returns such as `...0..(---*---)..M.....`: `*` is the estimate, `(` and `)` are its bounds,
    `<` and `>` where these are beyond the scale, M is the margin and 0 no harm."""
    if one.harm is None or one.low is None or one.high is None:
        return ""
    drawn = ["."] * _CHARACTERS
    left, right = _column(scale, one.low), _column(scale, one.high)
    drawn[left : right + 1] = "-" * (right + 1 - left)
    if scale.has(0.0):
        drawn[_column(scale, 0.0)] = "0"
    drawn[left] = "(" if scale.has(one.low) else "<"
    drawn[right] = ")" if scale.has(one.high) else ">"
    if one.margin is not None:
        drawn[_column(scale, one.margin)] = "M"
    drawn[_column(scale, one.harm)] = "*"
    return "".join(drawn)


def _column(scale: Scale, value: float) -> int:
    return round(scale.place(value) * (_CHARACTERS - 1))


def _x(scale: Scale, value: float) -> float:
    return _EDGE + scale.place(value) * (_WIDTH - 2 * _EDGE)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str = "range") -> Markup:
    places = {"x1": f"{x1:.1f}", "y1": f"{y1:.1f}", "x2": f"{x2:.1f}", "y2": f"{y2:.1f}"}
    return element("line", class_=kind, **places)


def _upright(scale: Scale, value: float, kind: str) -> Markup:
    x = _x(scale, value)
    return _line(x, 1, x, _HEIGHT - 1, kind)


def _end(x: float, y: float, way: int, is_inside: bool) -> Markup:
    if is_inside:
        return _line(x, y - 3, x, y + 3)
    points = f"{x + 4 * way:.1f},{y:.1f} {x:.1f},{y - 3:.1f} {x:.1f},{y + 3:.1f}"
    return element("polygon", points=points)
