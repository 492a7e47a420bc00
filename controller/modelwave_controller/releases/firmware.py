"""Releases whose file is an image for the MCUboot boot loader, with the model in it.

    mcuboot-image     the whole firmware; the model is an array in it (`modelwave model export`)
    model-partition   a data image: its payload is the model, nothing else

The golden set proves the model, and devices get the image. So the model is cut out of the image
itself, at the place where the bytes that the operator names are found, and that piece is proven.
The operator names them by the .tflite, or by the record that the export has left
(NAME_model.json)."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError
from modelwave_controller.fit.tflite_schema import IDENTIFIER
from modelwave_controller.models.needs import ModelNeeds
from modelwave_controller.models.opening import read_model_file
from modelwave_controller.models.targets import Target
from modelwave_controller.releases.shown_firmware import FIELD
from modelwave_controller.trust.field_types import first_problem
from modelwave_shared import mcuboot
from modelwave_shared.mcuboot import MAX_IMAGE_BYTES, MCUBOOT
from modelwave_shared.words import MCUBOOT_IMAGE, MODEL_PARTITION

MAX_RECORD_BYTES = 4096
_IDENTIFIER_AT = 4  # in a .tflite
_MAX_HASHED_BYTES = 1 << 30  # of all places where a model might begin


class Record(BaseModel):
    """What `modelwave model export` records of the model in its C array."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=8, le=MAX_IMAGE_BYTES)


@dataclass(frozen=True)
class Firmware:
    """An image, and the model that was found in it."""

    format: str
    version: str
    hash: str  # by which the boot loader and SMP name the image
    is_signed: bool
    size: int
    model: str  # its sha256
    model_size: int
    at: int

    def files(self, taken: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Returns the list of files with the model in place of the image."""
        model = {"role": "model", "sha256": self.model, "size": self.model_size}
        return [model if file["role"] == "model" else file for file in taken]

    def needs(self, model: ModelNeeds) -> ModelNeeds:
        """Returns the needs of the image from those of its model. A firmware brings its operators
        along; for a data image they have to be on the board."""
        kernels = () if self.format == MCUBOOT_IMAGE else model.kernels
        return replace(model, runtime=MCUBOOT, kernels=kernels)

    def recorded(self) -> dict[str, Any]:
        return {
            FIELD: {
                "version": self.version,
                "hash": self.hash,
                "model": self.model,
                "model_size": self.model_size,
                "at": self.at,
            }
        }

    def lines(self) -> list[str]:
        """Returns what was checked, for people."""
        signed = (
            "signed, by which key only the boot loader checks"
            if self.is_signed
            else "NOT signed: a boot loader that asks for a signature refuses it"
        )
        return [
            f"MCUboot image {self.version}, {self.size:,} bytes, its hash {self.hash} is right; "
            f"it is {signed}",
            f"the model with sha256 {self.model}, {self.model_size:,} bytes, is in it at byte "
            f"{self.at:,}; that piece was proven",
        ]


def is_of(format_: str) -> bool:
    return format_ in mcuboot.FORMATS


@contextmanager
def opened(
    format_: str, target: Target, holds: Path | None, source: Path, files: list[dict[str, Any]],
    folder: Path,
) -> Iterator[Firmware | None]:  # fmt: skip
    """Checks the copied image, the file `source`, and yields what it is, or None for a release of
    another format. In the meantime its model is in `folder` under its sha256. Raises OperatorError,
    which names the option."""
    if not is_of(format_):
        if holds:
            raise OperatorError(
                f"--holds: for {' and '.join(mcuboot.FORMATS)}, and the model is {format_}"
            )
        yield None
        return
    if MCUBOOT not in target.all_runtimes or target.kind != "mcu":
        raise OperatorError(
            f'--format: {format_}, but {target.name} is no board with runtime = "{MCUBOOT}"; add a '
            "target of your own (modelwave target add, docs/mcuboot.md)"
        )
    if holds is None:
        raise OperatorError(
            f"--holds: not given; {format_} needs the .tflite that is in the image, or the "
            "NAME_model.json that `modelwave model export` has made"
        )
    copied = folder / next(file["sha256"] for file in files if file["role"] == "model")
    found, model = _read(format_, copied, source, holds)
    _check_slot(found, target)
    (folder / found.model).write_bytes(model)
    try:
        yield found
    finally:
        (folder / found.model).unlink()


def _read(format_: str, copied: Path, source: Path, holds: Path) -> tuple[Firmware, bytes]:
    try:
        with disk.open_plain(copied, "--file") as file, disk.naming(copied):
            image = mcuboot.read(file)
            file.seek(0)
            data = file.read(MAX_IMAGE_BYTES)
    except mcuboot.ImageError as error:
        raise OperatorError(f"--file: {source} is no MCUboot image: {error}") from error
    hidden = "encrypted" if image.is_encrypted else "compressed" if image.is_compressed else ""
    if hidden:
        raise OperatorError(
            f"--file: {source} is {hidden}, so nobody can see which model is in it: give the image "
            f"that is not {hidden}"
        )
    if format_ == MCUBOOT_IMAGE and not image.is_bootable:
        raise OperatorError(f"--file: {source} is a data image: --format {MODEL_PARTITION}")
    payload = data[image.header_bytes : image.header_bytes + image.payload_bytes]
    at, size = _place(payload, holds, source)
    if format_ == MODEL_PARTITION and (at, size) != (0, len(payload)):
        raise OperatorError(
            f"--file: {source} is more than the model of --holds ({len(payload):,} bytes, it has "
            f"{size:,}): sign the .tflite itself with imgtool, or is it {MCUBOOT_IMAGE}?"
        )
    model = payload[at : at + size]
    firmware = Firmware(
        format_,
        image.version,
        image.hash_hex,
        image.is_signed,
        len(data),
        hashlib.sha256(model).hexdigest(),
        size,
        image.header_bytes + at,
    )
    return firmware, model


def _place(payload: bytes, holds: Path, source: Path) -> tuple[int, int]:
    """Returns where in the payload the model is that `holds` names, and its size."""
    given = disk.read_input(holds, "--holds", MAX_IMAGE_BYTES)
    if given[_IDENTIFIER_AT : _IDENTIFIER_AT + len(IDENTIFIER)] == IDENTIFIER:
        at, size = payload.find(given), len(given)
    elif given.startswith(b"{") and len(given) <= MAX_RECORD_BYTES:
        record = _record(given, holds)
        at, size = _find(payload, record), record.size
    else:
        read_model_file(holds, "--holds", MAX_IMAGE_BYTES)  # says what it is instead
        raise OperatorError(f"--holds: {holds} is neither a .tflite nor a record of an export")
    if at < 0:
        raise OperatorError(
            f"--holds: the model of {holds} is not in {source}: build the firmware with the array "
            "that was exported of it"
        )
    return at, size


def _record(data: bytes, holds: Path) -> Record:
    try:
        return Record.model_validate_json(data)
    except ValidationError as error:
        raise OperatorError(
            f"--holds: {holds} is no record of `modelwave model export`: {first_problem(error)}"
        ) from error


def _find(payload: bytes, record: Record) -> int:
    """Returns where the bytes with this digest begin, or -1. Raises OperatorError for an image in
    which too many places look like a model's start."""
    view = memoryview(payload)
    at, left = payload.find(IDENTIFIER), _MAX_HASHED_BYTES
    while at >= 0:
        start = at - _IDENTIFIER_AT
        if start >= 0 and start + record.size <= len(payload):
            left -= record.size
            if left < 0:
                raise OperatorError("--holds: too many places look like models: give the .tflite")
            piece = view[start : start + record.size]
            if hashlib.sha256(piece).hexdigest() == record.sha256:
                return start
        at = payload.find(IDENTIFIER, at + 1)
    return -1


def _check_slot(found: Firmware, target: Target) -> None:
    if target.slot_bytes is not None and found.size > target.slot_bytes:
        raise OperatorError(
            f"--file: {found.size:,} bytes, but a slot of {target.name} takes "
            f"{target.slot_bytes:,} (slot_bytes)"
        )
