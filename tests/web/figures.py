"""How a test tells a figure to `make api`, which prints them last."""

from typing import NamedTuple

_MARK = "api: "


class Figure(NamedTuple):
    what: str
    number: int
    detail: str


def tell(what: str, number: int, detail: str) -> None:
    """Prints a line with the figure. pytest shows it only with -s, as `make api` runs it."""
    print(f"\n{_MARK}{number} {what}: {detail}", flush=True)


def told(line: str) -> Figure | None:
    """Returns the figure of a line of a run's output; None if it has none."""
    if not line.startswith(_MARK):
        return None
    head, _, detail = line.rstrip().removeprefix(_MARK).partition(": ")
    number, _, what = head.partition(" ")
    return Figure(what, int(number), detail)
