"""The commands of `modelwave`, and what nobody would type in the place of each of their values."""

import dataclasses
from collections.abc import Iterator
from typing import Any

# {name: what is typed}
VALUES = {
    "empty": "",
    "blank": " ",
    "huge": "x" * 100_000,
    "5,000 digits": "9" * 5_000,
    "negative": "-1",
    "1e999": "1e999",
    "nan": "nan",
    "a path out of here": "../../../../../elsewhere/x",
    "an absolute path": "/nonexistent/elsewhere/x",
    "escape sequences": "\x1b[2J\r\nmodelwave: done",
    "half a character": "\udcff",
    "a formula": "=1+1",
    "a URL": "file:///etc/passwd",
}
# They go on until they are ended, or make whole fleets: their values are read as those of others.
ENDLESS = {
    ("serve",),
    ("ingest",),
    ("demo",),
    ("simulate", "fleet"),
    ("simulate", "judge"),
    ("rollout", "watch"),
    ("key", "to-agent"),
    ("broker", "check"),
}
# What stands in the place of the other values, by the parameter's name; else "x".
OTHERWISE = {
    "model": "digits",
    "release": "1",
    "rollout": "1",
    "target": "linux-cpu",
    "devices": "d1",
    "device": "d1",
    "fleet": "demo",
    "role": "viewer",
    "url": "http://127.0.0.1:1",
    "reason": "no reason",
}
# Options whose value is a path where the command may write.
WRITES = {"out", "dump", "plot_file", "ready_file", "file", "folder"}


@dataclasses.dataclass(frozen=True)
class Leaf:
    """A command: the words that name it, its parameters with a value, by name, and those that must
    be there."""

    words: tuple[str, ...]
    parameters: dict[str, str]  # name: the option that stands before the value; "" for an argument
    required: tuple[str, ...]

    def line(self, name: str, value: str) -> list[str]:
        """The command line with `value` for one parameter, and something for those that must be
        there."""
        arguments, options = [], []
        for one, option in self.parameters.items():
            if one != name and one not in self.required:
                continue
            given = value if one == name else OTHERWISE.get(one, "x")
            if option:
                options.append(f"{option}={given}")
            else:
                arguments.append(given)
        return [*self.words, *options, "--", *arguments]


def leaves(command: Any, words: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """Yields the commands under `command`, which is one of Click's."""
    if hasattr(command, "commands"):
        for name, one in command.commands.items():
            yield from leaves(one, (*words, name))
        return
    valued = [one for one in command.params if not getattr(one, "is_flag", False)]
    yield Leaf(
        words,
        {one.name: one.opts[0] if one.opts[0].startswith("-") else "" for one in valued},
        tuple(one.name for one in valued if one.required),
    )
