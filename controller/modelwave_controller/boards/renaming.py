"""Writes the short names (names.py) into the modules, and names what is local to a function."""

import ast
from collections.abc import Container, Iterator

from modelwave_controller.boards.names import SHORT, Names
from modelwave_controller.boards.program import Program
from modelwave_controller.boards.scopes import Scope, arguments
from modelwave_controller.boards.sources import Source, Sources


class Renamer:
    """Renames in one module."""

    def __init__(self, names: Names, source: Source) -> None:
        self.names = names
        self.program = names.program
        self.scopes = names.program.scopes[source.name]
        self.source = source
        self.local: dict[Scope, dict[str, str]] = {}

    def run(self) -> None:
        for scope in self.scopes.all:  # outer ones first
            if scope.kind == "function":
                self.local[scope] = self.name_locals(scope)
        for node in ast.walk(self.source.tree):
            if isinstance(node, ast.Attribute):
                target = self.program.targets.get(node)
                if target:
                    node.attr = self.names.globals.get(target, node.attr)
                elif self.names.is_of_object(node):
                    node.attr = self.names.attributes.get(node.attr, node.attr)
        for node, name, scope in self.scopes.uses:
            self.rename(node, name, self.final(name, scope))

    def final(self, name: str, scope: Scope) -> str:
        """What `name` as used in `scope` is called in the end."""
        owner = scope.lookup(name)
        if owner is None or owner.kind == "module":
            return self.names.final_global(self.source, name)
        if owner.kind == "class":
            return self.names.attributes.get(name, name)
        return self.local[owner][name]

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
        there = self.names.there[self.source.name]
        yield from (name for name in SHORT if name in there)
        yield from (name for name in SHORT if name not in there)

    def fixed_parameters(self, scope: Scope) -> set[str]:
        """Parameters that callers may name."""
        names = {one.arg for one in arguments(_arguments(scope))}
        if scope.node in self.names.called:
            return names - {"self"}
        return names & self.names.spoken

    def rename(self, node: ast.AST, old: str, new: str) -> None:
        if isinstance(node, ast.alias):
            target = self.program.imported(node)
            if target and target.kind == "name":
                node.name = self.names.globals.get(target, target.name)
            node.asname = new if new != node.name else None
        else:
            rename(node, old, new)


def rename(node: ast.AST, old: str, new: str) -> None:
    """At a place that names `old`, whatever kind of place."""
    if isinstance(node, ast.Name):
        node.id = new
    elif isinstance(node, ast.arg):
        node.arg = new
    elif isinstance(node, ast.Global | ast.Nonlocal):
        node.names = [new if name == old else name for name in node.names]
    else:
        assert isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.ExceptHandler
        ), node
        node.name = new


def shorten(
    sources: Sources, keep: Container[str], called: Container[ast.AST]
) -> dict[str, dict[str, list[str]]]:
    """{module: {short: what is called so there}}, for who reads a board's traceback. Under ""
    the attributes."""
    names = Names(Program(sources), keep, called)
    defined = {name: list(_defined(source)) for name, source in sources.items()}
    for source in sources.values():
        Renamer(names, source).run()
    found: dict[str, dict[str, list[str]]] = {"": {}}
    for long, short in sorted(names.attributes.items()):
        found[""].setdefault(short, []).append(long)
    for module, entries in defined.items():
        found[module] = {}
        for node, qualified in entries:
            found[module].setdefault(node.name, []).append(qualified)
    return found


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _defined(source: Source) -> Iterator[tuple[Definition, str]]:
    """Functions and classes with their full names before they were joined (merging.py)."""
    left: list[tuple[ast.AST, str]] = [(source.tree, "")]
    while left:
        outer, path = left.pop(0)
        for node in ast.iter_child_nodes(outer):
            inner = path
            if isinstance(node, Definition):
                name, _, module = node.name.partition("__modelwave_")
                first = f"modelwave_{module.replace('__', '.')}" if module else source.name
                inner = f"{path or first}.{name}"
                yield node, inner
            left.append((node, inner))


def _arguments(scope: Scope) -> ast.arguments:
    found = getattr(scope.node, "args", None)
    if isinstance(found, ast.arguments):
        return found
    return ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])


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
