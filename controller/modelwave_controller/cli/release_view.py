"""Shows releases: for people, and as JSON."""

from typing import Any

from modelwave_controller.releases.catalog import StoredRelease
from modelwave_controller.terminal import safe


def forced(reason: str) -> str:
    """Returns a line of Rich markup with the reason why a release was forced."""
    return f"[bold white on red] FORCED [/] [bold red]{safe(reason)}[/]"


def release_facts(stored: StoredRelease) -> list[tuple[str, object]]:
    """Returns (name, value) pairs that say what a release is."""
    manifest, needs, lineage = stored.manifest, stored.manifest.needs, stored.manifest.lineage
    tolerance = manifest.tolerance
    return [
        ("model", manifest.model),
        ("release", f"{manifest.release} ({manifest.version})"),
        ("target", manifest.target),
        ("sha256", stored.digest),
        *((file.role, f"{file.sha256}, {file.size:,} bytes") for file in manifest.files),
        ("needs flash", f"{needs.flash:,} bytes"),
        ("needs ram", f"{needs.ram:,} bytes in one piece"),
        ("needs runtime", " ".join((needs.runtime, needs.accelerator)).strip()),
        ("needs kernels", ", ".join(needs.kernels) or "not named"),
        ("tolerance", _pairs(tolerance.get("steps", tolerance))),
        ("dataset", lineage.dataset),
        ("held-out", _pairs(lineage.metrics)),
        ("quantisation", lineage.quantisation),
    ]


def _pairs(figures_by_name: dict[str, Any]) -> str:
    return ", ".join(f"{name} {figure}" for name, figure in figures_by_name.items()) or "none"


def json_entry(manifest: dict[str, Any], digest: str) -> dict[str, Any]:
    """Returns what the commands print of a manifest, whose sha256 is `digest`, with --json."""
    return {"sha256": digest, "manifest": manifest}
