"""The names that a user's program knows, so that they stay: of what it makes, subclasses,
catches and is given."""

import ast
import fnmatch
from collections.abc import Iterable

from modelwave_controller.boards.program import Program
from modelwave_controller.boards.sources import Sources
from modelwave_controller.boards.unused import binds

# What it makes; there parameters keep their names, too.
MADE = ("modelwave_agent.board.*",)
# What it subclasses and catches.
SUBCLASSED = ("modelwave_agent.ports",)
# Of what it is given: a Live (update.py) and an Intake (intake.py).
GIVEN = {"model", "release", "version", "on_trial", "path", "labels_path"}
GIVEN |= {"write", "offset", "wanted", "sha256"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Api:
    def __init__(self, sources: Sources) -> None:
        self.names = set(GIVEN)
        self.called: set[Function] = set()  # whose parameters may be named by callers
        self._program = Program(sources)
        for module, source in sources.items():
            if _is_in(module, (*MADE, *SUBCLASSED)):
                for node in source.tree.body:
                    if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
                        self.names.add(node.name)
                        self._add(module, node, set())

    def _add(self, module: str, node: Function | ast.ClassDef, known: set[str]) -> None:
        """`known`: what a subclass has made its own."""
        if isinstance(node, ast.ClassDef):
            members = [one for one in _members(node) if one.name not in known]
            bound = {name for member in node.body for name in binds(member)}
            self.names |= {name for name in bound if not name.startswith("_")}
        else:
            members = [node]
        if _is_in(module, MADE) or known:
            self.called |= set(members)
        if isinstance(node, ast.ClassDef):
            known = known | {one.name for one in members}
            for base in node.bases:
                target = self._program.targets.get(base)
                if target and not _is_in(target.module, SUBCLASSED):
                    self._add(target.module, self._class(target.module, target.name), known)

    def _class(self, module: str, name: str) -> ast.ClassDef:
        (found,) = self._program.scopes[module].module.bound[name]
        assert isinstance(found, ast.ClassDef)
        return found


def _members(node: ast.ClassDef) -> Iterable[Function]:
    for member in node.body:
        if isinstance(member, Function) and (
            member.name == "__init__" or not member.name.startswith("_")
        ):
            yield member


def _is_in(module: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(module, pattern) for pattern in patterns)
