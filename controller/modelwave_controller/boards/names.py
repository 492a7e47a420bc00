"""Gives our own names short ones, the same in all modules.

A name in an .mpy is text, in each module that uses it, and on a board it is RAM. One table
serves modules, classes and attributes: a text means the same short one everywhere, so what
shadows what stays as it was. What is local to a function is named for it alone; of that
only parameters have names in an .mpy at all.
"""

import ast
import itertools
import keyword
from collections import Counter
from collections.abc import Container, Iterator

from modelwave_controller.boards.interpreter import ATTRIBUTES, BUILTINS, IN_EVERY_MPY
from modelwave_controller.boards.program import Program
from modelwave_controller.boards.scopes import Scope, arguments
from modelwave_controller.boards.sources import Sources, is_own

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"


def shorten(sources: Sources, keep: Container[str], public: Container[str]) -> dict[str, str]:
    """{short: long} of what was renamed. `keep`: names to leave alone; `public`: modules
    whose functions keep their parameters' names."""
    program = Program(sources)
    kept = _kept(program, keep)
    table = _table(program, kept)
    for source in sources.values():
        _Renamer(program, source.name, table, kept, source.name in public).run()
    return {short: long for long, short in table.items()}


def _kept(program: Program, keep: Container[str]) -> set[str]:
    """Names that others know, and all that might be one."""
    kept = set(ATTRIBUTES | BUILTINS)
    for name, source in program.sources.items():
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Attribute) and program.foreign_module(node.value):
                kept.add(node.attr)
            elif isinstance(node, ast.keyword) and node.arg:
                kept.add(node.arg)
            elif isinstance(node, ast.Import) or (
                isinstance(node, ast.ImportFrom) and not is_own(node.module or "")
            ):
                kept |= {part for alias in node.names for part in alias.name.split(".")}
                kept |= {alias.asname for alias in node.names if alias.asname}
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                if node.func.id in ("getattr", "hasattr"):
                    kept.add(node.args[1].value)
            elif isinstance(node, ast.alias):
                target = program.imported(node)
                if target and target.kind == "module":
                    kept.add(node.name)
    return kept | {name for name in _texts(program) if name in keep or name.startswith("__")}


def _texts(program: Program) -> set[str]:
    """All names in the program."""
    found = set()
    for source in program.sources.values():
        found |= {name for _, name, _ in program.scopes[source.name].uses}
        found |= {node.attr for node in ast.walk(source.tree) if isinstance(node, ast.Attribute)}
    return found


def _table(program: Program, kept: set[str]) -> dict[str, str]:
    """{long: short} for the names of modules and classes, and attributes that we store."""
    ours: set[str] = set()
    modules: Counter[str] = Counter()  # how many modules have the name
    for name, source in program.sources.items():
        here: set[str] = set()
        for scope in program.scopes[name].all:
            if scope.kind != "function":
                ours |= set(scope.bound)
        for node, used, scope in program.scopes[name].uses:
            owner = scope.lookup(used)
            if owner is None or owner.kind != "function":
                here.add(used)
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Attribute):
                here.add(node.attr)
                if not isinstance(node.ctx, ast.Load):
                    ours.add(node.attr)
        modules.update(here)
    wanted = sorted(ours - kept, key=lambda name: (-modules[name], name))
    taken = kept | (_texts(program) - ours)
    return dict(zip(wanted, _short_names(taken), strict=False))


def _short_names(taken: set[str]) -> Iterator[str]:
    for length in (1, 2, 3):
        for letters in itertools.product(LETTERS, repeat=length):
            name = "".join(letters)
            if name not in taken and not keyword.iskeyword(name) and name != "_":
                yield name


class _Renamer:
    """Renames in one module."""

    def __init__(
        self, program: Program, module: str, table: dict[str, str], kept: set[str], public: bool
    ) -> None:
        self.scopes = program.scopes[module]
        self.tree = program.sources[module].tree
        self.program = program
        self.table = table
        self.kept = kept
        self.public = public
        self.local: dict[Scope, dict[str, str]] = {}

    def run(self) -> None:
        for scope in self.scopes.all:  # outer ones first
            if scope.kind == "function":
                self.local[scope] = self.name_locals(scope)
        for node, name, scope in self.scopes.uses:
            self.rename(node, name, self.final(name, scope))
        for found in ast.walk(self.tree):
            if isinstance(found, ast.Attribute):
                found.attr = self.table.get(found.attr, found.attr)

    def final(self, name: str, scope: Scope) -> str:
        """What `name` as used in `scope` is called in the end."""
        owner = scope.lookup(name)
        if owner is not None and owner.kind == "function":
            return self.local[owner][name]
        return self.table.get(name, name)

    def name_locals(self, scope: Scope) -> dict[str, str]:
        fixed = self.fixed_parameters(scope)
        taken = {self.final(name, user) for name, user in _from_outside(scope)} | fixed
        names = {name: name for name in fixed}
        pool = (name for name in self.local_names() if name not in taken)
        parameters = [one.arg for one in arguments(_arguments(scope))]
        for name in [*parameters, *sorted(set(scope.bound) - set(parameters))]:
            if name not in names and name not in scope.elsewhere:
                names[name] = next(pool)
        return names

    def local_names(self) -> Iterator[str]:
        for name in IN_EVERY_MPY:
            if name.islower():
                yield name
        yield from _short_names(set())

    def fixed_parameters(self, scope: Scope) -> set[str]:
        """Parameters that callers may name."""
        names = {one.arg for one in arguments(_arguments(scope))}
        called = getattr(scope.node, "name", "")
        if self.public and (called == "__init__" or not called.startswith("_")):
            return names - {"self"}
        return names & (self.kept - ATTRIBUTES - BUILTINS)

    def rename(self, node: ast.AST, old: str, new: str) -> None:
        if isinstance(node, ast.Name):
            node.id = new
        elif isinstance(node, ast.arg):
            node.arg = new
        elif isinstance(node, ast.Global | ast.Nonlocal):
            node.names = [new if name == old else name for name in node.names]
        elif isinstance(node, ast.alias):
            target = self.program.imported(node)
            if target and target.kind == "name":
                node.name = self.table.get(node.name, node.name)
            node.asname = new if new != node.name else None
        else:
            assert isinstance(
                node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.ExceptHandler
            )
            node.name = new


def _arguments(scope: Scope) -> ast.arguments:
    found = getattr(scope.node, "args", None)
    return (
        found
        if isinstance(found, ast.arguments)
        else ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    )


def _from_outside(scope: Scope) -> Iterator[tuple[str, Scope]]:
    """(name, scope that uses it) of all in here that is bound further out, or nowhere."""
    inside = set(_with_inner(scope))
    for user in inside:
        for name in user.names:
            if user.lookup(name) not in inside:
                yield name, user


def _with_inner(scope: Scope) -> Iterator[Scope]:
    yield scope
    for inner in scope.inner:
        yield from _with_inner(inner)
