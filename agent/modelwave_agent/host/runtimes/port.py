"""The port of a host's runtime: it loads one model at a time, and runs it on named arrays.

A runtime for another format is a subclass of HostRuntime, which a package of its own offers by the
entry point group `modelwave.runtimes` (docs/runtimes.md). The program that serves a model, the
process that proves it and the one that runs it in shadow all use the same class, with the same
settings, so they compute the same outputs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from modelwave_agent.host.runtimes.specs import TensorSpec
from modelwave_agent.ports import ProofError
from modelwave_shared.tensors import DELEGATES, PROVIDERS

if TYPE_CHECKING:
    import numpy

    Arrays = Mapping[str, "numpy.ndarray[Any, Any]"]


Answer = TypeVar("Answer")


def surely(ask: Callable[[], Answer]) -> Answer:
    """Returns what a runtime answers. What it says once may be an error of the disk, or that no
    descriptor is left, which it tells like a fault of the model. So it is asked again, and what it
    says twice is one. Raises ProofError."""
    try:
        return ask()
    except ProofError:
        return ask()


@dataclass(frozen=True)
class RuntimeSettings:
    """What this device allows its runtimes. `accelerator`: as in agent.toml. `threads`: 0 for what
    the runtime takes by itself. `delegates` and `providers`: those that may compute if a manifest
    allows them, too."""

    accelerator: str = ""
    threads: int = 0
    delegates: tuple[str, ...] = DELEGATES
    providers: tuple[str, ...] = PROVIDERS


class HostRuntime:
    """Loads a model and runs it. A subclass implements `__init__` (which raises ProofError if the
    runtime is not installed), `load`, `_run` and `unload`, and sets what stands here."""

    format = ""  # of models that it loads, as in a manifest
    name = ""  # of its distribution, as in a manifest's tolerance: tflite-runtime
    version = ""  # of its distribution
    # Other names that the device offers it under, in the same version: "onnxruntime+cuda".
    offers: tuple[str, ...] = ()
    inputs: tuple[TensorSpec, ...] = ()  # of the loaded model; () if there is none
    outputs: tuple[TensorSpec, ...] = ()

    def __init__(self, settings: RuntimeSettings) -> None:
        self.settings = settings

    @property
    def configuration(self) -> str:
        """The name under which a tolerance has its figures for the loaded model: the runtime's,
        and what else decides how it rounds, such as "tflite-runtime+xnnpack"."""
        return self.name

    def load(self, path: str, loading: "Mapping[str, Any]" = {}) -> None:  # noqa: B006
        """Loads the model in the file `path`. `loading`: the manifest's field. Raises ProofError if
        that cannot be done, which counts against the model, and OSError if the file cannot be
        read, which does not."""
        raise NotImplementedError

    def load_surely(self, path: str, loading: "Mapping[str, Any]" = {}) -> None:  # noqa: B006
        """The same, where a failure has consequences."""
        surely(lambda: self.load(path, loading))

    def run(self, inputs: "Arrays") -> "dict[str, numpy.ndarray[Any, Any]]":
        """Runs the model. `inputs`: an array for each of `self.inputs`, by name. Returns an array
        for each of `self.outputs`, which the caller owns. Raises InputError if an input is missing
        or has another type or shape, else ProofError."""
        if not self.inputs:
            raise ProofError("no model is loaded")
        from modelwave_agent.host.runtimes import arrays

        return arrays.returned(self.outputs, self._run(arrays.checked(self.inputs, inputs)))

    def _run(self, inputs: "Arrays") -> "dict[str, numpy.ndarray[Any, Any]]":
        """As `run`, with inputs that were checked."""
        raise NotImplementedError

    def run_bytes(self, data: bytes) -> bytes:
        """Runs a model that has one input and one output on the bytes of its input tensor,
        little-endian, exactly as many as it has. Returns those of the output tensor. Raises
        as `run`."""
        if not self.inputs:
            raise ProofError("no model is loaded")
        from modelwave_agent.host.runtimes import arrays

        (output,) = self.run(arrays.from_only(self.inputs, self.outputs, data)).values()
        return output.tobytes()

    def unload(self) -> None:
        """Frees the memory that `load` has used."""
        raise NotImplementedError
