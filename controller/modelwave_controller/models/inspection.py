"""Computes the flash and RAM that a model needs on a target, and whether it fits. The columns
are those of ST's and Arm's tools:

    weights flash    the constants; they are part of the model file
    model flash      the model file
    code flash       TFLM's core and the kernels of the model's operators, an upper bound
    activation RAM   the tensors that are planned into the arena
    runtime RAM      the rest of the arena, and TFLM's RAM outside the arena
    total            model and code in flash; both kinds of RAM

The arena is exact, to the byte (modelwave_controller.fit). A part that was never measured is
None; a total without it is a lower bound, and the notes say so."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from modelwave_controller.errors import OperatorError
from modelwave_controller.fit import Fit, ModelError, analyse, metadata
from modelwave_controller.fit.errors import ModelRefused, Unknown
from modelwave_controller.fit.model import Model, read_model
from modelwave_controller.models import (
    edgetpu,
    firmware,
    host,
    host_operators,
    host_refusals,
    labels,
)
from modelwave_controller.models.labels import LabelFile
from modelwave_controller.models.targets import Target
from modelwave_shared.words import TFLITE

Verdict = Literal["yes", "no", "unknown"]


@dataclass(slots=True)
class ModelOnTarget:
    """The needs of one model on one target; all sizes in bytes. `refused` and `unknown` say why
    there is no figure, `derived` which part of the arena was not measured, `shortfalls` how many
    bytes are missing."""

    target: str
    kind: Literal["mcu", "host"]
    profile: str | None
    weights_flash: int | None = None
    model_flash: int = 0
    code_flash: int | None = None
    activation_ram: int | None = None
    runtime_ram: int | None = None
    arena_need: int | None = None
    free_flash: int | None = None
    free_ram: int | None = None
    refused: str | None = None
    unknown: str | None = None
    shortfalls: list[str] = field(default_factory=list)
    derived: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def total_flash(self) -> int:
        return self.model_flash + (self.code_flash or 0)

    @property
    def total_ram(self) -> int | None:
        if self.activation_ram is None:
            return None
        return self.activation_ram + (self.runtime_ram or 0)

    @property
    def fits(self) -> Verdict:
        if self.refused or self.shortfalls:
            return "no"
        return "unknown" if self.unknown else "yes"


class Inspection:
    """One model file; the analysis for each profile is made once and kept."""

    def __init__(self, name: str, data: bytes) -> None:
        """Keeps the file's bytes without reading them; `name` is for error messages."""
        self.name, self.data = name, data
        self._fits: dict[str, Fit] = {}

    def fit(self, profile: str) -> Fit:
        """Returns the analysis for a profile. Raises OperatorError, with the file's name, if
        the file is not a model."""
        if profile not in self._fits:
            try:
                self._fits[profile] = analyse(self.data, profile)
            except ModelError as error:
                raise OperatorError(f"{self.name}: {error}") from error
        return self._fits[profile]

    def model(self) -> Model:
        """Returns the model. Raises OperatorError as `fit` does; Refused and Unknown if TFLM
        does not support its tensors."""
        try:
            return read_model(self.data)
        except ModelError as error:
            raise OperatorError(f"{self.name}: {error}") from error

    def labels(self) -> list[LabelFile]:
        """Returns the files of labels in the model. Damaged metadata, without which a model runs
        all the same, are a file with a problem."""
        try:
            return labels.in_model(self.data)
        except ModelError as error:
            return [LabelFile(metadata.NAME, "metadata", "", None, str(error))]

    def rows(self, targets: Iterable[Target]) -> list[ModelOnTarget]:
        return [self.row(target) for target in targets]

    def row(self, target: Target) -> ModelOnTarget:
        row = ModelOnTarget(
            target.name,
            target.kind,
            target.profile,
            model_flash=len(self.data),
            free_flash=target.free_flash_bytes,
            free_ram=target.free_ram_bytes,
        )
        if target.kind == "host":
            self._on_host(row, target)
        else:
            self._on_board(row, target)
        _compare(row, target)
        return row

    def _on_board(self, row: ModelOnTarget, target: Target) -> None:
        if target.profile is None:
            row.unknown = f"never measured: {target.kernels or 'its kernels'}"
            self.model_or_reason(row)
            return
        fit = self.fit(target.profile)
        row.refused, row.unknown = fit.refused, fit.unknown
        row.weights_flash, row.arena_need, row.derived = fit.weights, fit.need, fit.derived
        row.notes += _arena_notes(fit)
        if fit.need is None or fit.activations is None:
            return
        code = firmware.code(target.profile, fit.operators)
        beside = firmware.ram_beside_arena(target.profile, fit.operators)
        row.code_flash, row.activation_ram = code.bytes, fit.activations
        row.runtime_ram = fit.need - fit.activations + (beside or 0)
        if code.bytes is None:
            row.notes.append(f"code flash: not measured for {_whose(code, target.profile)}")
        if beside is None:
            row.notes.append(
                "runtime RAM: the arena's part only; interpreter and stack were not measured"
            )

    def _on_host(self, row: ModelOnTarget, target: Target) -> None:
        model = self.model_or_reason(row)
        if target.runtime == TFLITE:
            self._on_tflite(row, model)
        if model is None:
            return
        row.weights_flash = model.weights
        row.activation_ram = host.activations(model)
        row.runtime_ram = host.beside(len(self.data))
        row.notes.append(host.PLANNED)
        if edgetpu.is_compiled(model):
            self._on_edgetpu(row, target)

    def _on_tflite(self, row: ModelOnTarget, model: Model | None) -> None:
        try:
            asks = host_operators.on_hosts(self.data)
        except ModelError as error:
            raise OperatorError(f"{self.name}: {error}") from error
        row.refused = asks.refused or (host_refusals.refusal(model) if model else "") or None
        if asks.open_shape and row.unknown is None:
            row.unknown = f"{asks.open_shape}: it may have to be given another one"
        if asks.least_that_excludes:
            row.notes.append(f"runtime: {TFLITE}>={asks.least}, which has {asks.by}")

    def _on_edgetpu(self, row: ModelOnTarget, target: Target) -> None:
        try:
            package = edgetpu.package(self.data)
        except edgetpu.OldFormatError as old:
            row.refused = str(old)
            return
        except ModelError as error:
            raise OperatorError(f"{self.name}: {error}") from error
        row.notes.append(
            f"Edge TPU: libedgetpu with runtime version {package.least_runtime} or later; "
            f"{package.cached_bytes:,} bytes of parameters cached on the chip, "
            f"{package.streamed_bytes:,} sent for each inference"
        )
        if wrong := accelerator_problem(package, target):
            row.shortfalls.append(wrong)

    def model_or_reason(self, row: ModelOnTarget) -> Model | None:
        """Returns the model, or None after it put the reason into the row."""
        try:
            return self.model()
        except (ModelRefused, Unknown) as beyond:
            row.unknown = row.unknown or str(beyond)
        return None


def _arena_notes(fit: Fit) -> list[str]:
    notes = [f"arena: {fit.derived}"] if fit.derived else []
    if fit.variables:
        notes.append(
            f"arena: with MicroResourceVariables::Create(allocator, {fit.variables}), which the "
            "firmware must call; each variable more that it creates there takes 20 bytes"
        )
    return notes


def _whose(code: firmware.Code, profile: str) -> str:
    return ", ".join(code.unmeasured) or profile


def _compare(row: ModelOnTarget, target: Target) -> None:
    """Adds a shortfall for each limit that is exceeded. The model file must fit into the flash
    that the firmware leaves free; the code is part of the firmware, so model and code together
    must fit into the whole flash. A host has no such code."""
    code = [("flash with the code", row.total_flash, target.flash_bytes)]
    for name, needed, free in (
        ("flash", row.model_flash, row.free_flash),
        *(code if target.kind == "mcu" else []),
        ("RAM", row.total_ram, row.free_ram),
    ):
        if needed is not None and free is not None and needed > free:
            row.shortfalls.append(
                f"{name}: {needed - free:,} bytes missing "
                f"(needs {needed:,}, {target.name} has {free:,})"
            )


def accelerator_problem(package: edgetpu.Package, target: Target) -> str:
    """Returns why a compiled model cannot run on the target, or ""."""
    if target.accelerator != edgetpu.ACCELERATOR:
        return f"accelerator: needs edgetpu, {target.name} has {target.accelerator or 'none'}"
    if package.chip and package.chip != target.chip:
        has = target.chip or "an unknown one"
        return f"accelerator: compiled for chip {package.chip}, {target.name} has {has}"
    return ""
