"""The needs of an ONNX model, for the manifest: which ONNX Runtime, and how much RAM.

ONNX Runtime refuses a model of a later IR version, or with a later set of ONNX's operators, than it
knows. LEAST_RUNTIME was found by loading a model of each with the packages 1.17 to 1.32 of PyPI."""

from modelwave_controller.errors import OperatorError
from modelwave_controller.fit import ModelError
from modelwave_controller.models import needs, onnx_file
from modelwave_controller.models.needs import Asked, Measure, ModelNeeds
from modelwave_controller.models.onnx_file import OnnxModel
from modelwave_controller.models.targets import Target
from modelwave_shared.fit import numbers
from modelwave_shared.words import ONNX

# (greatest IR version, greatest opset, first version that has both). Older ones than 1.17 are not
# served here.
LEAST_RUNTIME = (
    (9, 20, ""),
    (10, 21, "1.18"),
    (10, 22, "1.21"),
    (11, 23, "1.23"),
    (13, 25, "1.24"),
    (13, 26, "1.25"),
)
NEWEST = "1.32"  # for what no row has; it has IR version 14 and opset 28
# Where nothing can be measured: the file is read into memory and then copied into the session, and
# the runtime takes this much for itself and small models.
RUNTIME_BYTES = 24 << 20
COPIES = 3


def fill(data: bytes, target: Target, asked: Asked, measure: Measure) -> ModelNeeds:
    """Returns the needs from the file and from what was asked. Raises OperatorError, which names
    the option."""
    if ONNX not in target.all_runtimes:
        raise OperatorError(
            f"--file: an ONNX model, but {target.name} runs {', '.join(target.all_runtimes)}; "
            "choose a host's target, or convert it to .tflite"
        )
    try:
        model = onnx_file.read(data)
    except ModelError as error:
        raise OperatorError(f"--file: {error}") from error
    if model.is_external:
        raise OperatorError(
            "--file: some of its weights are in other files, and a release has one: save it with "
            "onnx.save(model, path, save_as_external_data=False)"
        )
    runtime = _runtime(model, asked.runtime)
    ram, how, ram_from = needs.host_ram(asked, needs.measured_by(asked, measure), planned(data))
    accelerator = asked.accelerator or ""
    return ModelNeeds(ram, asked.kernels or (), runtime, accelerator, how, ram_from)


def planned(data: bytes) -> int:
    """Returns an estimate of the bytes of RAM that the model takes, loaded and run."""
    return RUNTIME_BYTES + COPIES * len(data)


def least_runtime(model: OnnxModel) -> str:
    """Returns the first version of ONNX Runtime that has the model's versions; "": any."""
    for ir_version, opset, version in LEAST_RUNTIME:
        if model.ir_version <= ir_version and model.opset <= opset:
            return version
    return NEWEST


def _runtime(model: OnnxModel, asked: str | None) -> str:
    least = least_runtime(model)
    if asked is None:
        return f"{ONNX}>={least}" if least else ONNX
    name, _, version = asked.partition(">=")
    if name not in (ONNX, "onnxruntime"):
        raise OperatorError(f"--runtime: {asked[:100]!r}; an ONNX model runs on {ONNX}>=VERSION")
    if least and numbers(version) < numbers(least):
        raise OperatorError(
            f"--runtime: {asked[:100]!r}, but the model (IR version {model.ir_version}, opset "
            f"{model.opset}) needs {ONNX}>={least}"
        )
    return asked
