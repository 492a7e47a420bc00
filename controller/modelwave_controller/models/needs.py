"""Fills in the needs of a release's manifest from the model file.

    ram          a board: the arena, exact (modelwave_controller.fit); a host: what was measured,
                 else what models.host plans
    kernels      the operators, by name
    runtime      the target's; on a host with the least version that the converter wrote into
                 the file (metadata `min_runtime_version`), or a later one that the versions of
                 its operators ask for (models.host_operators)
    accelerator  edgetpu>=N for a model compiled for the Edge TPU, N its package's least
                 runtime version

The operator's own values take precedence, but an arena smaller than the exact one is refused. One
that is smaller than a derived one is taken, as nobody measured that."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from modelwave_controller.errors import OperatorError
from modelwave_controller.fit import ModelError, metadata
from modelwave_controller.fit.errors import ModelRefused, Unknown
from modelwave_controller.fit.model import Model, read_model
from modelwave_controller.models import edgetpu, host, host_operators, host_refusals
from modelwave_controller.models.host import Measured
from modelwave_controller.models.inspection import Inspection, accelerator_problem
from modelwave_controller.models.targets import Target
from modelwave_shared.fit import numbers
from modelwave_shared.limits import MAX_TEXT
from modelwave_shared.words import TFLITE

# The analysis reads the file into memory. Larger files run on hosts only, with --ram given.
MAX_ANALYSED_BYTES = 1 << 28

# Under which names, with a version of its own each, a host may offer a format's runtime.
_DISTRIBUTIONS = {"tflite": ("tflite-runtime", "ai-edge-litert"), "onnx": ("onnxruntime",)}

_LEAST_RUNTIME = "min_runtime_version"  # 16 bytes, padded with NUL (TensorFlow's converter)


@dataclass(frozen=True, slots=True)
class Asked:
    """The needs as the operator gave them; None for those not given."""

    ram: int | None = None
    kernels: tuple[str, ...] | None = None
    runtime: str | None = None
    accelerator: str | None = None


@dataclass(frozen=True, slots=True)
class ModelNeeds:
    """The needs for the manifest. `how` says for people where the figures are from, `ram_from` for
    the manifest where a host's RAM is from; "" for a board's arena."""

    ram: int
    kernels: tuple[str, ...]
    runtime: str
    accelerator: str
    how: str
    ram_from: str = ""


# Measures the model on the runtimes at hand, or only on the distribution with this name ("" for
# all); None: there is none.
Measure = Callable[[str], Measured | None]


def fill(
    data: bytes,
    target: Target,
    asked: Asked,
    forced: bool,
    measure: Measure = lambda only: None,
    xnnpack: bool = False,
) -> ModelNeeds:
    """Returns the needs from the file and from what was asked. `measure` is called for a host whose
    RAM was not asked; `xnnpack`: the release allows this delegate. Raises OperatorError, which
    names the option, if a value is neither in the file nor given, or if the target refuses the
    model and it is not `forced`."""
    _check_runtime(target, asked)
    runtime = asked.runtime or _runtime(data, target, forced)
    inspection = Inspection("--file", data)
    try:
        model = read_model(data)
    except (ModelError, ModelRefused, Unknown) as beyond:
        return _as_asked(runtime, target, asked, str(beyond), measure)
    if target.runtime == TFLITE and target.kind == "host" and not forced:
        _refuse(target, host_refusals.refusal(model))
    ram_from = ""
    if target.kind == "host":
        measured = None if edgetpu.is_compiled(model) else measured_by(asked, measure)
        planned = host.ram(model, len(data), xnnpack)
        ram, how, ram_from = host_ram(asked, measured, planned)
    else:
        ram, how = _arena(inspection, target, asked, forced)
    return ModelNeeds(
        ram,
        asked.kernels if asked.kernels is not None else _kernels(model),
        runtime,
        asked.accelerator if asked.accelerator is not None else _accelerator(data, model, target),
        how,
        ram_from,
    )


def _check_runtime(target: Target, asked: Asked) -> None:
    """Raises OperatorError unless the runtime is the target's, as no device of the target has
    another one, or on a host a distribution of it."""
    names = [target.runtime]
    if target.kind == "host":
        names += _DISTRIBUTIONS.get(target.runtime, ())
    if asked.runtime is not None and asked.runtime.partition(">=")[0] not in names:
        raise OperatorError(
            f"--runtime: {asked.runtime[:100]!r}, but {target.name} runs {target.runtime}: give "
            f"{' or '.join(f'{name} or {name}>=VERSION' for name in names)}, or leave it out"
        )


def of_own_format(format_: str, target: Target, asked: Asked, measure: Measure) -> ModelNeeds:
    """Returns the needs of a model in a format that only a runtime of the operator's own knows.
    Raises OperatorError, which names the option."""
    if format_ not in target.all_runtimes:
        raise OperatorError(
            f"--format: {format_}, but {target.name} runs {', '.join(target.all_runtimes)}: name "
            "the runtime in `other_runtimes` of a target of your own (modelwave target add)"
        )
    why = f"its format is {format_}"
    return _as_asked(asked.runtime or format_, target, asked, why, measure)


def _as_asked(runtime: str, target: Target, asked: Asked, why: str, measure: Measure) -> ModelNeeds:
    """The needs of a model whose file does not say them; on a host its RAM may be measured."""
    ram, ram_from, how = asked.ram, "", f"needs as given; the model does not say them: {why}"
    if target.kind == "host":
        measured = measured_by(asked, measure)
        if ram is not None or measured is not None:
            ram, how, ram_from = host_ram(asked, measured, 0)
    if ram is None:
        raise OperatorError(f"--ram: not given, and the model does not say it: {why}")
    kernels, accelerator = asked.kernels or (), asked.accelerator or ""
    return ModelNeeds(ram, kernels, runtime, accelerator, how, ram_from)


def measured_by(asked: Asked, measure: Measure) -> Measured | None:
    if asked.ram is not None:
        return None
    name = (asked.runtime or "").partition(">=")[0]
    distributions = {one for names in _DISTRIBUTIONS.values() for one in names}
    return measure(name if name in distributions else "")


def host_ram(asked: Asked, measured: Measured | None, planned: int) -> tuple[int, str, str]:
    """Returns the RAM, and for people and for the manifest where it is from."""
    if asked.ram is not None:
        return asked.ram, "RAM as given", "given"
    if measured is None:
        how = f"{host.PLANNED}: no runtime that is installed here could run it"
        return planned, how, "planned"
    where = f"measured on {', '.join(measured.runtimes)}"[:MAX_TEXT]
    return measured.ram, f"RAM: {measured.ram:,} bytes, {where}, with a margin", where


def _arena(inspection: Inspection, target: Target, asked: Asked, forced: bool) -> tuple[int, str]:
    unknown, need = f"never measured: {target.kernels or 'its kernels'}", None
    how = f"exact for {target.profile}"
    if target.profile:
        fit = inspection.fit(target.profile)
        if fit.refused and not forced:
            raise OperatorError(
                f"--file: {target.name} ({target.profile}) refuses the model: {fit.refused}"
            )
        need, unknown = fit.need, fit.refused or fit.unknown or ""
        how = fit.derived or how
    if asked.ram is None:
        if need is None:
            raise OperatorError(f"--ram: not given, and unknown for {target.name}: {unknown}")
        return need, f"arena: {need:,} bytes, {how}"
    if need is None:
        return asked.ram, f"RAM as given; unknown for {target.name}: {unknown}"
    if asked.ram < need and how.startswith("exact"):
        raise OperatorError(
            f"--ram: {asked.ram} bytes, but it needs {need} on {target.profile}; leave --ram out"
        )
    return asked.ram, f"RAM as given; {target.profile} needs {need:,} bytes, {how}"


def _kernels(model: Model) -> tuple[str, ...]:
    return tuple(sorted({operator.name for operator in model.operators}))


def _accelerator(data: bytes, model: Model, target: Target) -> str:
    if not edgetpu.is_compiled(model):
        return ""
    try:
        package = edgetpu.package(data)
    except ModelError as error:
        raise OperatorError(f"--file: {error}") from error
    if wrong := accelerator_problem(package, target):
        raise OperatorError(f"--file: {wrong}; choose a Coral target")
    return f"{edgetpu.ACCELERATOR}>={package.least_runtime}"


def _runtime(data: bytes, target: Target, forced: bool) -> str:
    """Returns the runtime, on a host with the least version that has the model's operators; a
    board's firmware is built from tflite-micro, which has no such versions. Raises OperatorError
    if no version has them and it is not `forced`."""
    if target.kind != "host" or target.runtime != TFLITE:
        return target.runtime
    try:
        asks = host_operators.on_hosts(data)
        least = max(least_runtime(data), asks.least_that_excludes, key=numbers)
    except ModelError:
        return target.runtime  # the file is damaged, or too large to be read here
    if not forced:
        _refuse(target, asks.refused)
    return f"{target.runtime}>={least}" if least else target.runtime


def _refuse(target: Target, why: str) -> None:
    if why:
        raise OperatorError(f"--file: {target.name} refuses the model: {why}")


def least_runtime(data: bytes) -> str:
    """Returns the least version of TensorFlow Lite that has all operators in the versions that
    the file uses, such as "2.5.0"; "" if the converter did not write it."""
    text = metadata.entry(data, _LEAST_RUNTIME)[:16].rstrip(b"\0").decode("ascii", "replace")
    return text if re.fullmatch(r"\d{1,4}(\.\d{1,4}){0,3}", text) else ""
