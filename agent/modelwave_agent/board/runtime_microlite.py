"""Runs TFLite models on a firmware with tensorflow-micropython's `microlite`; on others the
import raises ImportError."""

import microlite

from modelwave_agent.board.runtime import BoardRuntime
from modelwave_agent.ports import ProofError


class MicroliteRuntime(BoardRuntime):
    """Runs models with one input and one output of int8 or uint8 elements. microlite does not
    know the sizes of tensors and checks no index, so the program gives the sizes."""

    def __init__(
        self,
        arena: int,
        inputs: int,
        outputs: int,
        version: str = "",
        kernels: "list[str] | None" = None,
        ram: int = 0,
    ) -> None:
        """`arena`: bytes; `inputs`, `outputs`: elements of the two tensors; the others: as in
        BoardRuntime."""
        BoardRuntime.__init__(self, "microlite", version, kernels, ram)
        self.arena = arena
        self.inputs = inputs
        self.outputs = outputs
        self.data = b""
        self.model: "microlite.interpreter | None" = None

    def load(self, path: str) -> None:
        with open(path, "rb") as file:
            self.data = file.read()  # kept, as the interpreter points into it
        self.model = microlite.interpreter(self.data, self.arena, _nothing, _nothing)

    def run(self, data: bytes) -> bytes:
        if self.model is None:
            raise ProofError("no model is loaded")
        if len(data) != self.inputs:
            raise ProofError("%d bytes given, the model takes %d" % (len(data), self.inputs))
        tensor = self.model.getInputTensor(0)
        for index, value in enumerate(data):
            tensor.setValue(index, value)
        self.model.invoke()
        tensor = self.model.getOutputTensor(0)
        return bytes(tensor.getValue(index) & 0xFF for index in range(self.outputs))

    def unload(self) -> None:
        self.model = None
        self.data = b""


def _nothing(interpreter: "microlite.interpreter") -> None:
    """microlite calls this before and after a run; `run` fills and reads the tensors itself."""
