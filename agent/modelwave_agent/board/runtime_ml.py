"""Runs TFLite models on a firmware with OpenMV's `ml`; on others the import raises ImportError."""

import ml

from modelwave_agent.board.runtime import BoardRuntime
from modelwave_agent.ports import ProofError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class MlRuntime(BoardRuntime):
    """Runs models with one input and one output. The tensors' bytes are not converted: the input
    is a function that fills the tensor, and a callback gets the output before it is converted
    to floats. (A firmware whose callback gets floats fails every golden set of integers, as the
    number of bytes is wrong.)"""

    def __init__(self, version: str = "", kernels: "list[str] | None" = None, ram: int = 0) -> None:
        BoardRuntime.__init__(self, "ml", version, kernels, ram)
        self.data = b""
        self.model: "ml.Model | None" = None

    def load(self, path: str) -> None:
        self.model = ml.Model(path)

    def run(self, data: bytes) -> bytes:
        if self.model is None:
            raise ProofError("no model is loaded")
        self.data = data
        output: bytes = self.model.predict([self.fill], callback=_raw)
        return output

    def unload(self) -> None:
        self.model = None

    def fill(self, tensor: "Any", shape: "tuple[int, ...]", kind: str) -> None:
        # A slice of another length would resize the tensor's array.
        if len(tensor) != len(self.data):
            raise ProofError("%d bytes given, the model takes %d" % (len(self.data), len(tensor)))
        tensor[:] = self.data


def _raw(model: "ml.Model", inputs: "Sequence[Any]", outputs: "Sequence[Any]") -> bytes:
    """The callback for `predict`, which returns what this returns."""
    return bytes(outputs[0].tobytes())
