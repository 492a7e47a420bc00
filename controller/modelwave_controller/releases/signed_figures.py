"""Reads what a stored manifest signs for windows to be judged by."""

from modelwave_controller.evidence.figures import NO_FIGURES, ReleaseFigures
from modelwave_controller.releases import reliability
from modelwave_shared import documents, dsse
from modelwave_shared.words import MANIFEST


def of_envelope(envelope: bytes) -> ReleaseFigures:
    """Returns the figures of a signed manifest that was verified before; none if this program
    cannot read it."""
    try:
        document = documents.read(MANIFEST, dsse.read(envelope).payload)
    except ValueError:  # a newer program has stored it
        return NO_FIGURES
    return ReleaseFigures(table=reliability.of_manifest(document))
