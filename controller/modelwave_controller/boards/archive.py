"""Packs the agent for boards into the one file of its release. A board does not unpack it: its boot
module mounts the file (class Package of board/boot.py in modelwave_agent says what is in it)."""

from collections.abc import Mapping

_HEAD = b"MWP1 %08x\n"


def pack(files: Mapping[str, bytes]) -> bytes:
    """Returns the package of the files, {path with /: content}; the same files give the same
    bytes."""
    index = b"\n"
    at = 0
    for path, content in sorted(files.items()):
        index += b"%s %d %d\n" % (path.encode(), at, len(content))
        at += len(content)
    return _HEAD % len(index) + index + b"".join(content for _, content in sorted(files.items()))
