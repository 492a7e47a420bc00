"""Writes pages from their templates. Every text is escaped and bounded, and has no characters that
control a terminal or the direction of text.

Links are relative, so that a reverse proxy may put the page below any path.
"""

import functools
from collections.abc import Callable
from html import escape
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from modelwave_controller.drawing import bars
from modelwave_controller.drawing.markup import Markup, bounded, words
from modelwave_controller.phrases import moment, plural, span
from modelwave_controller.releases import heldout
from modelwave_controller.terminal import plain
from modelwave_controller.web.page import tiles


def render(template: str, path: str, values: dict[str, Any]) -> bytes:
    """`path`: where the page is, to which its links are relative."""
    page = _environment().get_template(template)
    return page.render(to=functools.partial(_to, path.count("/") - 1), **values).encode()


def _to(depth: int, path: str) -> str:
    return "../" * depth + path or "./"


@functools.cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("modelwave_controller.web.page"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., Any]] = {
        "words": words,
        "drawn": Markup,
        "typed": _typed,
        "moment": moment,
        "span": span,
        "plural": plural,
        "number": tiles.number,
        "thousands": "{:,}".format,
        "percent": _percent,
        "points": _points,
        "class_of": bars.class_of,
    }
    made.filters.update(filters)
    return made


def _finalized(value: Any) -> Any:
    """Returns what an expression of a template writes; built HTML stays as it is."""
    return value if hasattr(value, "__html__") else bounded(value)


def _typed(text: str) -> Markup:
    """Returns the lines of a text that a person typed, to go on typing."""
    return Markup("\n".join(escape(plain(line)) for line in text.splitlines()))


def _points(difference: float) -> str:
    return heldout.points(difference).replace("-", "−")


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"
