"""Puts modules together that are in memory together, as each .mpy repeats all its names.

Each name on a module's level gets its module's name for a tail, so that nothing shadows
anything; shortening takes it away again.
"""

import ast
from collections.abc import Iterable

from modelwave_controller.boards import grouping
from modelwave_controller.boards.program import Program, Target
from modelwave_controller.boards.renaming import rename
from modelwave_controller.boards.scopes import Scope
from modelwave_controller.boards.sources import Refused, Source, Sources


def merge(sources: Sources, apart: Iterable[str], core: str) -> Sources:
    """`apart`: modules that a program imports, so they stay what they are; `core`: the one of
    them that others may join."""
    program = Program(sources)
    groups = grouping.groups_of(program, set(apart), core)
    early = {name: grouping.imported_early(program, name) for name in sources}
    _Rewriter(program, groups, set(apart)).run()
    made: Sources = {}
    for head in sorted(set(groups.values())):
        members = [name for name in sources if groups[name] == head]
        ordered = grouping.ordered(members, early, sources)
        made[head] = _joined(head, [sources[name] for name in ordered])
    grouping.refuse_circles(made)
    return made


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
        if target.module in self.apart:
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
        for call, names in grouping.phase_calls(source, self.program):
            heads = {self.groups[name] for name in names if name in self.groups}
            call.args = [ast.Constant(head) for head in sorted(heads - self.apart)]


class _Imports(ast.NodeTransformer):
    """Imports of our own, and what is reached through a module."""

    def __init__(self, rewriter: _Rewriter, source: Source) -> None:
        self.rewriter = rewriter
        self.program = rewriter.program
        self.source = source
        self.group = rewriter.groups[source.name]
        self.scopes = {node: scope for node, _, scope in self.program.scopes[source.name].uses}
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
            self.rewriter.check(self.source, node, new, self.scopes[node.value])
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
