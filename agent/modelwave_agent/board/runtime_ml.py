"""TFLite models on a firmware that has OpenMV's `ml`; elsewhere this raises ImportError."""

import ml

from modelwave_agent.board.runtime import FunctionRuntime
from modelwave_agent.ports import ProofError


class MlRuntime(FunctionRuntime):
    """Models of one input and one output. The tensors go in and out as they are: a function
    as input fills the tensor itself, and a callback is given the output before it is made
    floats. (A firmware whose callback is given floats fails every golden set of integers,
    by the number of bytes.)"""

    def __init__(self, version="", kernels=None, ram=0):
        FunctionRuntime.__init__(self, ml.Model, "ml", version, kernels, ram)
        self.data = b""

    def run(self, data):
        self.data = data
        return self.model.predict([self.fill], callback=_raw)

    def fill(self, tensor, shape, kind):
        # A slice of another length would move what is not ours to move.
        if len(tensor) != len(self.data):
            raise ProofError("the model takes %d bytes" % len(tensor))
        tensor[:] = self.data


def _raw(model, inputs, outputs):
    return bytes(outputs[0].tobytes())
