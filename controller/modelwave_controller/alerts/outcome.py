"""What became of one try to bring a message."""

MAX_SHOWN = 300  # characters


class NotSent(Exception):
    """It did not arrive, as far as is known; the message says why, in one line. `later`: seconds
    that the receiver wants to be left alone."""

    def __init__(self, why: str, later: float = 0.0) -> None:
        super().__init__(why)
        self.later = later


def printable(text: str, limit: int = MAX_SHOWN) -> str:
    """Returns a foreign text as one line."""
    words = " ".join(text[: 4 * limit].split())[:limit]
    return "".join(c if c.isprintable() else "?" for c in words)
