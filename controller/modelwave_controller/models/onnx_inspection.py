"""What `model inspect` says of an ONNX model: its versions, operators and weights, and which
targets run the format. Its RAM is known once it is run: `release create` measures it."""

from modelwave_controller.errors import OperatorError
from modelwave_controller.fit import Fit, ModelError
from modelwave_controller.models import onnx_file, onnx_needs
from modelwave_controller.models.inspection import Inspection, ModelOnTarget
from modelwave_controller.models.labels import LabelFile
from modelwave_controller.models.targets import Target
from modelwave_shared.words import ONNX

_SHOWN = 20  # operators


class OnnxInspection(Inspection):
    """One ONNX file."""

    def fit(self, profile: str) -> Fit:
        raise OperatorError(
            f"{self.name}: an ONNX model, which no board runs, so it has no arena on {profile}; "
            "convert it to .tflite (onnx2tf)"
        )

    def labels(self) -> list[LabelFile]:
        return []

    def row(self, target: Target) -> ModelOnTarget:
        model = self._read()
        row = ModelOnTarget(
            target.name,
            target.kind,
            None,
            weights_flash=model.weights,
            model_flash=len(self.data),
            free_flash=target.free_flash_bytes,
            free_ram=target.free_ram_bytes,
        )
        if ONNX not in target.all_runtimes:
            row.refused = f"an ONNX model, and it runs {', '.join(target.all_runtimes)}"
        elif model.is_external:
            row.refused = "some of the weights are in other files, and a release has one"
        elif row.free_flash is not None and row.model_flash > row.free_flash:
            row.shortfalls.append(f"flash: {row.model_flash - row.free_flash:,} bytes missing")
        else:
            row.unknown = "RAM: `release create` runs the model and measures it"
            row.notes.append(_described(model))
        return row

    def _read(self) -> onnx_file.OnnxModel:
        try:
            return onnx_file.read(self.data)
        except ModelError as error:
            raise OperatorError(f"{self.name}: {error}") from error


def _described(model: onnx_file.OnnxModel) -> str:
    names = sorted(model.operators)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    least = onnx_needs.least_runtime(model)
    return (
        f"ONNX IR version {model.ir_version}, opset {model.opset}: any ONNX Runtime"
        f"{f' from {least} on' if least else ''}; operators {', '.join(names[:_SHOWN])}{more}"
    )
