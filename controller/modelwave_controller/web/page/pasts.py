"""What a device's page draws of the windows that it measured: a line for accuracy, failures and
latency of each model. Pure."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from modelwave_controller.drawing import sparkline
from modelwave_controller.drawing.markup import Markup
from modelwave_controller.phrases import plural, span
from modelwave_controller.results.device_history import DeviceWindow


class Course(NamedTuple):
    """`newest`: the last value; `told`: the least and the greatest one."""

    name: str
    newest: str
    told: str
    drawn: Markup


class Measured(NamedTuple):
    """The windows of a model. `how`: how many, of which releases, until when."""

    model: str
    how: str
    courses: list[Course]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


Value = Callable[[DeviceWindow], float | None]

_COURSES: tuple[tuple[str, Value, Callable[[float], str]], ...] = (
    ("right", lambda one: _share(one.correct, one.labelled), _percent),
    ("failed", lambda one: _share(one.failures, one.inferences), _percent),
    ("median", lambda one: one.median_ms, "{:.3g} ms".format),
    ("inferences", lambda one: float(one.inferences), "{:,.0f}".format),
)


def measured(windows: Sequence[DeviceWindow]) -> list[Measured]:
    """Returns a part for each model, and for what ran beside its live one."""
    groups = dict.fromkeys((one.model, one.shadow) for one in windows)
    return [
        _of_one(model, shadow, [w for w in windows if (w.model, w.shadow) == (model, shadow)])
        for model, shadow in groups
    ]


def _of_one(model: str, shadow: bool, windows: Sequence[DeviceWindow]) -> Measured:
    releases = ", ".join(map(str, dict.fromkeys(one.release for one in windows)))
    number, ago = plural(len(windows), "window"), span(windows[-1].age_seconds)
    how = f"{number} of release {releases}, until {ago} ago"
    name = f"{model} in shadow" if shadow else model
    courses = [found for one in _COURSES if (found := _course(*one, windows))]
    return Measured(name, how, courses)


def _course(
    name: str, value: Value, told: Callable[[float], str], windows: Sequence[DeviceWindow]
) -> Course | None:
    values = [value(one) for one in windows]
    known = [one for one in values if one is not None]
    if not known:
        return None
    least, most = min(known), max(known)
    words = f"{told(least)} to {told(most)}" if least < most else f"always {told(most)}"
    drawn = sparkline.svg(values, least, most, f"{name} by window: {words}")
    newest = "–" if values[-1] is None else told(values[-1])
    return Course(name, newest, words, drawn)
