"""What `model inspect` says of a model on each target, as JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from modelwave_controller.models.advice import advice
from modelwave_controller.models.inspection import Inspection
from modelwave_controller.models.labels import LabelFile
from modelwave_controller.models.onnx_inspection import OnnxInspection
from modelwave_controller.models.opening import is_onnx
from modelwave_controller.models.targets import Target


def inspected(name: str, data: bytes) -> Inspection:
    """Returns the inspection of a .tflite or .onnx file, which errors call `name`."""
    return (OnnxInspection if is_onnx(data) else Inspection)(name, data)


def on_targets(inspection: Inspection, targets: Sequence[Target]) -> Iterator[dict[str, Any]]:
    """Yields an entry for each target. Raises OperatorError if the file is no model."""
    labels = [_label_entry(file) for file in inspection.labels()]
    for target, row in zip(targets, inspection.rows(targets), strict=True):
        yield {
            "file": inspection.name,
            **asdict(row),
            "total_flash": row.total_flash,
            "total_ram": row.total_ram,
            "fits": row.fits,
            "advice": advice(inspection, row, target),
            "labels": labels,
        }


def _label_entry(file: LabelFile) -> dict[str, Any]:
    return {
        "file": file.name,
        "of": file.owner,
        "locale": file.locale,
        "count": len(file.labels.names) if file.labels else None,
        "notes": list(file.labels.notes) if file.labels else [],
        "problem": file.problem or None,
    }
