"""Finds the modules that a board needs: those that its programs import, and their imports.

The imports are read from the sources without importing the modules, as the controller must not
import the agent. An import inside a function counts, because a board may execute it later; one
under `if TYPE_CHECKING:` does not, because a board never executes it.
"""

import ast
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from modelwave_controller.errors import OperatorError

PACKAGES = ("modelwave_agent", "modelwave_shared")
HOST = "modelwave_agent.host"


def package_folders() -> dict[str, Path]:
    """Returns {package: its folder} of the two packages. Raises OperatorError."""
    folders = {}
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise OperatorError(
                f"{package} is not installed with the controller: install modelwave as a whole"
            )
        folders[package] = Path(next(iter(spec.submodule_search_locations)))
    return folders


def reachable(roots: Iterable[str], folders: Mapping[str, Path]) -> dict[str, Path]:
    """Returns {module: its file} of the modules `roots` and of all in `folders` that they import,
    directly or indirectly. It leaves out `__init__.py` of packages: MicroPython can import from a
    folder without one. Raises OperatorError."""
    found: dict[str, Path] = {}
    left = list(roots)
    for name in left:
        if source_of(name, folders) is None:
            raise OperatorError(f"there is no module {name}")
    while left:
        name = left.pop()
        path = source_of(name, folders)
        if path is None or name in found:
            continue
        if name == HOST or name.startswith(HOST + "."):
            raise OperatorError(f"a board's module imports {name}, which is for hosts only")
        found[name] = path
        left += imported(path)
    return dict(sorted(found.items()))


def source_of(name: str, folders: Mapping[str, Path]) -> Path | None:
    """Returns the file of a module; None for a package, a name inside a module, or a module of
    another package."""
    package, *rest = name.split(".")
    if package not in folders or not rest:
        return None
    path = folders[package].joinpath(*rest).with_suffix(".py")
    return path if path.is_file() else None


def imported(path: Path) -> Iterator[str]:
    """Yields all modules that a source's import statements may name. `from a import b` yields `a`
    and `a.b`, because only the file system shows whether b is a module. Raises OperatorError."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    except SyntaxError as error:
        raise OperatorError(f"{path}:{error.lineno}: {error.msg}") from error
    left: list[ast.AST] = [tree]
    while left:
        node = left.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level or node.module is None:
                raise OperatorError(
                    f"{path}:{node.lineno}: a relative import; write the module's full name"
                )
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            left += node.orelse
        else:
            left += ast.iter_child_nodes(node)
