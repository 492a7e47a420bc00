"""The agent as boards install it, by all three ways that MicroPython has.

package.json       `mpremote mip install` and `mip.install` take the agent from it
http.json, …       the same for a part that not every board needs
modelwave_agent/   the .mpy files that these name
manifest.py        freezes it into a firmware, from source/: a firmware compiles its own
names.json         what the short names stand for (`modelwave board traceback`)
"""

import json
import re
from importlib.metadata import version
from pathlib import Path

from modelwave_controller.boards import compiling, linker, sources
from modelwave_controller.errors import OperatorError

INDEX = "package.json"
# Beside the agent with MQTT, file blocks and functions as models.
PARTS = {
    "http.json": "modelwave_agent.board.http",
    "mqtt_as.json": "modelwave_agent.board.mqtt_as",
    "tls.json": "modelwave_agent.board.tls_context",
    "microlite.json": "modelwave_agent.board.runtime_microlite",
    "ml.json": "modelwave_agent.board.runtime_ml",
}
INDEXES = (INDEX, *PARTS)
MARK = "# Freezes modelwave's agent into a firmware"
# FROZEN_MANIFEST takes the place of the board's own manifest, or of the port's where the board
# has none; what is in there, such as asyncio, the firmware still needs. An `include` of a file
# that is not there fails for that reason; one that is there and wrong fails for its own.
MANIFEST = f"""\
{MARK}, beside what is in there without it.
try:
    include("$(BOARD_DIR)/manifest.py")
except Exception as error:
    if not isinstance(error.__context__, FileNotFoundError):
        raise
    include("$(PORT_DIR)/boards/manifest.py")
package("modelwave_agent", base_path="source", opt=3)
"""

Files = dict[str, bytes]  # path, with /: content


def build(rename: bool = True) -> Files:
    """Everything; the same bytes from the same sources. Raises OperatorError."""
    compiling.compiler()  # to find at the end that there is none would take seconds
    linked = linker.link(linker.ROOTS, sources.package_folders(), rename=rename)
    files: Files = {}
    for name, text in linked.texts.items():
        files[place(name)] = compiling.compiled(text, name.rpartition(".")[2])
        files["source/" + place(name, "py")] = text.encode()
    parts = {index: name for index, name in PARTS.items() if name in linked.texts}
    for index, name in parts.items():
        files[index] = _index([name])
    files[INDEX] = _index([name for name in linked.texts if name not in parts.values()])
    files["manifest.py"] = MANIFEST.encode()
    files["names.json"] = _json(linked.names)
    return files


def place(name: str, ending: str = "mpy") -> str:
    return f"{name.replace('.', '/')}.{ending}"


def _index(names: list[str]) -> bytes:
    """What mip reads: [place on the board, place from where this was read]."""
    return _json({"version": version("modelwave"), "urls": [[place(name)] * 2 for name in names]})


def absolute(index: bytes, base: str) -> bytes:
    """An index whose files are at `base`: mip before 0.4 (MicroPython 1.25) takes no relative
    paths."""
    found = json.loads(index)
    return _json(found | {"urls": [[path, base + source] for path, source in found["urls"]]})


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"


def installed(files: Files, index: str = INDEX) -> dict[str, int]:
    """{path: bytes} of what a board gets by this index."""
    return {path: len(files[path]) for path, _ in json.loads(files[index])["urls"]}


def write(files: Files, folder: Path) -> None:
    """Into a new folder, or one that this made: what an older package had and this one has not
    is removed, and nothing else. Raises OperatorError."""
    if folder.exists() and not folder.is_dir():
        raise OperatorError(f"{folder} is a file; name a folder")
    old = _written(folder) if folder.is_dir() and any(folder.iterdir()) else set()
    for path in sorted(files):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(files[path])
    for path in old - files.keys():
        (folder / path).unlink(missing_ok=True)


_MODULE = re.compile(r"(modelwave_agent(?:/\w+)+)\.mpy")


def _written(folder: Path) -> set[str]:
    """The paths in a folder that `write` made, by the lists that are there. Raises OperatorError
    for any other folder."""
    problem = OperatorError(f"{folder} holds something else; name a new folder")
    indexes = {index for index in INDEXES if (folder / index).is_file()}
    if INDEX not in indexes or not (folder / "names.json").is_file():
        raise problem
    try:
        first = (folder / "manifest.py").read_text(encoding="utf-8").partition("\n")[0]
        lists = [json.loads((folder / index).read_bytes())["urls"] for index in indexes]
        named = [_MODULE.fullmatch(path) for urls in lists for path, _ in urls]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise problem from error
    if not first.startswith(MARK):
        raise problem
    modules = [found[1] for found in named if found]
    return indexes | {f"{m}.mpy" for m in modules} | {f"source/{m}.py" for m in modules}
