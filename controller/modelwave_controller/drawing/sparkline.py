"""Draws a row of values as a small line: as SVG, or in characters."""

from collections.abc import Iterator, Sequence

from modelwave_controller.drawing.markup import Markup, element

Values = Sequence[float | None]  # None: a gap

_WIDTH, _HEIGHT, _EDGE = 120, 26, 3
_BLOCKS = "▁▂▃▄▅▆▇█"
_GAP = "·"


def svg(values: Values, least: float, most: float, told: str) -> Markup:
    """Returns the line; `least` and `most` are the values at its bottom and top, `told` says in
    words what it shows. A value between two gaps is a dot."""
    places = [_place(number, value, values, least, most) for number, value in enumerate(values)]
    drawn = [_run(run) for run in _runs(places)]
    title = element("title", told)
    return element(
        "svg", title, *drawn, class_="spark", viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img"
    )


def blocks(values: Values, least: float, most: float) -> str:
    """Returns a character a value."""
    return _characters(values, least, most, _BLOCKS, _GAP)


def digits(values: Values, least: float, most: float) -> str:
    """Returns a digit a value, 0 at the bottom and 9 at the top, for a terminal without blocks."""
    return _characters(values, least, most, "0123456789", ".")


def _characters(values: Values, least: float, most: float, levels: str, gap: str) -> str:
    span = most - least
    top = len(levels) - 1
    return "".join(
        gap if value is None else levels[round(top * (value - least) / span) if span else 0]
        for value in values
    )


def _place(
    number: int, value: float | None, values: Values, least: float, most: float
) -> tuple[float, float] | None:
    if value is None:
        return None
    across = number / max(1, len(values) - 1)
    up = (value - least) / (most - least) if most > least else 0.5
    x = _EDGE + across * (_WIDTH - 2 * _EDGE)
    return x, _HEIGHT - _EDGE - up * (_HEIGHT - 2 * _EDGE)


def _runs(places: Sequence[tuple[float, float] | None]) -> Iterator[list[tuple[float, float]]]:
    """Yields the places between two gaps."""
    run: list[tuple[float, float]] = []
    for place in (*places, None):
        if place is not None:
            run.append(place)
        elif run:
            yield run
            run = []


def _run(run: list[tuple[float, float]]) -> Markup:
    if len(run) == 1:
        x, y = run[0]
        return element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r="1.8")
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in run)
    return element("polyline", points=Markup(points))
