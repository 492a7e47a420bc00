"""Targets: hardware classes with their physical limits, ours (targets.toml) and the
operator's own (<home>/targets/<name>.toml, one target a file, written the same way)."""

import difflib
import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from modelwave_controller import disk
from modelwave_controller.errors import NotFoundError, OperatorError
from modelwave_controller.fit import profiles
from modelwave_controller.trust.field_types import (
    TargetName,
    Text,
    Token,
    TokenOrEmpty,
    first_problem,
    shown_key,
)
from modelwave_shared.limits import MAX_SEQ

MAX_TARGET_FILE_BYTES = 65536

_Size = Annotated[int, Field(ge=1, le=MAX_SEQ)]


def _measured(name: str) -> str:
    if name not in profiles.PROFILES:
        raise ValueError(f"one of {', '.join(profiles.PROFILES)}")
    return name


Profile = Annotated[str, AfterValidator(_measured)]


class Target(BaseModel):
    """One hardware class; targets.toml explains the fields. `flash_bytes` and `ram_bytes` are
    None if only the device itself knows them."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    name: TargetName
    description: Text
    kind: Literal["mcu", "host"] = Field(alias="class")
    flash_bytes: _Size | None = None
    ram_bytes: _Size | None = None
    firmware: Text = ""
    firmware_flash_bytes: _Size | None = None
    firmware_ram_bytes: _Size | None = None
    firmware_source: Text = ""
    slot_bytes: _Size | None = None
    abi: Text = ""
    kernels: Text = ""
    profile: Profile | None = None
    runtime: Token  # that each device has
    other_runtimes: Annotated[
        list[Token], Field(max_length=8)
    ] = []  # that a device may have besides
    accelerator: TokenOrEmpty = ""
    chip: TokenOrEmpty = ""
    note: Text = ""
    source: Text

    @model_validator(mode="after")
    def _limits_of_a_board(self) -> Self:
        if self.kind == "mcu" and (self.flash_bytes is None or self.ram_bytes is None):
            raise ValueError("flash_bytes, ram_bytes: a board of class mcu needs both")
        return self

    @model_validator(mode="after")
    def _firmware_within_the_limits(self) -> Self:
        for memory in ("flash", "ram"):
            taken = getattr(self, f"firmware_{memory}_bytes") or 0
            whole = getattr(self, f"{memory}_bytes")
            if whole is not None and taken > whole:
                raise ValueError(f"firmware_{memory}_bytes: more than {memory}_bytes")
        return self

    @model_validator(mode="after")
    def _slot_within_the_flash(self) -> Self:
        if self.slot_bytes and self.flash_bytes is not None and self.slot_bytes > self.flash_bytes:
            raise ValueError("slot_bytes: more than flash_bytes")
        return self

    @property
    def all_runtimes(self) -> tuple[str, ...]:
        return (self.runtime, *self.other_runtimes)

    @property
    def free_flash_bytes(self) -> int | None:
        """Returns the flash that the firmware leaves for a model's files, in bytes."""
        return _left(self.flash_bytes, self.firmware_flash_bytes)

    @property
    def free_ram_bytes(self) -> int | None:
        """Returns the RAM that the firmware leaves for a model, an upper bound in bytes."""
        return _left(self.ram_bytes, self.firmware_ram_bytes)


def _left(whole: int | None, taken: int | None) -> int | None:
    return None if whole is None else whole - (taken or 0)


def read_targets(text: str, where: str) -> dict[str, Target]:
    """Reads the targets from a TOML text, by name. Raises OperatorError, which names `where`,
    the line and the field."""
    try:
        tables = tomllib.loads(text)
        return {name: _target(name, table) for name, table in tables.items()}
    except (ValueError, RecursionError) as error:  # ValueError: also a number of 5,000 digits
        raise OperatorError(f"{where}: {error}") from error
    except _Wrong as wrong:
        raise OperatorError(f"{where}: line {_line(text, wrong)}: {wrong}") from wrong


class _Wrong(Exception):
    """`field` of the table `name` is wrong; the text says why."""

    def __init__(self, name: str, field: str, problem: str) -> None:
        super().__init__(f"{shown_key(name)}{problem}")
        self.name, self.field = name, field


def _target(name: str, table: object) -> Target:
    if not isinstance(table, dict):
        raise _Wrong(name, name, ": is outside a table; start with [name-of-target]")
    if "name" in table:
        raise _Wrong(name, "name", f".name: unknown; the name is the table's: [{shown_key(name)}]")
    try:
        return Target.model_validate({"name": name, **table})
    except ValidationError as error:
        problem = first_problem(error)
        raise _Wrong(name, re.split(r"[:,]", problem)[0], f".{problem}") from error


def _line(text: str, wrong: _Wrong) -> int:
    """Returns the number of the line that sets the field; if there is none, that of the table's
    header; else 1."""
    table, lines = 1, text.splitlines()
    for number, line in enumerate(lines, start=1):
        key = line.partition("=")[0].strip().strip("\"'")
        if key == wrong.field and "=" in line:
            return number
        if line.strip().strip("[]").strip().strip("\"'") == wrong.name:
            table = number
    return table


class Targets:
    """All targets of a home: ours and the operator's own, which are in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def all(self) -> dict[str, Target]:
        """Returns our targets, then the operator's own, by name."""
        known = _ours()
        for path in sorted(self.folder.glob("*.toml")):
            known.update(_one(disk.read_input(path, "target", MAX_TARGET_FILE_BYTES), path))
        return known

    def get(self, name: str) -> Target:
        """Returns the target of that name. Raises NotFoundError, with the nearest names, if
        there is none."""
        known = self.all()
        if name not in known:
            near = difflib.get_close_matches(name[:100], known, cutoff=0.4) or sorted(known)
            raise NotFoundError(
                f"target {name[:100]} is unknown; perhaps {', '.join(near)}, "
                "or `modelwave target add FILE` for one of your own"
            )
        return known[name]

    def add(self, source: Path) -> Target:
        """Copies the target into the home; replaces one of that name that was added before.
        Raises OperatorError."""
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
    return read_targets(
        files(__package__).joinpath("targets.toml").read_text("utf-8"), "targets.toml"
    )


def _one(data: bytes, path: Path) -> dict[str, Target]:
    try:
        found = read_targets(data.decode(), str(path))
    except UnicodeDecodeError as error:
        raise OperatorError(f"{path}: not UTF-8 at byte {error.start}") from error
    if len(found) != 1:
        raise OperatorError(f"{path}: {len(found)} targets; one [name] table a file")
    return found
