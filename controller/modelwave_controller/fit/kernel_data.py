"""Reads the measured tables: sizes.toml (structures, by ABI) and kernels.toml (kernels, by
library)."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from modelwave_controller.fit import (
    cmsis_nn,
    detection,
    esp_nn,
    helium,
    reference,
    signal,
    weighted,
)
from modelwave_controller.fit.node import Look, Node
from modelwave_controller.fit.signature import Signature


@dataclass(frozen=True, slots=True)
class Abi:
    """(size, alignment) in bytes of TFLM's structures as one compiler lays them out. A name such as
    "x86-64-pypi" is of one build for the ABI before the last dash."""

    name: str
    core: dict[str, tuple[int, int]]
    params: dict[str, tuple[int, int]]
    planner_bytes_per_buffer: int

    @property
    def pointer(self) -> int:
        return self.core["pointer"][0]


@dataclass(frozen=True, slots=True)
class Kernel:
    """One row of kernels.toml, for one library and one size of pointers. `measured` is the only
    ABI on which it was measured, in any build; None stands for all."""

    params: str | None
    op_data: int
    takes: frozenset[str]  # empty: any type
    data: int
    prepare: Callable[[Node], None]
    init: Callable[[Node], None] | None = None
    signature: Signature | None = None
    custom: bool = False
    measured: str | None = None


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """Kernels that exist but were never measured."""

    custom: frozenset[str]

    def has(self, name: str, custom: bool) -> bool:
        return custom and name in self.custom


@dataclass(frozen=True, slots=True)
class Tables:
    """The measured tables for one kind of firmware."""

    abi: Abi
    kernels: dict[str, Kernel]
    unmeasured: Unmeasured


@cache
def load_tables(abi_name: str, library: str) -> Tables:
    """Loads the tables for one ABI of sizes.toml and one library of kernels.toml ("reference"
    or another)."""
    abi = _abi(abi_name)
    return Tables(abi, _kernels(library, abi.pointer), _unmeasured())


def _abi(name: str) -> Abi:
    table = _toml("sizes.toml")
    other = table.get(name, {})
    column = table["abis"].index(other.get("like", name))
    core, params = (
        {key: (row[column][0], row[column][1]) for key, row in table[part].items()}
        for part in ("core", "params")
    )
    core |= {key: (row[0], row[1]) for key, row in other.items() if key != "like"}
    return Abi(name, core, params, table["planner_bytes_per_buffer"])


def _kernels(library: str, pointer: int) -> dict[str, Kernel]:
    table = _toml("kernels.toml")
    rows = table["reference"]
    for own in _layers(table, library):
        rows = {name: {**row, **own.get(name, {})} for name, row in rows.items()}
    return {name: _kernel(row, column=0 if pointer == 4 else 1) for name, row in rows.items()}


def _layers(table: dict[str, Any], library: str) -> list[dict[str, Any]]:
    """Returns the tables whose rows replace those of the reference kernels, the last one wins."""
    if library == "reference":
        return []
    own = table[library]
    return [*_layers(table, own.get("like", "reference")), own]


def _unmeasured() -> Unmeasured:
    table = _toml("kernels.toml")["unmeasured"]
    return Unmeasured(frozenset(table["custom"]))


def _kernel(row: dict[str, Any], column: int) -> Kernel:
    prepare, init, signature = row.get("prepare"), row.get("init"), row.get("signature")
    return Kernel(
        row.get("params"),
        row["op_data"][column] if "op_data" in row else 0,
        frozenset(row.get("takes", "").split()),
        row.get("data", 0),
        _FUNCTIONS[prepare] if prepare else Look(row.get("looks", "")),
        _FUNCTIONS[init] if init else None,
        Signature.read(signature, row.get("data", 0)) if signature else None,
        row.get("custom", False),
        row.get("measured"),
    )


_FUNCTIONS: dict[str, Callable[[Node], None]] = {
    **reference.FUNCTIONS,
    **weighted.FUNCTIONS,
    **cmsis_nn.FUNCTIONS,
    **helium.FUNCTIONS,
    **esp_nn.FUNCTIONS,
    **signal.FUNCTIONS,
    **detection.FUNCTIONS,
}


@cache
def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath(name).read_text("utf-8"))
