"""The style sheet, script and picture of the page: few, small, and held in memory."""

import hashlib
from importlib.resources import files
from typing import NamedTuple

TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
LONG = {"Cache-Control": "public, max-age=31536000, immutable"}


class StaticFile(NamedTuple):
    """`version` stands in links to it, so that browsers may keep it for long."""

    data: bytes
    content_type: str
    version: str


def static_files() -> dict[str, StaticFile]:
    """Returns them by name."""
    found = {}
    for one in (files("modelwave_controller.web") / "static").iterdir():
        kind = next((TYPES[end] for end in TYPES if one.name.endswith(end)), None)
        if kind:
            data = one.read_bytes()
            found[one.name] = StaticFile(data, kind, hashlib.sha256(data).hexdigest()[:12])
    return found
