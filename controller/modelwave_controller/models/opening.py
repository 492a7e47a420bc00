"""Opens a model file that a person named, and says what it is if it is no .tflite file."""

from itertools import islice
from pathlib import Path

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError
from modelwave_controller.fit import formats
from modelwave_controller.fit.format_signs import Sample, sample_bytes, sample_file
from modelwave_controller.trust.field_types import require
from modelwave_shared import fields
from modelwave_shared.words import ONNX, TFLITE

MAX_LISTED_FILES = 10_000


def read_model_file(path: Path, what: str, limit: int, also_onnx: bool = False) -> bytes:
    """Returns the contents of a .tflite file that was named with the option `what`; `also_onnx`: or
    of a .onnx. Raises OperatorError if it cannot be read, is none, or has more than `limit`
    bytes."""
    require_no_folder(path, what)
    with disk.open_plain(path, what) as file, disk.naming(path):
        sample = sample_file(file, path.suffix)
        why = formats.why_not_tflite(sample)
        if why and not (also_onnx and _is_onnx(sample)):
            raise OperatorError(f"{what}: {path} is {why}")
        if sample.size > limit:
            raise OperatorError(
                f"{what}: {path} has {sample.size:,} bytes, {limit:,} at most are analysed; "
                "`release create --ram` releases it for a host all the same"
            )
        return file.read(limit)


def is_onnx(data: bytes) -> bool:
    """Whether these are the bytes of an ONNX model."""
    return _is_onnx(sample_bytes(data))


def _is_onnx(sample: Sample) -> bool:
    found = formats.format_of(sample)
    return found is not None and found.key == ONNX


def format_of(path: Path, what: str, asked: str | None) -> str:
    """Returns the format of a model file, as in a manifest: what the file is, or `asked` for a
    runtime of the operator's own. Raises OperatorError if it is none of them."""
    require_no_folder(path, what)
    with disk.open_plain(path, what) as file, disk.naming(path):
        sample = sample_file(file, path.suffix)
    found = formats.format_of(sample)
    known = found.key if found and found.key in (TFLITE, ONNX) else None
    if asked in (TFLITE, ONNX) and asked != known:
        is_one = f"it is {found.name}" if found else "it is none"
        raise OperatorError(f"--format: {asked}, but {path} is no such file: {is_one}")
    if asked is not None:
        require(fields.name, asked, "--format")
        return asked
    if known is None:
        raise OperatorError(
            f"{what}: {path} is {formats.why_not_tflite(sample)}; for a runtime of your own name "
            "its format with --format"
        )
    return known


def require_tflite(path: Path, named: Path, what: str) -> None:
    """Raises OperatorError unless `path`, the file `named` or a copy of it, may be a .tflite
    file."""
    with disk.open_plain(path, what) as file, disk.naming(path):
        if why := formats.why_not_tflite(sample_file(file, named.suffix)):
            raise OperatorError(f"{what}: {named} is {why}")


def require_text(path: Path, what: str) -> None:
    """Raises OperatorError if a list of layers that was named with `what` is a model in truth."""
    require_no_folder(path, what)
    with disk.open_plain(path, what) as file, disk.naming(path):
        found = formats.format_of(sample_file(file, path.suffix))
    if found is None or found.key in (formats.TEXT, formats.EMPTY):
        return
    advice = found.advice
    if found.key == formats.TFLITE:
        advice = "it has its exact needs: modelwave model inspect"
    raise OperatorError(f"{what}: {path} is no list of layers: it is {found.name}; {advice}")


def require_no_folder(path: Path, what: str) -> None:
    """Raises OperatorError, which says what helps, if the operator named a folder."""
    try:
        if path.is_dir():
            files = {entry.name for entry in islice(path.iterdir(), MAX_LISTED_FILES)}
            raise OperatorError(f"{what}: cannot read {path}: {formats.why_no_folder(files)}")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise OperatorError(f"{what}: cannot read {path}: {error}") from error
