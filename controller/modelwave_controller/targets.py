"""Targets: hardware classes with their physical limits, ours (targets.toml) and the
operator's own (<home>/targets/<name>.toml, one target a file, written the same way)."""

import difflib
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from modelwave_controller import disk
from modelwave_controller.documents import Target as TargetName
from modelwave_controller.documents import Text, Token, first_problem
from modelwave_controller.errors import OperatorError
from modelwave_shared.limits import MAX_SEQ

MAX_TARGET_FILE_BYTES = 65536

_Size = Annotated[int, Field(ge=1, le=MAX_SEQ)]


class Target(BaseModel):
    """One hardware class. `flash_bytes` and `ram_bytes` are None where only the device
    itself can tell."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    name: TargetName
    description: Text
    kind: Literal["mcu", "host"] = Field(alias="class")
    flash_bytes: _Size | None = None
    ram_bytes: _Size | None = None
    runtime: Token
    note: Text = ""
    source: Text

    @model_validator(mode="after")
    def _limits_of_a_board(self) -> Self:
        if self.kind == "mcu" and (self.flash_bytes is None or self.ram_bytes is None):
            raise ValueError("flash_bytes, ram_bytes: a board of class mcu needs both")
        return self


def read(text: str, where: str) -> dict[str, Target]:
    """The targets in a TOML text, by name. Raises OperatorError, which names `where` and the
    field or line."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise OperatorError(f"{where}: {error}") from error
    return {name: _target(name, table, where) for name, table in tables.items()}


def _target(name: str, table: object, where: str) -> Target:
    if not isinstance(table, dict):
        raise OperatorError(f"{where}: {name}: stands outside a table; start with [name-of-target]")
    if "name" in table:
        raise OperatorError(f"{where}: {name}.name: unknown; the name is the table's: [{name}]")
    try:
        return Target.model_validate({"name": name, **table})
    except ValidationError as error:
        raise OperatorError(f"{where}: {name}.{first_problem(error)}") from error


class Targets:
    """All targets that a home knows; `folder` holds the operator's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def all(self) -> dict[str, Target]:
        """Ours, then the operator's own, by name."""
        known = _ours()
        for path in sorted(self.folder.glob("*.toml")):
            known.update(_one(disk.read_input(path, "target", MAX_TARGET_FILE_BYTES), path))
        return known

    def get(self, name: str) -> Target:
        """Raises OperatorError, with the nearest names, if there is none."""
        known = self.all()
        if name not in known:
            near = difflib.get_close_matches(name[:100], known, cutoff=0.4) or sorted(known)
            raise OperatorError(
                f"target {name[:100]} is unknown; perhaps {', '.join(near)}, "
                "or `modelwave target add FILE` for one of your own"
            )
        return known[name]

    def add(self, source: Path) -> Target:
        """Keeps the target in a file of the operator's, in place of one of that name which
        was added before. Raises OperatorError."""
        data = disk.read_input(source, "FILE", MAX_TARGET_FILE_BYTES)
        ((name, target),) = _one(data, source).items()
        if name in _ours():
            raise OperatorError(f"{source}: {name}: comes with modelwave; name yours differently")
        if not self.folder.is_dir():
            raise OperatorError(
                f"--home: no {self.folder}; make a home with `modelwave init FLEET`, or name yours"
            )
        disk.replace(self.folder / f"{name}.toml", data)
        return target


def _ours() -> dict[str, Target]:
    return read(files(__package__).joinpath("targets.toml").read_text("utf-8"), "targets.toml")


def _one(data: bytes, path: Path) -> dict[str, Target]:
    try:
        found = read(data.decode(), str(path))
    except UnicodeDecodeError as error:
        raise OperatorError(f"{path}: not UTF-8 at byte {error.start}") from error
    if len(found) != 1:
        raise OperatorError(f"{path}: {len(found)} targets; one [name] table a file")
    return found
