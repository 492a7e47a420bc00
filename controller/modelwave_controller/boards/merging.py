"""Puts modules together that are in memory together, as each .mpy repeats all its names.

What one Phase (modelwave_shared.lean) names becomes one module. So do the modules that
the agent's own module imports as it is loaded, and what only one module imports joins it.
Each name on a module's level gets its module's name for a tail, so that nothing shadows
anything; shortening takes it away again.
"""

import ast
from collections.abc import Iterable

from modelwave_controller.boards.program import Program, Target
from modelwave_controller.boards.renaming import rename
from modelwave_controller.boards.scopes import Scope
from modelwave_controller.boards.sources import Refused, Source, Sources

HOME = "modelwave_agent"


def merge(sources: Sources, apart: Iterable[str], core: str) -> Sources:
    """`apart`: modules that a program imports, so they stay what they are; `core`: the one of
    them that others may join."""
    program = Program(sources)
    groups = _groups(program, set(apart), core)
    early = {name: _imported_early(program, name) for name in sources}
    _Rewriter(program, groups, set(apart)).run()
    made: Sources = {}
    for head in sorted(set(groups.values())):
        members = [name for name in sources if groups[name] == head]
        ordered = _ordered(members, early, sources)
        made[head] = _joined(head, [sources[name] for name in ordered])
    _refuse_circles(made)
    return made


# Which module goes where.


def _groups(program: Program, apart: set[str], core: str) -> dict[str, str]:
    """{module: the module that it becomes part of}"""
    sources = program.sources
    early = {name: _imported_early(program, name) for name in sources}
    resident = _reachable(core, early, apart)
    groups = {name: name for name in sources if name in apart}
    groups.update(dict.fromkeys(resident, core))
    heads: dict[frozenset[int], str] = {}
    phases = _phases(program)
    for name in sources:
        among = frozenset(n for n, phase in enumerate(phases) if name in phase)
        if name not in groups and among:
            first = next(one for one in phases[min(among)] if one in sources)
            groups[name] = heads.setdefault(among, _home(first))
    while True:
        before = dict(groups)
        for name in sources:
            users = {groups.get(user, "") for user in sources if name in early[user]}
            if name not in groups and len(users) == 1 and "" not in users:
                groups[name] = users.pop()
        if groups == before:
            break
    return {name: groups.get(name, _home(name)) for name in sources}


def _home(name: str) -> str:
    return f"{HOME}.{name.rpartition('.')[2]}"


def _imported_early(program: Program, name: str) -> set[str]:
    """The modules of ours that `name` imports as it is loaded."""
    found = set()
    for statement in program.sources[name].tree.body:
        if isinstance(statement, ast.ImportFrom):
            targets = [program.imported(alias) for alias in statement.names]
            found |= {target.module for target in targets if target}
    return found


def _reachable(core: str, early: dict[str, set[str]], apart: set[str]) -> set[str]:
    found: set[str] = set()
    left = [core]
    while left:
        name = left.pop()
        if name in early and name not in found and (name == core or name not in apart):
            found.add(name)
            left += sorted(early[name])
    return found


def _phases(program: Program) -> list[list[str]]:
    """The modules that are named together in a call, by their full names."""
    return [names for source in program.sources.values() for _, names in _calls(source, program)]


def _calls(source: Source, program: Program) -> Iterable[tuple[ast.Call, list[str]]]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and node.args:
            values = [one.value for one in node.args if isinstance(one, ast.Constant)]
            names = [value for value in values if isinstance(value, str)]
            if len(names) == len(node.args) and any(name in program.sources for name in names):
                yield node, names


def _ordered(members: list[str], early: dict[str, set[str]], sources: Sources) -> list[str]:
    """What is imported comes before what imports it."""
    ordered: list[str] = []
    under_way: list[str] = []

    def add(name: str) -> None:
        if name in ordered or name not in members:
            return
        if name in under_way:
            raise Refused(sources[name], sources[name].tree, "it is imported in a circle")
        under_way.append(name)
        for other in sorted(early[name]):
            add(other)
        ordered.append(name)

    for name in members:
        add(name)
    return ordered


def _refuse_circles(sources: Sources) -> None:
    program = Program(sources)
    early = {name: _imported_early(program, name) for name in sources}
    for name, source in sources.items():
        left, seen = sorted(early[name]), set[str]()
        while left:
            other = left.pop()
            if other == name:
                raise Refused(
                    source, source.tree, f"it and what joins it import {name} in a circle"
                )
            if other not in seen:
                seen.add(other)
                left += sorted(early[other])


# The new text.


def _joined(head: str, members: list[Source]) -> Source:
    imports: dict[str, ast.Import | ast.ImportFrom] = {}
    body: list[ast.stmt] = []
    for source in members:
        for statement in source.tree.body:
            if isinstance(statement, ast.Import | ast.ImportFrom):
                module = getattr(statement, "module", "")
                known = imports.setdefault(
                    module, type(statement)(**{**vars(statement), "names": []})
                )
                shown = [ast.unparse(alias) for alias in known.names]
                known.names += [one for one in statement.names if ast.unparse(one) not in shown]
            else:
                body.append(statement)
    made = Source(head, members[-1].path, "")
    made.tree.body = [*imports.values(), *body]
    return made


class _Rewriter:
    def __init__(self, program: Program, groups: dict[str, str], apart: set[str]) -> None:
        self.program = program
        self.groups = groups
        self.apart = apart

    def run(self) -> None:
        for source in self.program.sources.values():
            self.rename_globals(source)
        for source in self.program.sources.values():
            self.rename_phases(source)
            _Imports(self, source).visit(source.tree)

    def unique(self, target: Target) -> str:
        if self.groups[target.module] == target.module:
            return target.name
        return f"{target.name}__{target.module.replace('.', '__')}"

    def rename_globals(self, source: Source) -> None:
        """What is bound on the module's level, where it is bound and used."""
        here = self.program.scopes[source.name]
        for node, name, scope in here.uses:
            owner = scope.lookup(name)
            if owner is None or owner.kind != "module" or isinstance(node, ast.alias):
                continue
            target = self.program.meaning(source, name, scope)
            if target is None:
                continue
            new = self.module_name(target) if target.kind == "module" else self.unique(target)
            if new != name:
                self.check(source, node, new, scope)
                rename(node, name, new)

    def module_name(self, target: Target) -> str:
        return self.groups[target.module].rpartition(".")[2] + "__module"

    def check(self, source: Source, node: ast.AST, new: str, scope: Scope) -> None:
        owner = scope.lookup(new)
        if owner is not None and owner.kind != "module":
            raise Refused(source, node, f"{new} would be shadowed here")

    def rename_phases(self, source: Source) -> None:
        """A module in a Phase is now part of another; those that stay in memory are in none."""
        for call, names in _calls(source, self.program):
            heads = {self.groups[name] for name in names if name in self.groups}
            call.args = [ast.Constant(head) for head in sorted(heads - self.apart)]


class _Imports(ast.NodeTransformer):
    """Imports of our own, and what is reached through a module."""

    def __init__(self, rewriter: _Rewriter, source: Source) -> None:
        self.rewriter = rewriter
        self.program = rewriter.program
        self.source = source
        self.group = rewriter.groups[source.name]
        self.depth = 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._inside(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._inside(node)

    def _inside(self, node: ast.AST) -> ast.AST:
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        target = self.program.targets.get(node)
        if target is None or target.kind != "name":
            return node
        if not isinstance(node.ctx, ast.Load):
            raise Refused(self.source, node, "another module's name is changed")
        new = self.rewriter.unique(target)
        if self.rewriter.groups[target.module] == self.group:
            return ast.copy_location(ast.Name(new, ast.Load()), node)
        node.attr = new
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """A local name of something that is now in the same module."""
        target = self.program.targets.get(node)
        if target and target.kind == "name" and self.rewriter.groups[target.module] == self.group:
            return ast.copy_location(ast.Name(self.rewriter.unique(target), node.ctx), node)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> list[ast.stmt] | ast.stmt:
        if all(self.program.imported(alias) is None for alias in node.names):
            return node
        made: dict[str, ast.ImportFrom] = {}
        for alias in node.names:
            target = self.program.imported(alias)
            assert target is not None
            group = self.rewriter.groups[target.module]
            if group == self.group:
                continue
            bound = alias.asname or alias.name
            if target.kind == "module":
                module, name = group.rpartition(".")[::2]
                bound = bound if self.depth else self.rewriter.module_name(target)
            else:
                module, name = group, self.rewriter.unique(target)
                bound = bound if self.depth else name
            statement = made.setdefault(module, ast.ImportFrom(module, [], 0))
            statement.names.append(ast.alias(name, bound if bound != name else None))
        return list(made.values()) or (ast.Pass() if self.depth else [])
