"""Reads what a stored manifest signs for windows to be judged by."""

from collections.abc import Mapping
from typing import Any

from modelwave_controller.evidence.figures import NO_FIGURES, ReleaseFigures
from modelwave_controller.releases import latency_limit, reliability
from modelwave_shared import documents, dsse
from modelwave_shared.words import MANIFEST


def of_envelope(envelope: bytes) -> ReleaseFigures:
    """Returns the figures of a signed manifest that was verified before; none if this program
    cannot read it."""
    try:
        document = documents.read(MANIFEST, dsse.read(envelope).payload)
    except ValueError:  # a newer program has stored it
        return NO_FIGURES
    return of_manifest(document)


def of_manifest(document: Mapping[str, Any]) -> ReleaseFigures:
    return ReleaseFigures(reliability.of_manifest(document), latency_limit.of_manifest(document))
