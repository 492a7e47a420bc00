"""Writes SVG elements with their attributes and text, all escaped."""

import unicodedata
from html import escape


class Svg:
    """Collects elements; `text` is the finished document. Lengths in pixels. A page that has the
    document in it may colour it anew by the attribute class (`class_`)."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" font-family="sans-serif" role="img">',
            f"<title>{_clean(title)}</title>",
            f'<rect width="{width}" height="{height}" fill="white" class="ground"/>',
        ]

    def rect(self, x: float, y: float, width: float, height: float, tip: str, **style: str) -> None:
        """Draws a rectangle; a viewer shows `tip` when the pointer is on it."""
        place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
        title = f"<title>{_clean(tip)}</title>" if tip else ""
        self.parts.append(f"<rect {place} {_attributes(style)}>{title}</rect>")

    def line(self, x1: float, y1: float, x2: float, y2: float, **style: str) -> None:
        place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
        self.parts.append(f"<line {place} {_attributes(style)}/>")

    def write(self, x: float, y: float, words: str, turn: float = 0, **style: str) -> None:
        """Writes text with its baseline at (x, y), rotated by `turn` degrees around that point."""
        turned = f' transform="rotate({turn:g} {x:.1f} {y:.1f})"' if turn else ""
        place = f'x="{x:.1f}" y="{y:.1f}"{turned}'
        self.parts.append(f"<text {place} {_attributes(style)}>{_clean(words)}</text>")

    @property
    def text(self) -> str:
        return "\n".join([*self.parts, "</svg>", ""])


def _attributes(style: dict[str, str]) -> str:
    return " ".join(
        f'{name.rstrip("_").replace("_", "-")}="{escape(value)}"' for name, value in style.items()
    )


def _clean(words: str) -> str:
    """Escapes text, and replaces control characters (not allowed in XML) and bidirectional
    overrides (they would reverse the text on the screen)."""
    return escape("".join("?" if unicodedata.category(c)[0] == "C" else c for c in words))
