"""A function of the program's own as the runtime."""

from modelwave_agent.board.memory import largest
from modelwave_agent.ports import Runtime


class FunctionRuntime(Runtime):
    format = "tflite"

    def __init__(self, load, name="function", version="", kernels=None, ram=0):
        """`load(path)` gives the model: a function from the input tensor's bytes to the output
        tensor's. What either raises counts against the model, but for MemoryError and
        OSError. `name`: as in the tolerance of manifests; `kernels`: the operators there
        are, None for all; `ram`: bytes set aside for models, 0 for what is free."""
        self.open = load
        self.name = name
        self.version = version
        self.kernels = kernels
        self.ram = ram
        self.model = None

    def load(self, path):
        self.model = self.open(path)

    def run(self, data):
        return self.model(data)

    def unload(self):
        self.model = None

    def free_ram(self):
        return self.ram or largest()
