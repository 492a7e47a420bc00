"""Takes the names of the classes into a release: from a file, or from the model's own metadata."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError
from modelwave_controller.fit import ModelError
from modelwave_controller.fit.errors import ModelRefused, Unknown
from modelwave_controller.fit.model import read_model
from modelwave_controller.models import labels, onnx_file
from modelwave_controller.models.labels import LabelFile, Labels, LabelsError
from modelwave_controller.models.needs import MAX_ANALYSED_BYTES
from modelwave_controller.models.opening import is_onnx
from modelwave_controller.phrases import listed, plural
from modelwave_shared import golden

FILE_OPTION, MODEL_OPTION = "--labels", "--labels-from-model"


@dataclass(frozen=True, slots=True)
class TakenLabels:
    """`file` is the entry of the manifest's list of files; `said` is for people."""

    file: dict[str, Any]
    said: tuple[str, ...]


def take(
    source: Path | None, from_model: bool, files: list[dict[str, Any]], folder: Path
) -> TakenLabels | None:
    """Writes the labels into `folder`, where the release's other `files` are, under their sha256;
    returns None if none were asked for. Raises OperatorError, which names the option."""
    by_role = {file["role"]: folder / file["sha256"] for file in files}
    if source and from_model:
        raise OperatorError(f"{MODEL_OPTION}: replaces {FILE_OPTION}; give one or the other")
    if source:
        what, found = f"{FILE_OPTION}: {source}", _read(source)
    elif from_model:
        what, found = MODEL_OPTION, _only(_in_model(by_role["model"]))
    else:
        return None
    _check_count(found, what, by_role)
    sha256 = hashlib.sha256(found.data).hexdigest()
    disk.create_file(folder / sha256, found.data)
    return TakenLabels(
        {"role": "labels", "sha256": sha256, "size": len(found.data)},
        (f"labels: {found.summary()}", *(f"labels: {note}" for note in found.notes)),
    )


def _read(source: Path) -> Labels:
    with disk.open_plain(source, FILE_OPTION) as file, disk.naming(source):
        data = file.read(labels.MAX_LABELS_BYTES + 1)
    try:
        return labels.parse(data)
    except LabelsError as error:
        raise OperatorError(f"{FILE_OPTION}: {source}: {error}") from error


def _in_model(model: Path) -> list[LabelFile]:
    with open(model, "rb") as file:
        data = file.read(MAX_ANALYSED_BYTES + 1)
    if len(data) > MAX_ANALYSED_BYTES:
        raise OperatorError(f"{MODEL_OPTION}: the model is too large to be read; use {FILE_OPTION}")
    try:
        return labels.in_model(data)
    except ModelError as error:
        raise OperatorError(f"{MODEL_OPTION}: {error}") from error


def _only(files: Sequence[LabelFile]) -> Labels:
    """Returns the labels of the one file that can be meant: the one for all languages, or the only
    one. Raises OperatorError, which says what there is."""
    if not files:
        raise OperatorError(f"{MODEL_OPTION}: the model has no file of labels; use {FILE_OPTION}")
    usable = [(file.locale, file.labels) for file in files if file.labels]
    if not usable:
        raise OperatorError(f"{MODEL_OPTION}: {files[0].name}: {files[0].problem}")
    general = [found for locale, found in usable if not locale] or [found for _, found in usable]
    if len(general) > 1:
        raise OperatorError(
            f"{MODEL_OPTION}: the model has {listed([file.name for file in files])}; take one: "
            f"unzip -p MODEL NAME > labels.txt, then {FILE_OPTION} labels.txt"
        )
    return general[0]


def _check_count(found: Labels, what: str, by_role: dict[str, Path]) -> None:
    classes, whose = _classes_of_golden(by_role["golden"]), "the golden set has"
    if not classes:
        classes, whose = _classes_of_model(by_role["model"]), "the model's output has"
    if classes and classes != len(found.names):
        raise OperatorError(
            f"{what}: {plural(len(found.names), 'name')}, but {whose} {classes} classes; give "
            "one name a line, in the order of the classes"
        )


def _classes_of_golden(path: Path) -> int:
    """Returns the number of classes that the golden set's labels are of; 0 if it has outputs."""
    with open(path, "rb") as file:
        head = file.read(golden.HEADER_BYTES)
    try:
        header = golden.Header(head)
    except golden.GoldenError:  # of another form
        return 0
    return header.output_elements if header.kind == golden.LABELS else 0


def _classes_of_model(path: Path) -> int:
    """Returns the number of classes of a model with one output that is a list of numbers, one for
    each class; 0 for others, such as detectors, whose shapes do not say it."""
    with open(path, "rb") as file:
        data = file.read(MAX_ANALYSED_BYTES)
    try:
        if is_onnx(data):
            shapes = onnx_file.read(data).outputs
        else:
            shapes = [one.shape for one in read_model(data).subgraphs[0].outputs]
    except (ModelError, ModelRefused, Unknown):
        return 0
    shape = shapes[0] if len(shapes) == 1 else ()
    # An open first side counts records.
    return shape[-1] if shape and shape[-1] > 1 and max(shape[:-1], default=1) <= 1 else 0
