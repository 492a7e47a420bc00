"""How a sweep tells its figures to `make trust`, which prints them last."""

_MARK = "trust: "


def tell(words: str) -> None:
    """Prints a line with the figures of a sweep. pytest shows it only with -s, as `make trust` runs
    it."""
    print(f"\n{_MARK}{words}", flush=True)


def told(line: str) -> str:
    """Returns the figures of a line of a run's output; "" if it has none."""
    return line.rstrip().removeprefix(_MARK) if line.startswith(_MARK) else ""
