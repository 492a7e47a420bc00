"""Where each name of a module is bound: the compiler's scopes, for all nodes that name.

Python's rules: a function's names are those that are stored anywhere in it; a class body's
are seen only in the body itself; a comprehension is a function whose first iterable belongs
to what is around it.
"""

import ast
from collections.abc import Iterable, Iterator

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


class Scope:
    def __init__(self, kind: str, node: ast.AST, outer: "Scope | None") -> None:
        """`kind`: module, class or function."""
        self.kind = kind
        self.node = node
        self.outer = outer
        self.bound: dict[str, list[ast.AST]] = {}  # name: what binds it
        self.elsewhere: dict[str, str] = {}  # name: global or nonlocal
        self.names: set[str] = set()  # all that are used right here
        self.inner: list[Scope] = []
        if outer is not None:
            outer.inner.append(self)

    def lookup(self, name: str) -> "Scope | None":
        """The scope that a load or store of `name` in this one goes to; None: a builtin."""
        scope: Scope | None = self
        if self.elsewhere.get(name) == "global":
            while scope is not None and scope.outer is not None:
                scope = scope.outer
        first = True
        while scope is not None:
            usable = first or scope.kind != "class"
            if usable and name in scope.bound and name not in scope.elsewhere:
                return scope
            scope, first = scope.outer, False
        return None


class Scopes:
    """`module` is the module's scope, `uses` every (node, name, scope it is in)."""

    def __init__(self, tree: ast.Module) -> None:
        self.module = Scope("module", tree, None)
        self.uses: list[tuple[ast.AST, str, Scope]] = []
        self.all = [self.module]
        self._visit_all(tree.body, self.module)

    def _use(self, node: ast.AST, name: str, scope: Scope) -> None:
        self.uses.append((node, name, scope))
        scope.names.add(name)

    def _new(self, kind: str, node: ast.AST, outer: Scope) -> Scope:
        scope = Scope(kind, node, outer)
        self.all.append(scope)
        return scope

    def _bind(self, name: str, node: ast.AST, scope: Scope) -> None:
        target = scope
        if scope.elsewhere.get(name) == "global":
            target = self.module
        target.bound.setdefault(name, []).append(node)
        self._use(node, name, scope)

    def _visit_all(self, nodes: Iterable[ast.AST | None], scope: Scope) -> None:
        for node in nodes:
            if node is not None:
                self._visit(node, scope)

    def _visit(self, node: ast.AST, scope: Scope) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            self._function(node, scope)
        elif isinstance(node, ast.ClassDef):
            self._bind(node.name, node, scope)
            self._visit_all([*node.decorator_list, *node.bases, *node.keywords], scope)
            self._visit_all(node.body, self._new("class", node, scope))
        elif isinstance(node, Comprehension):
            self._comprehension(node, scope)
        elif isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load):
                self._use(node, node.id, scope)
            else:
                self._bind(node.id, node, scope)
        elif isinstance(node, ast.Global | ast.Nonlocal):
            for name in node.names:
                scope.elsewhere[name] = type(node).__name__.lower()
                self._use(node, name, scope)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                self._bind(alias.asname or alias.name.split(".")[0], alias, scope)
        else:
            if isinstance(node, ast.ExceptHandler) and node.name:
                self._bind(node.name, node, scope)
            self._visit_all(ast.iter_child_nodes(node), scope)

    def _function(self, node: Function, scope: Scope) -> None:
        if not isinstance(node, ast.Lambda):
            self._bind(node.name, node, scope)
            self._visit_all(node.decorator_list, scope)
        self._visit_all([*node.args.defaults, *node.args.kw_defaults], scope)
        inner = self._new("function", node, scope)
        for argument in arguments(node.args):
            self._bind(argument.arg, argument, inner)
        body = node.body if isinstance(node.body, list) else [node.body]
        # `global` counts for the whole function, wherever it stands.
        for statement in body:
            for found in own_nodes(statement):
                if isinstance(found, ast.Global | ast.Nonlocal):
                    self._visit(found, inner)
        self._visit_all(body, inner)

    def _comprehension(self, node: Comprehension, scope: Scope) -> None:
        inner = self._new("function", node, scope)
        self._visit(node.generators[0].iter, scope)
        for index, part in enumerate(node.generators):
            self._visit(part.target, inner)
            self._visit_all(part.ifs if index == 0 else [part.iter, *part.ifs], inner)
        if isinstance(node, ast.DictComp):
            self._visit_all([node.key, node.value], inner)
        else:
            self._visit(node.elt, inner)


def arguments(given: ast.arguments) -> list[ast.arg]:
    """All parameters, in the order of the signature."""
    found = [*given.posonlyargs, *given.args]
    found += [given.vararg] if given.vararg else []
    found += given.kwonlyargs
    return found + ([given.kwarg] if given.kwarg else [])


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """`node` and what is under it, but not the insides of functions and classes in it."""
    yield node
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
        for child in ast.iter_child_nodes(node):
            yield from own_nodes(child)


def makes_its_function(node: ast.AST) -> bool:
    """Whether it binds a name, or makes a generator of the function that it stands in."""
    if isinstance(node, ast.Name):
        return not isinstance(node.ctx, ast.Load)
    if isinstance(node, ast.ExceptHandler):
        return node.name is not None
    return isinstance(
        node,
        ast.Yield
        | ast.YieldFrom
        | ast.FunctionDef
        | ast.AsyncFunctionDef
        | ast.ClassDef
        | ast.Import
        | ast.ImportFrom
        | ast.Global
        | ast.Nonlocal,
    )
