"""From the modules' sources to what is compiled for a board: less of it, under short names."""

import ast
import fnmatch
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from modelwave_controller.boards import api, constants, folding, merging, refusals, renaming, unused
from modelwave_controller.boards.sources import Source, read

ROOTS = ("modelwave_agent.board.*",)
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
    "modelwave_agent.board.tls_context",
    "modelwave_agent.board.runtime_ml",
)


class Linked(NamedTuple):
    texts: dict[str, str]  # module: its source
    names: dict[str, dict[str, list[str]]]  # module: {short: what is called so}


def link(
    roots: Iterable[str],
    folders: Mapping[str, Path],
    keep: Collection[str] = (),
    rename: bool = True,
    apart: Iterable[str] = APART,
    core: str = CORE,
) -> Linked:
    """`keep`: names that stay and are kept, used or not."""
    sources = read(roots, folders)
    refusals.refuse(sources)
    constants.inline(sources)
    public = api.Api(sources)
    kept = public.names | set(keep)

    def is_root(module: str, name: str) -> bool:
        is_public = any(fnmatch.fnmatchcase(module, root) for root in roots)
        return name in keep or (is_public and name in kept)

    unused.sweep(sources, is_root, kept)
    if apart:
        sources = merging.merge(sources, apart, core)
    folding.fold(sources, kept)
    constants.pack_integers(sources)
    short = renaming.shorten(sources, kept, public.called) if rename else {}
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
