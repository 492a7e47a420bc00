"""The flash and RAM that TFLM's code takes beside the model, by profile; the figures are in
firmware.toml."""

import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from modelwave_controller.fit import PROFILES

ALL = "*"  # firmware with every operator that was measured


@dataclass(frozen=True, slots=True)
class Code:
    """The flash of TFLM's code. `bytes` is an upper bound, and `exact` if firmware with just
    these operators was measured; None if `unmeasured` names an operator or if the profile was
    never measured."""

    bytes: int | None
    exact: bool
    unmeasured: tuple[str, ...] = ()


def code(profile: str, operators: Collection[str]) -> Code:
    """Returns the flash of TFLM's core and these operators' kernels."""
    figures = _figures().get(profile)
    if figures is None:
        return Code(None, False)
    wanted, alone = frozenset(operators), figures["alone"]
    if unmeasured := tuple(sorted(wanted - alone.keys())):
        return Code(None, False, unmeasured)
    together = {
        frozenset(alone if key == ALL else key.split()): size
        for key, size in figures["together"].items()
    }
    together |= {frozenset([name]): size for name, size in alone.items()} | {frozenset(): 0}
    if wanted in together:
        return Code(figures["core"] + together[wanted], True)
    least = min(size for built, size in together.items() if wanted <= built)
    return Code(figures["core"] + min(least, sum(alone[name] for name in wanted)), False)


def ram_beside_arena(profile: str, operators: Collection[str]) -> int | None:
    """Returns the bytes of RAM for the interpreter, its resolver with these operators and its
    stack; None if the ABI was never measured."""
    abi = _figures().get(PROFILES[profile].abi)
    if abi is None:
        return None
    resolver = abi["registered_operator"] * len(set(operators))
    return int(abi["interpreter"] + resolver + abi["stack"])


@cache
def _figures() -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath("firmware.toml").read_text("utf-8"))
