"""Shows releases: for people, and as JSON."""

from typing import Any

from modelwave_controller.releases import heldout, latency_limit, model_signature, reliability
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
        ("needs ram", f"{needs.ram:,} bytes (on a board in one piece)"),
        *_ram_from(stored),
        ("needs runtime", " ".join((needs.runtime, needs.accelerator)).strip()),
        ("needs kernels", ", ".join(needs.kernels) or "not named"),
        ("tolerance", _pairs(tolerance.get("steps", tolerance))),
        ("dataset", lineage.dataset),
        ("held-out", heldout.listed(lineage.metrics)),
        ("reliability", _reliability(stored)),
        ("latency limit", latency_limit.shown(latency_limit.of_manifest(stored.document))),
        ("quantisation", lineage.quantisation),
        *_model_signature(stored),
    ]


def _model_signature(stored: StoredRelease) -> list[tuple[str, object]]:
    found = model_signature.of_manifest(stored.document)
    if found is None:
        return []
    return [
        ("model signed by", found.signer),
        ("model signature", f"{found.sha256}, {found.size:,} bytes"),
    ]


def _ram_from(stored: StoredRelease) -> list[tuple[str, object]]:
    """Returns where a host's RAM is from: measured, planned or given; nothing for a board, or for a
    release from before that was recorded."""
    said = stored.document.get("extra", {}).get("ram_from")
    return [("RAM from", said)] if isinstance(said, str) else []


def _reliability(stored: StoredRelease) -> str:
    table = reliability.of_manifest(stored.document)
    if table is None:
        return "none"
    examples, right = (sum(column) for column in zip(*table, strict=True))
    return f"{right:,} of {examples:,} right, in {len(table)} bins of confidence"


def _pairs(figures_by_name: dict[str, Any]) -> str:
    return ", ".join(f"{name} {figure}" for name, figure in figures_by_name.items()) or "none"


def json_entry(manifest: dict[str, Any], digest: str) -> dict[str, Any]:
    """Returns what the commands print of a manifest, whose sha256 is `digest`, with --json."""
    held_out = heldout.json_shares(heldout.shares(manifest["lineage"]["metrics"]))
    return {"sha256": digest, "manifest": manifest, "held_out": held_out}
