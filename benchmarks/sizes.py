"""The sizes of the agent on a board, as recorded in footprint.toml: bytes of .mpy for each module,
and the heap of a whole update. `make footprint` prints them beside the present sizes; `make
footprint UPDATE=1` records the present ones. The everyday test suite fails if the files have grown
by more than MAY_GROW_BYTES since they were recorded, so that larger growth is always noticed."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

RECORD = Path(__file__).with_name("footprint.toml")
MAY_GROW_BYTES = 2048
HEAD = """\
# The sizes of the agent on a board, in bytes. `make footprint UPDATE=1` writes this file: look at
# the difference before you commit it.
"""


class Sizes(NamedTuple):
    files: dict[str, int]  # bytes of each .mpy by its path on the board
    heap: dict[str, int]  # bytes by what is measured


def of_package(files: Mapping[str, bytes]) -> dict[str, int]:
    """Returns the bytes of each .mpy that package.build() has made."""
    return {path: len(files[path]) for path in sorted(files) if path.endswith(".mpy")}


def total(files: Mapping[str, int]) -> int:
    return sum(files.values())


def read(path: Path = RECORD) -> Sizes:
    found = tomllib.loads(path.read_text(encoding="utf-8"))
    return Sizes(found["files"], found["heap"])


def write(sizes: Sizes, path: Path = RECORD) -> None:
    lines = [HEAD.rstrip()]
    for name, table in sizes._asdict().items():
        lines += ["", f"[{name}]", *(f'"{key}" = {value}' for key, value in table.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def compared(now: Mapping[str, int], recorded: Mapping[str, int]) -> Iterator[str]:
    """Yields rows of a table: name, present bytes, and the difference to the recorded ones."""
    for name, size in now.items():
        yield f"| {name} | {size:,} | {difference(size, recorded.get(name))} |"


def gone(now: Mapping[str, int], recorded: Mapping[str, int]) -> Iterator[str]:
    """Yields rows for recorded entries that no longer exist."""
    for name in sorted(recorded.keys() - now.keys()):
        yield f"| {name} | gone | {-recorded[name]:+,} |"


def difference(now: int, recorded: int | None) -> str:
    if recorded is None:
        return "new"
    return f"{now - recorded:+,}" if now != recorded else ""
