"""Advice for a model that does not fit: the changes that would make it fit."""

from modelwave_controller.fit.errors import ModelRefused, Unknown
from modelwave_controller.models import peak
from modelwave_controller.models.inspection import Inspection, ModelOnTarget
from modelwave_controller.models.targets import Target

LARGEST = 3  # tensors to name
# The same core with another kernel library.
OTHER_LIBRARY = {
    "cortex-m4:cmsis-nn": "cortex-m4:reference",
    "cortex-m4:reference": "cortex-m4:cmsis-nn",
    "esp32s3:esp-nn": "esp32:reference",
}


def advice(inspection: Inspection, row: ModelOnTarget, target: Target) -> list[str]:
    """Returns sentences of advice, the most helpful first; none if the model fits."""
    if row.fits != "no" or row.profile is None:
        return []
    missing_ram = max(0, (row.total_ram or 0) - row.free_ram) if row.free_ram is not None else 0
    found = _other_library(inspection, row, missing_ram)
    if missing_ram:
        found += _smaller_peak(inspection, row, missing_ram)
    if row.free_flash is not None and row.model_flash > row.free_flash:
        found += _smaller_file(inspection, row.model_flash - row.free_flash)
    return found


def _other_library(inspection: Inspection, row: ModelOnTarget, missing_ram: int) -> list[str]:
    """Suggests another kernel library if the model is refused or its arena does not fit."""
    other = OTHER_LIBRARY.get(row.profile or "")
    if other is None or not (row.refused or missing_ram):
        return []
    fit = inspection.fit(other)
    if fit.need is None or fit.need > (row.arena_need or fit.need) - missing_ram:
        return []
    library = other.partition(":")[2]
    return [f"firmware with the {library} kernels takes it, in an arena of {fit.need:,} bytes"]


def _smaller_peak(inspection: Inspection, row: ModelOnTarget, missing: int) -> list[str]:
    fit = inspection.fit(row.profile or "")
    worst = peak.find_peak(fit)
    if worst is None:
        return []
    names = ", ".join(f"{box.label} ({box.size:,})" for box in worst.boxes[:LARGEST])
    return [
        f"shrink the tensors alive at operator {peak.step_name(fit, worst.step)} by {missing:,} "
        f"bytes or more: {names}"
    ]


def _smaller_file(inspection: Inspection, missing: int) -> list[str]:
    try:
        model = inspection.model()
    except (ModelRefused, Unknown):
        return []
    constants = {
        id(tensor): tensor
        for operator in model.operators
        for tensor in operator.inputs
        if tensor and tensor.constant
    }.values()
    largest = sorted(constants, key=lambda tensor: tensor.bytes, reverse=True)[:LARGEST]
    names = ", ".join(f"{tensor.name} ({tensor.bytes:,})" for tensor in largest)
    weights = f"; its largest weights: {names}" if names else ""
    found = [f"the file must lose {missing:,} bytes{weights}"]
    floats = sum(tensor.bytes for tensor in constants if tensor.kind == "FLOAT32")
    if floats * 3 // 4 >= missing:
        found.append(
            f"quantised to int8, its weights would take about {floats * 3 // 4:,} bytes less"
        )
    return found
