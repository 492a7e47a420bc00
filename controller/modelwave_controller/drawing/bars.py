"""Draws parts of a whole as a bar: as a small SVG."""

from collections.abc import Sequence

from modelwave_controller.drawing.markup import Markup, element

_WIDTH = 100


def svg(parts: Sequence[tuple[str, int]], whole: int | None = None) -> Markup:
    """Returns a bar of the parts, by what they are; it says in words what they are. `whole`: what
    fills the bar; None: all of them together."""
    whole = sum(count for _, count in parts) if whole is None else whole
    left = 0.0
    pieces = []
    for what, count in parts:
        width = _WIDTH * count / whole if whole else 0
        if width:
            size = {"x": f"{left:.2f}", "y": "0", "width": f"{width:.2f}", "height": "10"}
            pieces.append(element("rect", class_=class_of(what), **size))
        left += width
    told = ", ".join(f"{count} {what}" for what, count in parts if count)
    return element(
        "svg",
        element("title", told or "no device"),
        *pieces,
        class_="bar",
        viewBox=f"0 0 {_WIDTH} 10",
        preserveAspectRatio="none",
        role="img",
    )


def class_of(text: str) -> str:
    """Returns a word as a class of a style sheet."""
    return "".join(letter if letter.isalnum() else "-" for letter in text.lower())
