"""TFLite models on a firmware that has tensorflow-micropython's `microlite`; elsewhere this
raises ImportError."""

import microlite

from modelwave_agent.board.runtime import FunctionRuntime
from modelwave_agent.ports import ProofError


class MicroliteRuntime(FunctionRuntime):
    """Models of one input and one output whose elements are int8 or uint8. microlite tells
    no size and checks no index, so the sizes are told here."""

    def __init__(self, arena, inputs, outputs, version="", kernels=None, ram=0):
        """`arena`: bytes; `inputs`, `outputs`: elements of the two tensors."""
        FunctionRuntime.__init__(self, None, "microlite", version, kernels, ram)
        self.arena = arena
        self.inputs = inputs
        self.outputs = outputs
        self.data = b""

    def load(self, path):
        with open(path, "rb") as file:
            self.data = file.read()  # the interpreter points into it
        self.model = microlite.interpreter(self.data, self.arena, _nothing, _nothing)

    def run(self, data):
        if len(data) != self.inputs:
            raise ProofError("the model takes %d bytes" % self.inputs)
        tensor = self.model.getInputTensor(0)
        for index, value in enumerate(data):
            tensor.setValue(index, value)
        self.model.invoke()
        tensor = self.model.getOutputTensor(0)
        return bytes(tensor.getValue(index) & 255 for index in range(self.outputs))

    def unload(self):
        self.model, self.data = None, b""


def _nothing(interpreter):
    pass
