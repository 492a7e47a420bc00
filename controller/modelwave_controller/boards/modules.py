"""Which modules a board needs: those that its programs import, and all that these import.

Imports are read from the sources, and nothing is imported here: the controller does not import
the agent. An import inside a function counts, as a board comes to it later; one under
`if TYPE_CHECKING:` does not, as no board comes to it.
"""

import ast
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from modelwave_controller.errors import OperatorError

PACKAGES = ("modelwave_agent", "modelwave_shared")
HOST = "modelwave_agent.host"


def package_folders() -> dict[str, Path]:
    """Where the two packages are installed."""
    folders = {}
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise OperatorError(
                f"{package} is not installed beside the controller: install modelwave as a whole"
            )
        folders[package] = Path(next(iter(spec.submodule_search_locations)))
    return folders


def reachable(roots: Iterable[str], folders: Mapping[str, Path]) -> dict[str, Path]:
    """{module: its file} of the modules `roots` and of all in `folders` that they import,
    themselves or through others. A package's `__init__.py` is none of them: MicroPython imports
    from a folder without one. Raises OperatorError."""
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
            raise OperatorError(f"{name} is for hosts, but a board's module imports it")
        found[name] = path
        left += imported(path)
    return dict(sorted(found.items()))


def source_of(name: str, folders: Mapping[str, Path]) -> Path | None:
    """The file of a module, or None: it is a package, a name in a module, or none of ours."""
    package, *rest = name.split(".")
    if package not in folders or not rest:
        return None
    path = folders[package].joinpath(*rest).with_suffix(".py")
    return path if path.is_file() else None


def imported(path: Path) -> Iterator[str]:
    """All that a source's import statements may name. `from a import b` is `a` and `a.b`, as
    only the file system tells whether b is a module."""
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
                raise OperatorError(f"{path}:{node.lineno}: a relative import; name the module")
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            left += node.orelse
        else:
            left += ast.iter_child_nodes(node)
