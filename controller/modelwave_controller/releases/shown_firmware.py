"""What a manifest says of the MCUboot image that a release is."""

from collections.abc import Mapping
from typing import Any

FIELD = "firmware"  # of the manifest's `extra`


def of_manifest(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns (name, value) pairs of the image that a manifest describes, [] if it has none."""
    found = document.get("extra", {}).get(FIELD)
    if not isinstance(found, dict) or not isinstance(found.get("version"), str):
        return []
    place = f"{found.get('model')}, {found.get('model_size')} bytes at byte {found.get('at')}"
    return [
        ("MCUboot image", f"{found['version']}, hash {found.get('hash')}"),
        ("model in it", place),
    ]
