"""Builds HTML in which every text is escaped, unless it was built here.

Text from devices, manifests and files comes into a page only as a child or attribute of `element`:
without characters that control a terminal or the direction of text, cut where it is too long, and
escaped. Only `Markup` is taken as it is.
"""

import re
from html import escape

from modelwave_controller.terminal import plain

MAX_TEXT = 1000  # characters of one text of a page

# Our own commands in a text; an outside text that looks like one gets no more than this font.
COMMAND = re.compile(r"`(modelwave [^`<>&|]+)`")


class Markup(str):
    """HTML that may stand in a page as it is."""

    def __html__(self) -> str:
        return self


def bounded(value: object) -> str:
    """Returns a text on one line, without control and direction characters, of bounded length."""
    text = str(value)
    return plain(text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…")


def html(value: object) -> Markup:
    """Returns a value as HTML; escaped, unless it is Markup."""
    return value if isinstance(value, Markup) else Markup(escape(bounded(value)))


def words(text: str) -> Markup:
    """Returns a text with its commands in the font of commands."""
    return Markup(COMMAND.sub(r"<code>\1</code>", escape(bounded(text))))


def element(name: str, *children: object, **attributes: object) -> Markup:
    """Returns an element. `class_` is the attribute class, `stroke_width` stroke-width; those that
    are None are left out."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{given}>{''.join(map(html, children))}</{name}>")


def joined(*parts: object) -> Markup:
    return Markup("".join(map(html, parts)))
