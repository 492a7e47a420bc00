"""What a manifest says of the model's own signature, in its `extra.model_signature`: sha256 and
size of the signature's file, which goes with the release as the model does, and `signer`, who was
verified (model_verifying.py). Devices ignore it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelwave_shared import fields
from modelwave_shared.errors import DocumentError

FIELD = "model_signature"  # in a manifest's `extra`
MAX_BYTES = 4 * 2**20  # a line of 200 bytes for each signed file
MAX_SIGNER = 200  # characters


@dataclass(frozen=True)
class ModelSignature:
    """`signer` is a key or a certificate, by its sha256."""

    sha256: str
    size: int
    signer: str

    def recorded(self) -> dict[str, Any]:
        """Returns the field of a manifest's `extra`."""
        return {FIELD: {"sha256": self.sha256, "size": self.size, "signer": self.signer}}


def of_manifest(document: Mapping[str, Any]) -> ModelSignature | None:
    """Returns the signature that a checked manifest binds; None if it has none that can be read."""
    found = document.get("extra", {}).get(FIELD)
    if type(found) is not dict:
        return None
    sha256, size, signer = found.get("sha256"), found.get("size"), found.get("signer")
    try:
        fields.sha256(sha256, FIELD)
    except DocumentError:
        return None
    if type(size) is not int or not 0 < size <= MAX_BYTES or type(signer) is not str:
        return None
    return ModelSignature(str(sha256), size, signer[:MAX_SIGNER])
