"""TFLite models on a firmware that has OpenMV's `ml`; elsewhere this raises ImportError."""

import ml

from modelwave_agent.board.runtime import BoardRuntime
from modelwave_agent.ports import ProofError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class MlRuntime(BoardRuntime):
    """Models of one input and one output. The tensors go in and out as they are: a function
    as input fills the tensor itself, and a callback is given the output before it is made
    floats. (A firmware whose callback is given floats fails every golden set of integers,
    by the number of bytes.)"""

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
        # A slice of another length would move what is not ours to move.
        if len(tensor) != len(self.data):
            raise ProofError("%d bytes given, the model takes %d" % (len(self.data), len(tensor)))
        tensor[:] = self.data


def _raw(model: "ml.Model", inputs: "Sequence[Any]", outputs: "Sequence[Any]") -> bytes:
    """What the callback of `predict` returns is what `predict` returns."""
    return bytes(outputs[0].tobytes())
