"""All modules together: which name in which of them means what.

A target is what a name stands for: ("module", MODULE, "") or ("name", MODULE, NAME), a name
on the module's level. Names that are imported are followed to where they are made.
"""

import ast
from typing import NamedTuple

from modelwave_controller.boards.scopes import Scope, Scopes
from modelwave_controller.boards.sources import Refused, Source, Sources, is_own


class Target(NamedTuple):
    kind: str  # module or name
    module: str
    name: str = ""


class Program:
    """A view of `sources`, to be made anew after they were changed."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.scopes = {name: Scopes(source.tree) for name, source in sources.items()}
        # What each Name node was found to be; only for those that stand for a target.
        self.targets: dict[ast.AST, Target] = {}
        self._foreign: dict[ast.AST, str] = {}
        self._imports: dict[ast.AST, Target] = {}  # alias nodes
        for source in sources.values():
            self._read_imports(source)
        for source in sources.values():
            self._resolve(source)

    def _read_imports(self, source: Source) -> None:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ImportFrom):
                if node.level:
                    raise Refused(source, node, "a relative import")
                if is_own(node.module or ""):
                    self._read_import(source, node)
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    if is_own(alias.name):
                        raise Refused(source, node, f"say `from … import` for {alias.name}")

    def _read_import(self, source: Source, node: ast.ImportFrom) -> None:
        assert node.module is not None
        for alias in node.names:
            if alias.name == "*":
                raise Refused(source, node, "import * hides which names are used")
            module = f"{node.module}.{alias.name}"
            if module in self.sources:
                self._imports[alias] = Target("module", module)
            elif alias.name in self._level(node.module):
                self._imports[alias] = Target("name", node.module, alias.name)
            else:
                raise Refused(source, node, f"there is no {module}")

    def _level(self, module: str) -> dict[str, list[ast.AST]]:
        return self.scopes[module].module.bound if module in self.sources else {}

    def imported(self, alias: ast.alias) -> Target | None:
        """What an alias in an import of our own brings, followed to where it is made."""
        target = self._imports.get(alias)
        return target and self.followed(target)

    def followed(self, target: Target) -> Target:
        seen = set()
        while target.kind == "name" and target not in seen:
            seen.add(target)
            binders = self.scopes[target.module].module.bound.get(target.name, [])
            if len(binders) == 1 and binders[0] in self._imports:
                target = self._imports[binders[0]]
            else:
                break
        return target

    def meaning(self, source: Source, name: str, scope: Scope) -> Target | None:
        """The target of `name` as used in `scope`; None if it is local, or not ours."""
        owner = scope.lookup(name)
        if owner is None:
            return None
        ours = [binder for binder in owner.bound[name] if binder in self._imports]
        if ours:
            if len(owner.bound[name]) > 1:
                targets = {self.followed(self._imports[binder]) for binder in ours}
                if len(targets) > 1 or len(ours) < len(owner.bound[name]):
                    raise Refused(source, ours[0], f"{name} is imported and bound again")
            return self.followed(self._imports[ours[0]])
        if owner.kind != "module" or any(isinstance(one, ast.alias) for one in owner.bound[name]):
            return None
        return Target("name", source.name, name)

    def _resolve(self, source: Source) -> None:
        for node, name, scope in self.scopes[source.name].uses:
            if isinstance(node, ast.Name):
                target = self.meaning(source, name, scope)
                if target:
                    self.targets[node] = target
                owner = scope.lookup(name)
                binders = owner.bound[name] if owner else []
                alias = binders[0] if len(binders) == 1 else None
                if isinstance(alias, ast.alias) and alias not in self._imports:
                    self._foreign[node] = alias.name
        receivers = set()
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                target = self.targets.get(node.value)
                if target and target.kind == "module":
                    receivers.add(node.value)
                    inner = f"{target.module}.{node.attr}"
                    if inner in self.sources:
                        raise Refused(source, node, f"say `from … import` for {inner}")
                    if node.attr not in self.scopes[target.module].module.bound:
                        raise Refused(source, node, f"{target.module} has no {node.attr}")
                    self.targets[node] = self.followed(Target("name", target.module, node.attr))
        for node, _, _ in self.scopes[source.name].uses:
            target = self.targets.get(node)
            if target and target.kind == "module" and node not in receivers:
                raise Refused(source, node, f"the module {target.module} is used as a value")

    def foreign_module(self, node: ast.AST) -> str | None:
        """The name of the module, not ours, that `node` stands for."""
        return self._foreign.get(node)
