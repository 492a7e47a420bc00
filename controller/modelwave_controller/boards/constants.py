"""Constants on the module's level are put where they are used, and what follows is worked out.

An integer in the code is smaller, faster and takes no RAM in a dict of globals. Long texts
and large numbers that are used in several places stay where they are.
"""

import ast
import operator
from collections import Counter
from collections.abc import Iterable
from typing import Any

from modelwave_controller.boards.interpreter import MODULES
from modelwave_controller.boards.program import Program, Target
from modelwave_controller.boards.scopes import makes_its_function, own_nodes
from modelwave_controller.boards.sources import Refused, Source, Sources

MAX_INTEGER = 10**20  # a larger one has more digits than a name costs
MIN_PACKED = 2**160  # of an integer that is shorter as bytes
MAX_SHIFT = 1024  # what is worked out stays a number that one can look at
MAX_TEXT = 10  # longer texts are no shared strings in an .mpy
# Modules of which every board has the same: hasattr() is known of them.
SAME_EVERYWHERE = ("gc", "hashlib")

_OPERATORS: dict[type[ast.operator], Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.Pow: operator.pow,
}


def inline(sources: Sources) -> None:
    """Until nothing more follows."""
    split_assignments(sources)
    while _round(Program(sources)):
        pass


def pack_integers(sources: Sources) -> None:
    """An .mpy has large integers in decimal; the bytes are less than half as long. Only on the
    module's level, where it is worked out once."""
    for source in sources.values():
        for statement in source.tree.body:
            if isinstance(statement, ast.Assign):
                statement.value = _Pack().visit(statement.value)


class _Pack(ast.NodeTransformer):
    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """The compiler would work it out, and write it in decimal."""
        value = _worked_out(node)
        return self._packed(node, value) if value else self._inside(node)

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return self._packed(node, _integer(node))

    def _packed(self, node: ast.expr, value: int) -> ast.expr:
        if value < MIN_PACKED:
            return node
        data = value.to_bytes((value.bit_length() + 7) // 8, "little")
        packed = ast.parse(f"int.from_bytes({data!r}, 'little')", mode="eval").body
        return ast.copy_location(packed, node)

    def _inside(self, node: ast.BinOp) -> ast.BinOp:
        self.generic_visit(node)
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        return node


def split_assignments(sources: Sources) -> None:
    """`A, B = 1, 2` on the module's level becomes two assignments."""
    for source in sources.values():
        body: list[ast.stmt] = []
        for statement in source.tree.body:
            body += _split(statement)
        source.tree.body = body


def _split(statement: ast.stmt) -> list[ast.stmt]:
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target, value = statement.targets[0], statement.value
        if (
            isinstance(target, ast.Tuple)
            and isinstance(value, ast.Tuple)
            and len(target.elts) == len(value.elts)
            and all(isinstance(entry, ast.Constant) for entry in value.elts)
        ):
            return [
                ast.copy_location(ast.Assign(targets=[left], value=right), statement)
                for left, right in zip(target.elts, value.elts, strict=True)
            ]
    return [statement]


def _round(program: Program) -> bool:
    constants = _constants(program)
    changed = False
    for source in program.sources.values():
        change = _Inline(program, source, constants)
        change.visit(source.tree)
        changed = changed or change.changed
    return changed


def _constants(program: Program) -> dict[Target, ast.expr]:
    uses = Counter(program.targets.values())
    found: dict[Target, ast.expr] = {}
    for name, source in program.sources.items():
        bound = program.scopes[name].module.bound
        for statement in source.tree.body:
            if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
                continue
            target = statement.targets[0]
            if isinstance(target, ast.Name) and len(bound[target.id]) == 1:
                key = Target("name", name, target.id)
                if _pays(statement.value, uses[key] - 1):
                    found[key] = statement.value
    return found


def _pays(value: ast.expr, uses: int) -> bool:
    if isinstance(value, ast.Tuple):
        return uses == 1 and all(
            isinstance(entry, ast.Constant) and _integer(entry) < MIN_PACKED for entry in value.elts
        )
    if not isinstance(value, ast.Constant):
        return False
    given = value.value
    if isinstance(given, bool | None):
        return True
    if isinstance(given, int):
        return abs(given) < MAX_INTEGER
    return isinstance(given, str | bytes) and (len(given) <= MAX_TEXT or uses == 1)


class _Inline(ast.NodeTransformer):
    def __init__(self, program: Program, source: Source, constants: dict[Target, ast.expr]) -> None:
        self.program = program
        self.source = source
        self.constants = constants
        self.changed = False
        self.in_function = 0
        uses = program.scopes[source.name].uses
        self.builtins = {node for node, name, scope in uses if scope.lookup(name) is None}

    def _put(self, old: ast.AST, new: ast.AST) -> ast.AST:
        self.changed = True
        return ast.copy_location(new, old)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self._constant(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        return self._constant(node)

    def _constant(self, node: ast.Name | ast.Attribute) -> ast.AST:
        target = self.program.targets.get(node)
        if target in self.constants and isinstance(node.ctx, ast.Load):
            value = self.constants[target]
            return self._put(node, ast.parse(ast.unparse(value), mode="eval").body)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        calculate = _OPERATORS.get(type(node.op))
        left, right = _value(node.left), _value(node.right)
        if calculate and type(left) is int and type(right) is int:
            large = isinstance(node.op, ast.Pow | ast.LShift) and not 0 <= right < 64
            if not large and not (right == 0 and isinstance(node.op, ast.FloorDiv | ast.Mod)):
                result = calculate(left, right)
                if 0 <= result < MAX_INTEGER:
                    return self._put(node, ast.Constant(result))
        if (
            isinstance(node.op, ast.Add)
            and type(left) is type(right)
            and type(left) in (str, bytes)
        ):
            return self._put(node, ast.Constant(left + right))
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        values = [_value(argument) for argument in node.args]
        called = node.func.id if isinstance(node.func, ast.Name) else ""
        if called in ("len", "hasattr") and node.func not in self.builtins:
            return node
        if called == "len" and len(values) == 1 and _has_length(values[0]):
            return self._put(node, ast.Constant(len(values[0])))
        if called == "const" and self.program.foreign_module(node.func) and len(values) == 1:
            return self._put(node, node.args[0])
        if called == "hasattr" and len(values) == 2:
            module = self.program.foreign_module(node.args[0])
            if module in SAME_EVERYWHERE:
                return self._put(node, ast.Constant(values[1] in MODULES[module]))
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        operands = [node.left, *node.comparators]
        if len(operands) == 2 and all(isinstance(one, ast.Constant) for one in operands):
            same = _value(node.left) is None and _value(node.comparators[0]) is None
            if isinstance(node.ops[0], ast.Is | ast.IsNot) and same:
                return self._put(node, ast.Constant(isinstance(node.ops[0], ast.Is)))
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.test, ast.Constant):
            taken, left = (node.body, node.orelse)[:: 1 if node.test.value else -1]
            self._leave_out([left])
            return self._put(node, taken)
        return node

    def visit_If(self, node: ast.If) -> Any:
        self.generic_visit(node)
        if isinstance(node.test, ast.Constant):
            self.changed = True
            taken, left = (node.body, node.orelse)[:: 1 if node.test.value else -1]
            self._leave_out(left)
            return taken or ast.Pass()
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: ast.AST) -> ast.AST:
        self.in_function += 1
        self.generic_visit(node)
        self.in_function -= 1
        return node

    def _leave_out(self, branch: Iterable[ast.AST]) -> None:
        """In a function also what never runs has a meaning: what it binds is local."""
        for node in (found for one in branch for found in own_nodes(one)):
            if self.in_function and makes_its_function(node):
                raise Refused(self.source, node, "a branch never runs, but says what is local")


def _integer(node: ast.AST) -> int:
    value = _value(node)
    return value if type(value) is int else 0


def _worked_out(node: ast.AST) -> int:
    """What powers, shifts, sums and differences of integers come to; 0 for anything else."""
    if not isinstance(node, ast.BinOp):
        return _integer(node)
    left, right = _worked_out(node.left), _worked_out(node.right)
    bounded = right < MAX_SHIFT or isinstance(node.op, ast.Add | ast.Sub)
    calculate = _OPERATORS.get(type(node.op))
    return int(calculate(left, right)) if calculate and left and right and bounded else 0


def _has_length(value: Any) -> bool:
    """MicroPython's texts count characters, too, but nobody has to rely on it."""
    return isinstance(value, bytes) or (isinstance(value, str) and value.isascii())


def _value(node: ast.AST) -> Any:
    return node.value if isinstance(node, ast.Constant) else ...
