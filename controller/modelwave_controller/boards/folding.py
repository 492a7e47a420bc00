"""A function of one expression that is called at one place is written out there.

On a board a function takes about 80 bytes of RAM before it does anything. Its arguments
must be plain (`self.device["fleet"]`), as they are then worked out in another order; and
before anything is called there, which might change them.
"""

import ast
import copy
import typing
from collections import defaultdict
from collections.abc import Iterator

from modelwave_controller.boards.program import Program, Target
from modelwave_controller.boards.scopes import Comprehension, arguments
from modelwave_controller.boards.sources import Sources

# What has names of its own, or makes its function something else than a function.
_NOT_ELSEWHERE = (
    *typing.get_args(Comprehension),
    ast.Lambda,
    ast.NamedExpr,
    ast.Yield,
    ast.YieldFrom,
    ast.Await,
)


def fold(sources: Sources, keep: set[str]) -> None:
    """`keep`: names of functions that are called from outside."""
    while _round(Program(sources), keep):
        pass


def _round(program: Program, keep: set[str]) -> bool:
    uses: dict[Target, list[ast.AST]] = defaultdict(list)
    for node, target in program.targets.items():
        uses[target].append(node)
    for name, source in program.sources.items():
        calls = {node.func: node for node in ast.walk(source.tree) if isinstance(node, ast.Call)}
        for statement in source.tree.body:
            if not isinstance(statement, ast.FunctionDef) or statement.name in keep:
                continue
            places = uses[Target("name", name, statement.name)]
            call = calls.get(places[0]) if len(places) == 1 else None  # type: ignore[call-overload]
            if call and _fits(program, statement, call) and _sees(program, name, statement, call):
                _write_out(source.tree, statement, call)
                return True
    return False


def _fits(program: Program, function: ast.FunctionDef, call: ast.Call) -> bool:
    parameters = [one.arg for one in arguments(function.args)]
    only = function.body[0]
    if len(function.body) > 1 or not isinstance(only, ast.Return) or only.value is None:
        return False
    # No defaults, no keywords, nothing with names of its own.
    if len(function.args.args) != len(parameters) or len(call.args) != len(parameters):
        return False
    if function.decorator_list:
        return False
    found = list(ast.walk(only.value))
    if any(isinstance(node, _NOT_ELSEWHERE) for node in found):
        return False
    names = [node.id for node in found if isinstance(node, ast.Name)]
    late = _read_late(only.value)
    return all(
        isinstance(given, ast.Constant)
        or (isinstance(given, ast.Name) and _stays(program, given))
        or (_is_plain(given) and names.count(parameter) == 1 and parameter not in late)
        for parameter, given in zip(parameters, call.args, strict=True)
    )


def _read_late(value: ast.expr) -> set[str]:
    """The names that are read after something was called."""
    late: set[str] = set()
    called = False
    for node in _in_order(value):
        called = called or isinstance(node, ast.Call)
        if called and isinstance(node, ast.Name):
            late.add(node.id)
    return late


def _in_order(node: ast.AST) -> Iterator[ast.AST]:
    """As they are worked out: what is inside comes first."""
    for child in ast.iter_child_nodes(node):
        yield from _in_order(child)
    yield node


def _is_plain(given: ast.expr) -> bool:
    plain = (ast.Name, ast.Constant, ast.Attribute, ast.Subscript, ast.expr_context)
    return all(isinstance(node, plain) for node in ast.walk(given))


def _stays(program: Program, given: ast.Name) -> bool:
    """Whether the name is bound once, or in one function alone: no call changes it."""
    scopes = next(s for s in program.scopes.values() if any(n is given for n, _, _ in s.uses))
    owner = next(scope for node, _, scope in scopes.uses if node is given).lookup(given.id)
    if owner is None or owner.kind != "function":
        return owner is None or len(owner.bound[given.id]) == 1
    return all(scope.elsewhere.get(given.id) != "nonlocal" for scope in scopes.all)


def _sees(program: Program, module: str, function: ast.FunctionDef, call: ast.Call) -> bool:
    """Whether the function's names mean the same at `call`, which is not in itself."""
    place = call.func
    inside = set(ast.walk(function))
    scope = next(s for node, _, s in program.scopes[module].uses if node is place)
    names = {node.id for node in inside if isinstance(node, ast.Name)}
    owners = [scope.lookup(name) for name in names - {one.arg for one in function.args.args}]
    return place not in inside and all(owner is None or owner.kind == "module" for owner in owners)


def _write_out(tree: ast.Module, function: ast.FunctionDef, call: ast.Call) -> None:
    returned = function.body[0]
    assert isinstance(returned, ast.Return)
    assert returned.value is not None
    names = [one.arg for one in function.args.args]
    value = _Put(dict(zip(names, call.args, strict=True))).visit(returned.value)
    tree.body.remove(function)
    _Replace(call, value).visit(tree)


class _Put(ast.NodeTransformer):
    def __init__(self, given: dict[str, ast.expr]) -> None:
        self.given = given

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return copy.deepcopy(self.given.get(node.id, node))


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.expr) -> None:
        self.old = old
        self.new = new

    def visit(self, node: ast.AST) -> ast.AST:
        if node is self.old:
            return ast.copy_location(self.new, node)
        return self.generic_visit(node)
