"""From the modules' sources to what is compiled for a board: less of it, under short names."""

import ast
import fnmatch
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from modelwave_controller.boards import constants, folding, merging, names, refusals, unused
from modelwave_controller.boards.sources import Source, Sources, read

ROOTS = ("modelwave_agent.board.*",)
# What a user's program calls, subclasses and catches; functions keep their parameters' names
# in the first.
CALLED = ("modelwave_agent.board.*",)
PUBLIC = (*CALLED, "modelwave_agent.ports")
# Of what a program is given (driver.Live).
GIVEN = {"model", "release", "version", "on_trial", "path", "labels_path"}


CORE = "modelwave_agent.board.agent"
# Modules that a program imports; what others are parts of is nobody's concern.
APART = (
    CORE,
    "modelwave_agent.ports",
    "modelwave_agent.board.blocks",
    "modelwave_agent.board.http",
    "modelwave_agent.board.mqtt",
    "modelwave_agent.board.mqtt_as",
    "modelwave_agent.board.runtime",
    "modelwave_agent.board.runtime_microlite",
    "modelwave_agent.board.runtime_ml",
)


class Linked(NamedTuple):
    texts: dict[str, str]  # module: its source
    names: dict[str, dict[str, list[str]]]  # module: {short: what is called so}


def link(
    roots: Iterable[str],
    folders: Mapping[str, Path],
    keep: Iterable[str] = (),
    rename: bool = True,
    apart: Iterable[str] = APART,
    core: str = CORE,
) -> Linked:
    """`keep`: names that stay and are kept, used or not."""
    sources = read(roots, folders)
    refusals.refuse(sources)
    constants.inline(sources)
    kept, api = set(keep), public_names(sources)

    def is_root(module: str, name: str) -> bool:
        is_public = any(fnmatch.fnmatchcase(module, root) for root in roots)
        return name in kept or (is_public and name in api)

    unused.sweep(sources, is_root, kept | api)
    if apart:
        sources = merging.merge(sources, apart, core)
    folding.fold(sources, kept | api)
    public = {name for name in sources if any(fnmatch.fnmatchcase(name, p) for p in CALLED)}
    short = names.shorten(sources, kept | api, public) if rename else {}
    for source in sources.values():
        relative(source)
    texts = {name: ast.unparse(source.tree) + "\n" for name, source in sources.items()}
    return Linked(texts, short)


def relative(source: Source) -> None:
    """Imports within a package say less that way."""
    here = source.name.split(".")[:-1]
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            there = node.module.split(".")
            if there[0] == here[0]:
                common = 1
                while here[common : common + 1] == there[common : common + 1] != []:
                    common += 1
                node.level = len(here) - common + 1
                node.module = ".".join(there[common:]) or None


def public_names(sources: Sources) -> set[str]:
    """Names in PUBLIC modules, and of their classes, that have no underscore in front."""
    found = set(GIVEN)
    for name, source in sources.items():
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in PUBLIC):
            for statement in source.tree.body:
                if isinstance(statement, ast.ClassDef):
                    found |= {name for member in statement.body for name in unused.binds(member)}
                if unused.is_definition(statement):
                    found |= set(unused.binds(statement))
    return {name for name in found if not name.startswith("_")}
