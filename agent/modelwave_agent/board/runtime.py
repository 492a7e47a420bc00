"""The base class of the runtimes for boards, and the runtime for a program's own function."""

from modelwave_agent.board.memory import largest
from modelwave_agent.ports import ProofError, Runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Model = Callable[[bytes], bytes]  # from the input tensor's bytes to the output tensor's


class BoardRuntime(Runtime):
    """The attributes of a runtime. Subclasses implement `load` and `run`."""

    format = "tflite"

    def __init__(self, name: str, version: str, kernels: "list[str] | None", ram: int) -> None:
        """`name`: as in the tolerance of manifests; `kernels`: the operators that it has, None
        for all; `ram`: bytes reserved for models, 0 to measure the free heap."""
        self.name = name
        self.version = version
        self.kernels = kernels
        self.ram = ram

    def free_ram(self) -> int:
        return self.ram or largest()


class FunctionRuntime(BoardRuntime):
    """Runs models with a function of the program."""

    def __init__(
        self,
        load: "Callable[[str], Model]",
        name: str = "function",
        version: str = "",
        kernels: "list[str] | None" = None,
        ram: int = 0,
    ) -> None:
        """`load(path)` returns the model: a function from the input tensor's bytes to the output
        tensor's. If one of the two raises an error, the model counts as unhealthy, except for
        MemoryError and OSError. The other arguments: as in BoardRuntime."""
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
