"""The example models, as arguments of `modelwave release create`."""

import json
from pathlib import Path
from typing import Any


def catalogue(folder: Path) -> Any:
    """Reads models.json: the training data, the held-out data, and an entry for each version."""
    return json.loads((folder / "models.json").read_text())


def release_arguments(folder: Path, version: str, target: str) -> list[str]:
    """Returns the command line that releases this version for the target."""
    found = catalogue(folder)
    entry = next(entry for entry in found["versions"] if entry["version"] == version)
    return [
        *("release", "create", found["model"], version, "--target", target, "--yes"),
        *("--file", str(folder / entry["file"])),
        *("--golden", str(folder / entry["golden"]["file"])),
        *("--dataset", found["dataset"], "--quantisation", found["quantisation"]),
        *("--metric", f"accuracy={entry['accuracy']['right']}/{entry['accuracy']['total']}"),
        *_tolerance(entry["tolerance"]),
    ]


def _tolerance(tolerance: Any) -> list[str]:
    if tolerance["kind"] == "labels":
        return ["--least-correct", str(tolerance["least_ppm"] / 1_000_000)]
    steps = tolerance["steps"].items()
    return [part for name, number in steps for part in ("--steps", f"{name}={number}")]
