"""TFLite models on a firmware that has tensorflow-micropython's `microlite`; elsewhere this
raises ImportError."""

import microlite

from modelwave_agent.board.runtime import BoardRuntime
from modelwave_agent.ports import ProofError


class MicroliteRuntime(BoardRuntime):
    """Models of one input and one output whose elements are int8 or uint8. microlite tells
    no size and checks no index, so the sizes are told here."""

    def __init__(
        self,
        arena: int,
        inputs: int,
        outputs: int,
        version: str = "",
        kernels: "list[str] | None" = None,
        ram: int = 0,
    ) -> None:
        """`arena`: bytes; `inputs`, `outputs`: elements of the two tensors; the others:
        BoardRuntime's."""
        BoardRuntime.__init__(self, "microlite", version, kernels, ram)
        self.arena = arena
        self.inputs = inputs
        self.outputs = outputs
        self.data = b""
        self.model: "microlite.interpreter | None" = None

    def load(self, path: str) -> None:
        with open(path, "rb") as file:
            self.data = file.read()  # the interpreter points into it
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
    """Called by microlite before and after it runs; the tensors are filled and read here."""
