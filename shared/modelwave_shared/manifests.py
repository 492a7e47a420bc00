"""The fields of a manifest: one release of a model for one target (see schema.py)."""

from modelwave_shared.errors import DocumentError
from modelwave_shared.fields import integer, name, sha256, text, token
from modelwave_shared.limits import MAX_BYTES, MAX_DELTAS, MAX_FILES, MAX_KERNELS
from modelwave_shared.rules import Integer, ListOf, MapOf, Object, OneOf
from modelwave_shared.schema import COUNT, RELEASE, Kind, target, token_or_empty
from modelwave_shared.words import (
    FILE_ROLES,
    MANIFEST,
    MCUBOOT_IMAGE,
    MODEL_PARTITION,
    TENSORS,
    TFLITE,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from modelwave_shared.fields import Document

SIZE = Integer(0, MAX_BYTES)
FILE_SIZE = Integer(1, MAX_BYTES)


# From this format version on there are other formats, `loading`, and tolerances of kind "tensors".
TENSORS_FORMAT = 2


def tolerance(value: "Any", where: str) -> None:
    """The tolerance of a golden set (golden.py): `kind` decides which other field it has."""
    kind = value.get("kind") if type(value) is dict else ""
    if kind == TENSORS:
        from modelwave_shared import tensors  # not in memory without need

        rule = tensors.TOLERANCE
    elif kind == "labels":
        rule = Object({"kind": OneOf("labels"), "least_ppm": Integer(0, 1000000)})
    else:
        kinds = OneOf("labels", "outputs", TENSORS)
        rule = Object({"kind": kinds, "steps": MapOf(token, COUNT, 1, 8)})
    rule(value, where)


def loading(value: "Any", where: str) -> None:
    """How a host loads the model (tensors.py)."""
    from modelwave_shared import tensors

    tensors.loading(value, where)


def format_version(document: "Document") -> int:
    """Returns the lowest format version that can say what `document` says."""
    tensors = document["tolerance"]["kind"] == TENSORS
    return TENSORS_FORMAT if tensors or "loading" in document or document["format"] != TFLITE else 1


def _agrees(document: "Document") -> None:
    lowest = format_version(document)
    if document.get("v", 1) < lowest:
        told = "%d, but its format, loading or tolerance are of format %d"
        raise DocumentError("manifest.v", told % (document.get("v", 1), lowest))
    roles = []
    total = 0
    # A gateway sends such a board the image alone, and keeps the other files.
    is_image = document["format"] in (MCUBOOT_IMAGE, MODEL_PARTITION)
    for file in document["files"]:
        roles.append(file["role"])
        if file["role"] == "model" or not is_image:
            total += file["size"]
    if sorted(roles) not in (["golden", "model"], ["golden", "labels", "model"]):
        problem = "%s: needed are one model, one golden, at most one labels" % ", ".join(roles)
        raise DocumentError("manifest.files", problem)
    flash = document["needs"]["flash"]
    if flash < total:
        raise DocumentError("manifest.needs.flash", "%d, but its files have %d" % (flash, total))


FILE = Object({"role": OneOf(*FILE_ROLES), "sha256": sha256, "size": FILE_SIZE})
NEEDS = Object(
    {
        "flash": SIZE,  # all files together, of an image for MCUboot the image
        "ram": SIZE,  # the arena, in one piece
        "kernels": ListOf(token, 0, MAX_KERNELS),  # operators the firmware must have
        "runtime": token,  # "tflite" or "tflite>=2.14"
        "accelerator": token_or_empty,
    }
)
LINEAGE = Object({"dataset": text, "metrics": MapOf(token, integer, 0, 8), "quantisation": text})
DELTA = Object({"base": sha256, "sha256": sha256, "size": FILE_SIZE})
KIND = Kind(
    MANIFEST,
    {
        "fleet": name,
        "model": name,
        "release": RELEASE,
        "version": text,
        "target": target,
        "format": name,  # of the model's file: tflite, onnx, or that of a runtime of your own
        "files": ListOf(FILE, 2, MAX_FILES),
        "needs": NEEDS,
        "tolerance": tolerance,
        "lineage": LINEAGE,
        "forced": text,  # why it was released although it failed a check; "": it passed all
        "deltas": ListOf(DELTA, 0, MAX_DELTAS),  # optional; the whole file is always available
    },
    {"loading": loading},
    _agrees,
)
