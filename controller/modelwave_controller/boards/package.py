"""The agent as boards install it, by all three ways that MicroPython has.

package.json       `mpremote mip install` and `mip.install` take the agent from it
http.json, …       the same for a part that not every board needs
modelwave_agent/   the .mpy files that these name
manifest.py        freezes it into a firmware, from source/: a firmware compiles its own
names.json         what the short names stand for (`modelwave board traceback`)
"""

import json
from importlib.metadata import version
from pathlib import Path

from modelwave_controller.boards import compiling, linker, sources
from modelwave_controller.errors import OperatorError

INDEX = "package.json"
# Beside the agent with MQTT, file blocks and functions as models.
PARTS = {
    "http.json": "modelwave_agent.board.http",
    "mqtt_as.json": "modelwave_agent.board.mqtt_as",
    "microlite.json": "modelwave_agent.board.runtime_microlite",
    "ml.json": "modelwave_agent.board.runtime_ml",
}
INDEXES = (INDEX, *PARTS)
MANIFEST = """\
# Freezes modelwave's agent into a firmware: include("…/manifest.py") in the board's own.
package("modelwave_agent", base_path="source", opt=3)
"""

Files = dict[str, bytes]  # path, with /: content


def build(rename: bool = True) -> Files:
    """Everything; the same bytes from the same sources. Raises OperatorError."""
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
    """Into a new folder, or one that this made. Raises OperatorError."""
    if folder.exists() and not folder.is_dir():
        raise OperatorError(f"{folder} is a file; name a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / INDEX).is_file():
        raise OperatorError(f"{folder} holds something else; name a new folder")
    for path in sorted(files):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(files[path])
    for old in sorted(folder.rglob("modelwave_agent/**/*.*")):
        if old.relative_to(folder).as_posix() not in files:
            old.unlink()
