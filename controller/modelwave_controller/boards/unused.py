"""Leaves out what nothing on a board refers to, from functions to whole modules.

From the roots on it is followed what is used: a module's names one by one, methods and
attributes of classes by their names alone, as nobody knows an object's class here. An
assignment or import on the module's level has no effect but the name, or it stands in vain.
"""

import ast
from collections.abc import Callable, Container, Iterable

from modelwave_controller.boards.program import Program, Target
from modelwave_controller.boards.sources import Source, Sources, refuse_effects

Unit = tuple[Source, ast.stmt]


def sweep(sources: Sources, is_root: Callable[[str, str], bool], keep: Container[str]) -> None:
    """`is_root(module, name)` tells what is used from outside; so are attributes in `keep`."""
    mark = _Mark(Program(sources), keep)
    for name, source in sources.items():
        for bound, binders in mark.program.scopes[name].module.bound.items():
            if is_root(name, bound) and not isinstance(binders[0], ast.alias):
                mark.use(Target("name", name, bound))
        if is_root(name, ""):
            mark.enter(source)
    mark.run()
    for name in list(sources):
        _drop(sources[name], mark)
        if name not in mark.entered:
            del sources[name]


class _Mark:
    def __init__(self, program: Program, keep: Container[str]) -> None:
        self.program = program
        self.keep = keep
        self.entered: set[str] = set()  # modules
        self.live: set[ast.AST] = set()  # statements, and methods in classes
        self.used: set[Target] = set()
        self.attributes: set[str] = set()
        self.classes: list[tuple[Source, ast.ClassDef]] = []
        self.binders: dict[Target, list[ast.stmt]] = {}
        self.left: list[tuple[Source, ast.AST]] = []
        self.in_class_bodies = {
            node
            for scopes in program.scopes.values()
            for node, name, scope in scopes.uses
            if isinstance(node, ast.Name) and getattr(scope.lookup(name), "kind", "") == "class"
        }
        for name, source in program.sources.items():
            for statement in source.tree.body:
                for bound in binds(statement):
                    self.binders.setdefault(Target("name", name, bound), []).append(statement)

    def use(self, target: Target) -> None:
        if target.kind == "module" or target in self.used:
            return
        self.used.add(target)
        source = self.program.sources[target.module]
        self.enter(source)
        for statement in self.binders.get(target, []):
            self.keep_statement(source, statement)

    def enter(self, source: Source) -> None:
        """The module is imported: what runs then."""
        if source.name not in self.entered:
            self.entered.add(source.name)
            for statement in source.tree.body:
                if not binds(statement):
                    self.keep_statement(source, statement)

    def keep_statement(self, source: Source, statement: ast.AST) -> None:
        if statement not in self.live:
            self.live.add(statement)
            self.left.append((source, statement))

    def run(self) -> None:
        while self.left:
            while self.left:
                source, node = self.left.pop()
                self.read(source, node)
            for source, made in self.classes:
                for member in made.body:
                    if self.is_used_member(member):
                        self.keep_statement(source, member)

    def is_used_member(self, member: ast.stmt) -> bool:
        names = binds(member)
        return not names or any(
            name in self.attributes or name in self.keep or name.startswith("__") for name in names
        )

    def read(self, source: Source, node: ast.AST) -> None:
        """Notes all that a live statement refers to."""
        if isinstance(node, ast.ClassDef):
            self.classes.append((source, node))
            parts: Iterable[ast.AST] = [*node.bases, *node.decorator_list, *node.keywords]
        elif isinstance(node, ast.Import | ast.ImportFrom):
            return
        else:
            parts = [node]
        for part in parts:
            for found in ast.walk(part):
                target = self.program.targets.get(found)
                if target:
                    self.use(target)
                if isinstance(found, ast.Attribute):
                    self.attributes.add(found.attr)
                if found in self.in_class_bodies:
                    self.attributes.add(found.id)


def is_definition(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)


def binds(statement: ast.stmt) -> list[str]:
    """The names that are all a statement is there for; [] if it does something."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Assign):
        names = [name for target in statement.targets for name in _names(target)]
        return names if len(names) == sum(_count(t) for t in statement.targets) else []
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name.split(".")[0] for alias in statement.names]
    return []


def _names(target: ast.expr) -> list[str]:
    if isinstance(target, ast.Tuple):
        return [name for entry in target.elts for name in _names(entry)]
    return [target.id] if isinstance(target, ast.Name) else []


def _count(target: ast.expr) -> int:
    return sum(map(_count, target.elts)) if isinstance(target, ast.Tuple) else 1


def _drop(source: Source, mark: _Mark) -> None:
    body: list[ast.stmt] = []
    for statement in source.tree.body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            body.append(statement)
        elif statement in mark.live:
            if isinstance(statement, ast.ClassDef):
                _drop_members(source, statement, mark)
            body.append(statement)
        elif isinstance(statement, ast.Assign):
            refuse_effects(source, statement.value)
    source.tree.body = body
    used = _loaded_names(source.tree)
    for node in ast.walk(source.tree):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list):
                kept = [one for one in block if _prune_import(one, used, mark, source)]
                if not kept and block and field == "body" and not isinstance(node, ast.Module):
                    kept = [ast.Pass()]
                setattr(node, field, kept)


def _loaded_names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _prune_import(statement: ast.stmt, used: set[str], mark: _Mark, source: Source) -> bool:
    """Takes unused names out of an import; whether anything is left of it."""
    if not isinstance(statement, ast.Import | ast.ImportFrom):
        return True
    statement.names = [
        alias
        for alias in statement.names
        if (alias.asname or alias.name.split(".")[0]) in used
        or Target("name", source.name, alias.asname or alias.name) in mark.used
    ]
    return bool(statement.names)


def _drop_members(source: Source, made: ast.ClassDef, mark: _Mark) -> None:
    kept: list[ast.stmt] = []
    for member in made.body:
        if mark.is_used_member(member):
            kept += [] if is_stub(member) else [member]
        elif isinstance(member, ast.Assign):
            refuse_effects(source, member.value)
    made.body = kept or [ast.Pass()]


def is_stub(member: ast.stmt) -> bool:
    """A method that only says that a subclass is to fill it in."""
    if not isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    only = member.body[0]
    return (
        len(member.body) == 1
        and isinstance(only, ast.Raise)
        and only.exc is not None
        and ast.unparse(only.exc) in ("NotImplementedError", "NotImplementedError()")
    )
