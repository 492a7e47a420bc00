"""Makes an image of ROMFS, MicroPython's read-only file system. A board whose firmware has a
partition for it executes the code from flash, without heap for it. It uses the writer of
mpremote, the tool that also deploys the image."""

from collections.abc import Mapping
from typing import Any

from modelwave_controller.errors import OperatorError


def image(files: Mapping[str, bytes]) -> bytes:
    """Returns the image of `files`, {path with /: content}. Raises OperatorError."""
    try:
        from mpremote.romfs import VfsRomWriter
    except ImportError as error:
        raise OperatorError(
            "mpremote 1.25 or newer is not installed; install it with: "
            "pip install 'modelwave[boards]'"
        ) from error
    tree: dict[str, Any] = {}  # name: content of a file, or the tree of a folder
    for path, content in files.items():
        *folders, name = path.split("/")
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = content
    writer = VfsRomWriter()
    _write(writer, tree)
    return bytes(writer.finalise())


def _write(writer: Any, tree: dict[str, Any]) -> None:
    for name, content in sorted(tree.items()):
        if isinstance(content, dict):
            writer.opendir(name)
            _write(writer, content)
            writer.closedir()
        else:
            writer.mkfile(name, content)
