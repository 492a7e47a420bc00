"""Numbers and names on the command lines of the tests."""

import argparse
import contextlib
from collections.abc import Callable, Iterable


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


def add_names(
    parser: argparse.ArgumentParser, dest: str, names: Iterable[str], what: str, metavar: str = ""
) -> None:
    """Adds the arguments that name some of `names`, `what` each; none are all of them."""
    known = list(names)
    parser.add_argument(
        dest,
        nargs="*",
        type=one_of(known, what),
        metavar=metavar or what.upper(),
        help=f"of {', '.join(known)}; all, if none is named",
    )


def one_of(names: Iterable[str], what: str) -> Callable[[str], str]:
    """Returns the `type` of an argument that is one of the names; `what`: what has them."""
    known = list(names)

    def read(text: str) -> str:
        if text in known:
            return text
        raise argparse.ArgumentTypeError(f"{text}: no such {what}; there are {', '.join(known)}")

    return read
