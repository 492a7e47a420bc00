"""Reads which devices are to be enrolled: from the command line, or from a CSV file.

    device,target,models,tags
    pi-1,linux-cpu,digits faces,canary site-7

The first line names the columns, in any order; `tags` may be missing. Several models or tags have a
space between them. Every wrong line is named, with its column, and then nothing is enrolled.
"""

import csv
import io
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError
from modelwave_controller.phrases import plural
from modelwave_shared import fields, limits, schema
from modelwave_shared.errors import DocumentError

CONTROLLER = "controller"  # the service's own user at the broker
COLUMNS = ("device", "target", "models", "tags")
MAX_LIST_BYTES = 16 * 2**20
MAX_DEVICES = 50_000
MAX_TOLD = 20  # wrong lines that are named one by one
MAX_TAGS = 16  # of a device

Rule = Callable[[Any, str], None]


class ToEnrol(NamedTuple):
    """`target` "": a gateway, without models."""

    device: str
    target: str
    models: tuple[str, ...]
    tags: tuple[str, ...]


class BadList(OperatorError):
    """Lines of a list are wrong; `told` has them, one text each."""

    def __init__(self, path: Path, problems: Sequence[str], lines: int) -> None:
        self.told = [f"{path}: {problem}" for problem in problems[:MAX_TOLD]]
        more = len(problems) - len(self.told)
        rest = f", {more} of them not shown" if more else ""
        super().__init__(
            f"--from: {path}: {plural(len(problems), 'problem')} in {plural(lines, 'line')}{rest}; "
            "nobody was enrolled"
        )


def of_names(
    names: Sequence[str], target: str, models: Sequence[str], tags: Sequence[str]
) -> list[ToEnrol]:
    """Returns the devices of a command line, which share the rest; gateways without a target.
    Raises OperatorError."""
    for what, found in _problems({"NAME": names, "--model": models, "--tag": tags}, target):
        raise OperatorError(f"{what}: {found}")
    if len(set(names)) != len(names):
        raise OperatorError("NAME: a device is named twice; name it once")
    return [ToEnrol(name, target, tuple(models), tuple(tags)) for name in names]


def _problems(words: dict[str, Sequence[str]], target: str) -> Iterator[tuple[str, str]]:
    for what, found in words.items():
        most = {"--model": limits.MAX_MODELS, "--tag": MAX_TAGS}.get(what, MAX_DEVICES)
        rule = _device if what == "NAME" else fields.name
        if problem := _problem_of(rule, found, most):
            yield what, problem
    if target and (problem := _problem(schema.target, target)):
        yield "--target", problem


def read_list(path: Path, targets: Collection[str]) -> list[ToEnrol]:
    """Returns the devices of a CSV file; `targets` are those that the home knows. Raises BadList,
    or another OperatorError."""
    data = disk.read_input(path, "--from", MAX_LIST_BYTES)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise OperatorError(f"--from: {path}: line {line}: not UTF-8 text") from error
    return _Reader(path, targets).read(text)


class _Reader:
    def __init__(self, path: Path, targets: Collection[str]) -> None:
        self.path, self.targets = path, targets
        self.lines: dict[str, int] = {}  # by device
        self.problems: list[str] = []

    def read(self, text: str) -> list[ToEnrol]:
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        found: list[ToEnrol] = []
        columns: list[str] = []
        try:
            for cells in rows:
                if not columns:
                    columns = self._columns(cells)
                elif any(cell.strip() for cell in cells):
                    found += self._row(rows.line_num, columns, [cell.strip() for cell in cells])
                if len(found) > MAX_DEVICES:
                    raise OperatorError(f"--from: {self.path}: more than {MAX_DEVICES} devices")
        except csv.Error as error:
            self.problems.append(f"line {rows.line_num}: {error}")
        if self.problems:
            raise BadList(self.path, self.problems, rows.line_num)
        if not found:
            raise OperatorError(f"--from: {self.path}: no device is in it")
        return found

    def _columns(self, cells: list[str]) -> list[str]:
        columns = [cell.strip() for cell in cells]
        if set(columns) | {"tags"} != set(COLUMNS) or len(set(columns)) != len(columns):
            raise OperatorError(
                f"--from: {self.path}: line 1: it must name the columns {','.join(COLUMNS)}"
            )
        return columns

    def _row(self, line: int, columns: list[str], cells: list[str]) -> list[ToEnrol]:
        if len(cells) != len(columns):
            self.problems.append(f"line {line}: has {len(cells)} columns, not {len(columns)}")
            return []
        row = dict(zip(columns, cells, strict=True))
        device, target = row["device"], row["target"]
        models, tags = tuple(row["models"].split()), tuple(row.get("tags", "").split())
        wrong = {
            "device": self._device(device, line),
            "target": self._target(target),
            "models": "empty; name one" if not models else _names(models, limits.MAX_MODELS),
            "tags": _names(tags, MAX_TAGS),
        }
        told = [
            f"line {line}, column {columns.index(name) + 1} ({name}): {problem}"
            for name, problem in wrong.items()
            if problem
        ]
        self.problems += told
        return [] if told else [ToEnrol(device, target, models, tags)]

    def _device(self, device: str, line: int) -> str:
        before = self.lines.setdefault(device, line)
        if before != line:
            return f"{device[:64]} is in line {before} already"
        return _problem(_device, device)

    def _target(self, target: str) -> str:
        if problem := _problem(schema.target, target):
            return problem
        if target not in self.targets:
            return f"{target} is no target that this home knows; see `modelwave target list`"
        return ""


def _names(words: Sequence[str], most: int) -> str:
    return _problem_of(fields.name, words, most)


def _problem_of(rule: Rule, words: Sequence[str], most: int) -> str:
    """Returns the first problem of these words, "" for none."""
    if len(words) > most:
        return f"{len(words)} of them; at most {most} are allowed"
    if len(set(words)) != len(words):
        return "one is named twice; name it once"
    return next((problem for word in words if (problem := _problem(rule, word))), "")


def _problem(rule: Rule, value: str) -> str:
    try:
        rule(value, "")
    except DocumentError as error:
        return str(error.problem)
    return ""


def _device(value: Any, where: str) -> None:
    fields.name(value, where)
    if value == CONTROLLER:
        raise DocumentError(where, f'"{CONTROLLER}" is the service\'s own user at the broker')
