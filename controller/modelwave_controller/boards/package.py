"""Builds the package of the agent for boards, for all of MicroPython's ways to install it.

package.json      the list of the agent's files for `mpremote mip install`
http.json, …      the same for an optional part
modelwave_*/      the .mpy files that the lists name, one per module
manifest.py       freezes the agent into a firmware from source/, which the firmware compiles
agent.romfs       optional: all .mpy files as one image for `mpremote romfs deploy`
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path

from modelwave_controller.boards import compiling, modules, romfs
from modelwave_controller.errors import OperatorError
from modelwave_shared import checkout, version

# The modules that a board's program imports (docs/boards.md); the package has their imports too.
ROOTS = (
    "modelwave_agent.board.agent",
    "modelwave_agent.board.mqtt",
    "modelwave_agent.board.runtime",
)
INDEX = "package.json"
# Optional parts; the agent itself has MQTT, file blocks and Python functions as models.
PARTS = {
    "http.json": ("modelwave_agent.board.http",),
    "mqtt_as.json": ("modelwave_agent.board.mqtt_as",),
    "tls.json": ("modelwave_agent.board.tls_context",),
    "enrolled.json": ("modelwave_agent.board.enrolled",),
    "serial.json": (
        "modelwave_agent.board.serial_link",
        "modelwave_agent.board.serial_fetcher",
        "modelwave_agent.board.serial_stream",
    ),
    "microlite.json": ("modelwave_agent.board.runtime_microlite",),
    "ml.json": ("modelwave_agent.board.runtime_ml",),
    "boot.json": ("modelwave_agent.board.boot",),
}
# It must import nothing of the agent, so it lies outside of its packages.
PLACES = {"modelwave_agent.board.boot": "modelwave_boot"}
INDEXES = (INDEX, *PARTS)
ROMFS = "agent.romfs"
MARK = "# Freezes modelwave's agent into a firmware"
# FROZEN_MANIFEST replaces the board's own manifest, or the port's if the board has none; the
# firmware still needs their modules, such as asyncio. Only a missing file is ignored: an `include`
# of a wrong one raises its own error.
MANIFEST = f"""\
{MARK}, in addition to the firmware's usual modules.
try:
    include("$(BOARD_DIR)/manifest.py")
except Exception as error:
    if not isinstance(error.__context__, FileNotFoundError):
        raise
    include("$(PORT_DIR)/boards/manifest.py")
package("modelwave_agent", base_path="source", opt={compiling.OPTIMISATION})
package("modelwave_shared", base_path="source", opt={compiling.OPTIMISATION})
"""

_AGENT_MODULE = re.compile(r"modelwave_(?:agent|shared)(?:/\w+)+\.mpy")

Files = dict[str, bytes]  # path, with /: content


def build() -> Files:
    """Builds all files but the image; the same commit gives the same bytes. Raises
    OperatorError."""
    folders = modules.package_folders()
    agent = modules.reachable(ROOTS, folders)
    files: Files = {INDEX: _index(agent), "manifest.py": MANIFEST.encode()}
    everything = dict(agent)
    for index, roots in PARTS.items():
        part = modules.reachable(roots, folders)
        files[index] = _index(part.keys() - agent.keys())
        everything |= part
    for name, path in everything.items():
        text = path.read_text(encoding="utf-8")
        if name == version.__name__:
            text = checkout.stamped(text)
        files[place(name)] = compiling.compiled(text, place(name, "py"))
        files["source/" + place(name, "py")] = text.encode()
    return files


def image(files: Files) -> bytes:
    """Returns the ROMFS image of the files of `build`. It has all parts, because MicroPython looks
    for a package's modules in one place only. Raises OperatorError."""
    return romfs.image(modules_of(files))


def modules_of(files: Files) -> Files:
    """Returns the modules of the agent and of all its parts, but not the boot module, which is
    never updated."""
    return {path: data for path, data in files.items() if _AGENT_MODULE.fullmatch(path)}


def place(name: str, ending: str = "mpy") -> str:
    return f"{PLACES.get(name, name).replace('.', '/')}.{ending}"


def _index(names: Iterable[str]) -> bytes:
    """Returns a list for mip; each file is [path on the board, path relative to the list]."""
    urls = [[place(name)] * 2 for name in sorted(names)]
    found = {"version": version.VERSION, "urls": urls}
    return json.dumps(found, indent=1, sort_keys=True).encode() + b"\n"


def installed(files: Files, index: str = INDEX) -> dict[str, int]:
    """Returns {path: size in bytes} of the files that a board installs with this index."""
    return {path: len(files[path]) for path, _ in json.loads(files[index])["urls"]}


def write(files: Files, folder: Path) -> None:
    """Writes the files into a new folder, or one that this function made before; there it removes
    only the files of the older package that this one does not have. Raises OperatorError."""
    if folder.exists() and not folder.is_dir():
        raise OperatorError(f"{folder} is a file; name a folder")
    old = _written(folder) if folder.is_dir() and any(folder.iterdir()) else set()
    for path in sorted(files):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(files[path])
    for path in old - files.keys():
        (folder / path).unlink(missing_ok=True)


def read(folder: Path) -> Files:
    """Returns the files that `write` has written into a folder. Raises OperatorError."""
    if not folder.is_dir():
        raise OperatorError(f"{folder} is no folder; make it with `modelwave board build`")
    paths = sorted(path for path in _written(folder) if (folder / path).is_file())
    try:
        return {path: (folder / path).read_bytes() for path in paths}
    except OSError as error:
        raise OperatorError(f"cannot read {error.filename}: {error.strerror}") from error


_MODULE = re.compile(rf"{_AGENT_MODULE.pattern}|modelwave_boot\.mpy")


def _written(folder: Path) -> set[str]:
    """Returns the paths in a folder that `write` made, by the lists in it. Raises OperatorError for
    any other folder: its manifest.py does not begin with MARK, or its package.json names other
    files than modelwave's modules."""
    problem = OperatorError(f"{folder} has other contents; name a new folder")
    try:
        first = (folder / "manifest.py").read_text(encoding="utf-8").partition("\n")[0]
        lists = {
            index: json.loads((folder / index).read_bytes())["urls"]
            for index in INDEXES
            if index == INDEX or (folder / index).is_file()
        }
        named = {index: [_MODULE.fullmatch(path) for path, _ in lists[index]] for index in lists}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise problem from error
    if not first.startswith(MARK) or not named[INDEX] or None in named[INDEX]:
        raise problem
    names = [found[0].removesuffix(".mpy") for row in named.values() for found in row if found]
    paths = {f"{name}.mpy" for name in names} | {f"source/{name}.py" for name in names}
    return paths | named.keys() | {"manifest.py", ROMFS}
