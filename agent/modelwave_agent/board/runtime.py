"""The runtimes of boards: what they have in common, and a function of the program's own as one."""

from modelwave_agent.board.memory import largest
from modelwave_agent.ports import ProofError, Runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Model = Callable[[bytes], bytes]  # from the input tensor's bytes to the output tensor's


class BoardRuntime(Runtime):
    """What a runtime says of itself. `load` and `run` are the subclass's."""

    format = "tflite"

    def __init__(self, name: str, version: str, kernels: "list[str] | None", ram: int) -> None:
        """`name`: as in the tolerance of manifests; `kernels`: the operators there are, None
        for all; `ram`: bytes set aside for models, 0 for what is free."""
        self.name = name
        self.version = version
        self.kernels = kernels
        self.ram = ram

    def free_ram(self) -> int:
        return self.ram or largest()


class FunctionRuntime(BoardRuntime):
    def __init__(
        self,
        load: "Callable[[str], Model]",
        name: str = "function",
        version: str = "",
        kernels: "list[str] | None" = None,
        ram: int = 0,
    ) -> None:
        """`load(path)` gives the model: a function from the input tensor's bytes to the output
        tensor's. What either raises counts against the model, but for MemoryError and
        OSError. The others: BoardRuntime's."""
        BoardRuntime.__init__(self, name, version, kernels, ram)
        self.open = load
        self.model: "Model | None" = None

    def load(self, path: str) -> None:
        self.model = self.open(path)

    def run(self, data: bytes) -> bytes:
        if self.model is None:
            raise ProofError("no model is loaded")
        return self.model(data)

    def unload(self) -> None:
        self.model = None
