"""Numbers on the command lines of the tests."""

import argparse
import contextlib
from collections.abc import Callable


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """Returns the `type` of an argument that is a whole number of at least and at most so much."""
    wanted = f"at least {least}" if most is None else f"from {least} to {most}"

    def read(text: str) -> int:
        with contextlib.suppress(ValueError):
            number = int(text)
            if least <= number and (most is None or number <= most):
                return number
        raise argparse.ArgumentTypeError(f"{text}: give a whole number, {wanted}")

    return read
