"""Shows releases: for people, and as JSON."""

from typing import Any

from modelwave_controller.releases import (
    heldout,
    latency_limit,
    model_signature,
    reliability,
    shown_firmware,
)
from modelwave_controller.results.releases import Release
from modelwave_controller.terminal import safe
from modelwave_controller.trust.documents import Manifest, view


def forced(reason: str) -> str:
    """Returns a line of Rich markup with the reason why a release was forced."""
    return f"[bold white on red] FORCED [/] [bold red]{safe(reason)}[/]"


def release_facts(release: Release) -> list[tuple[str, object]]:
    """Returns (name, value) pairs that say what a release is."""
    document = release.manifest
    manifest = view(Manifest, document)
    needs, lineage, tolerance = manifest.needs, manifest.lineage, manifest.tolerance
    return [
        ("model", manifest.model),
        ("release", f"{manifest.release} ({manifest.version})"),
        ("target", manifest.target),
        ("sha256", release.sha256),
        *((file.role, f"{file.sha256}, {file.size:,} bytes") for file in manifest.files),
        *shown_firmware.of_manifest(document),
        ("needs flash", f"{needs.flash:,} bytes"),
        ("needs ram", f"{needs.ram:,} bytes (on a board in one piece)"),
        *_ram_from(document),
        ("needs runtime", " ".join((needs.runtime, needs.accelerator)).strip()),
        ("needs kernels", ", ".join(needs.kernels) or "not named"),
        ("tolerance", _pairs(tolerance.get("steps", tolerance))),
        ("dataset", lineage.dataset),
        ("held-out", heldout.listed(lineage.metrics)),
        ("reliability", _reliability(document)),
        ("latency limit", latency_limit.shown(latency_limit.of_manifest(document))),
        ("quantisation", lineage.quantisation),
        *_model_signature(document),
    ]


def _model_signature(document: dict[str, Any]) -> list[tuple[str, object]]:
    found = model_signature.of_manifest(document)
    if found is None:
        return []
    return [
        ("model signed by", found.signer),
        ("model signature", f"{found.sha256}, {found.size:,} bytes"),
    ]


def _ram_from(document: dict[str, Any]) -> list[tuple[str, object]]:
    """Returns where a host's RAM is from: measured, planned or given; nothing for a board, or for a
    release from before that was recorded."""
    said = document.get("extra", {}).get("ram_from")
    return [("RAM from", said)] if isinstance(said, str) else []


def _reliability(document: dict[str, Any]) -> str:
    table = reliability.of_manifest(document)
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
