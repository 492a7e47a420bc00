"""From the modules' sources to what is compiled for a board: less of it, under short names."""

import ast
import fnmatch
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from modelwave_controller.boards import constants, names, refusals, unused
from modelwave_controller.boards.sources import Sources, read

ROOTS = ("modelwave_agent.board.*",)
# What a user's program calls, subclasses and catches; functions keep their parameters' names
# in the first.
CALLED = ("modelwave_agent.board.*",)
PUBLIC = (*CALLED, "modelwave_agent.ports")
# Of what a program is given (driver.Live).
GIVEN = {"model", "release", "version", "on_trial", "path", "labels_path"}


class Linked(NamedTuple):
    texts: dict[str, str]  # module: its source
    names: dict[str, str]  # short: long


def link(
    roots: Iterable[str],
    folders: Mapping[str, Path],
    keep: Iterable[str] = (),
    rename: bool = True,
) -> Linked:
    """`keep`: names that stay and are kept, used or not."""
    sources = read(roots, folders)
    refusals.refuse(sources)
    constants.inline(sources)
    kept = set(keep)

    def is_root(module: str, name: str) -> bool:
        is_public = any(fnmatch.fnmatchcase(module, root) for root in roots)
        return name in kept or (is_public and not name.startswith("_"))

    api = public_names(sources)
    unused.sweep(sources, is_root, kept | api)
    public = {name for name in sources if any(fnmatch.fnmatchcase(name, p) for p in CALLED)}
    short = names.shorten(sources, kept | api, public) if rename else {}
    texts = {name: ast.unparse(source.tree) + "\n" for name, source in sources.items()}
    return Linked(texts, short)


def public_names(sources: Sources) -> set[str]:
    """Names in PUBLIC modules, and of their classes, that have no underscore in front."""
    found = set(GIVEN)
    for name, source in sources.items():
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in PUBLIC):
            continue
        for statement in source.tree.body:
            members = statement.body if isinstance(statement, ast.ClassDef) else []
            for one in [statement, *members]:
                if isinstance(one, ast.Import | ast.ImportFrom):
                    continue
                found |= set(unused.binds(one))
    return {name for name in found if not name.startswith("_")}
