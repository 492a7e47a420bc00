"""The modules that a board gets: read as files, found by following imports from the roots.

What never runs on a board is cut as a module is read: docstrings, annotations, assertions,
blocks under TYPE_CHECKING, and attempts to import what no board has.
"""

import ast
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from modelwave_controller.boards.interpreter import MODULES, ONLY_ON_BOARDS
from modelwave_controller.errors import OperatorError

PACKAGES = ("modelwave_agent", "modelwave_shared")
HOST = "modelwave_agent.host"
# Calls that may be left out with what they are for.
WITHOUT_EFFECT = (
    *("isinstance", "callable", "len", "bytes", "bytearray", "tuple", "set", "frozenset"),
    *("range", "const", "struct.calcsize", "int.from_bytes"),
)


class Refused(OperatorError):
    """The linker cannot treat something safely; the message names file and line."""

    def __init__(self, source: "Source", node: ast.AST, problem: str) -> None:
        super().__init__(f"{source.path}:{getattr(node, 'lineno', 1)}: {problem}")


class Source:
    """One module. `tree` is what is worked on."""

    def __init__(self, name: str, path: Path, text: str) -> None:
        self.name = name
        self.path = path
        self.is_package = path.name == "__init__.py"
        try:
            self.tree = ast.parse(text, str(path))
        except SyntaxError as error:
            raise OperatorError(f"{path}:{error.lineno}: {error.msg}") from error
        Trim(self).visit(self.tree)


Sources = dict[str, Source]


def package_folders() -> dict[str, Path]:
    """Where the installed packages are; they are read, never imported."""
    folders = {}
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise OperatorError(f"{package} is not installed beside the controller")
        folders[package] = Path(next(iter(spec.submodule_search_locations)))
    return folders


def read(roots: Iterable[str], folders: Mapping[str, Path]) -> Sources:
    """`roots` (names of modules, or of packages with a `.*`) and all that they import."""
    found: Sources = {}
    left = [name for root in roots for name in _expanded(root, folders)]
    while left:
        name = left.pop()
        path = find(name, folders)
        if name in found or path is None:
            continue
        if name == HOST or name.startswith(HOST + "."):
            raise OperatorError(f"{name} is for hosts, but a board's module imports it")
        found[name] = Source(name, path, path.read_text(encoding="utf-8"))
        for node in ast.walk(found[name].tree):
            left += [name for name in imported(node) if is_own(name, folders)]
    if not found:
        raise OperatorError(f"nothing to build: there is no {', '.join(roots)}")
    return dict(sorted(found.items()))


def _expanded(root: str, folders: Mapping[str, Path]) -> list[str]:
    if not root.endswith(".*"):
        return [root]
    package = root.removesuffix(".*")
    folder = folders[package.split(".")[0]].joinpath(*package.split(".")[1:])
    return [f"{package}.{path.stem}" for path in sorted(folder.glob("[!_]*.py"))]


def find(name: str, folders: Mapping[str, Path]) -> Path | None:
    """The file of the module `name`, or None if there is none such."""
    package, *rest = name.split(".")
    if package not in folders:
        return None
    folder = folders[package]
    paths = [folder.joinpath(*rest, "__init__.py")]
    if rest:
        paths.append(folder.joinpath(*rest[:-1], rest[-1] + ".py"))
    return next((path for path in paths if path.is_file()), None)


def imported(node: ast.AST) -> Iterator[str]:
    """Names of all modules that an import statement may mean, and of their packages."""
    names: list[str] = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module:
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    for name in names:
        parts = name.split(".")
        for length in range(1, len(parts) + 1):
            yield ".".join(parts[:length])


def is_own(name: str, packages: Iterable[str] = PACKAGES) -> bool:
    return name.split(".")[0] in packages


class Trim(ast.NodeTransformer):
    """Cuts what never runs on a board."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def visit_Module(self, node: ast.Module) -> ast.Module:
        node.body = self.block(node.body, may_be_empty=True)
        for statement in node.body:
            self.visit(statement)
        return node

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list):
                setattr(node, field, self.block(block, may_be_empty=field != "body"))
        return super().generic_visit(node)

    def block(self, statements: list[ast.stmt], may_be_empty: bool) -> list[ast.stmt]:
        kept: list[ast.stmt] = []
        for statement in statements:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                continue  # a docstring
            if isinstance(statement, ast.Assert):
                refuse_effects(self.source, statement)
                continue
            if _is_for_types(statement):
                continue
            if isinstance(statement, ast.AnnAssign):
                if statement.value is None:
                    continue
                assign = ast.Assign(targets=[statement.target], value=statement.value)
                kept.append(ast.copy_location(assign, statement))
            elif isinstance(statement, ast.Try) and _never_imports(statement):
                kept += self.block(_without_import(statement), may_be_empty=True)
            else:
                kept.append(statement)
        if not kept and not may_be_empty:
            kept.append(ast.Pass())
        return kept

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> Any:
        node.annotation = None
        return node


def refuse_effects(source: Source, left_out: ast.AST) -> None:
    """What is left out must do nothing but come to a value."""
    for node in ast.walk(left_out):
        is_call = isinstance(node, ast.Call) and ast.unparse(node.func) not in WITHOUT_EFFECT
        if is_call or isinstance(node, ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom):
            raise Refused(source, node, "it is left out, but may do something")


def _is_for_types(statement: ast.stmt) -> bool:
    """`TYPE_CHECKING = False` and `if TYPE_CHECKING:`"""
    if isinstance(statement, ast.Assign):
        return [ast.unparse(target) for target in statement.targets] == ["TYPE_CHECKING"]
    return (
        isinstance(statement, ast.If)
        and ast.unparse(statement.test) == "TYPE_CHECKING"
        and not statement.orelse
    )


def _never_imports(statement: ast.Try) -> bool:
    """A `try` that begins with the import of something that no board has, and says what is
    then to be done."""
    first = statement.body[0]
    if not isinstance(first, ast.Import | ast.ImportFrom) or not _import_handler(statement):
        return False
    return all(
        not is_own(name) and name.split(".")[0] not in MODULES.keys() | ONLY_ON_BOARDS
        for name in imported(first)
    )


def _import_handler(statement: ast.Try) -> ast.ExceptHandler | None:
    for handler in statement.handlers:
        if handler.type and ast.unparse(handler.type) in ("ImportError", "ModuleNotFoundError"):
            return None if handler.name else handler
    return None


def _without_import(statement: ast.Try) -> list[ast.stmt]:
    handler = _import_handler(statement)
    assert handler is not None
    return handler.body + statement.finalbody
