"""Resource variables: the state that a streaming model keeps from one inference to the next
(micro_resource_variable.cc).

VAR_HANDLE names a variable, READ_VARIABLE and ASSIGN_VARIABLE use its handle, and CALL_ONCE runs a
subgraph that gives the variables their first values. A variable takes memory when the first
ASSIGN_VARIABLE is prepared whose handle is known by then, so one that VAR_HANDLE made in the same
subgraph. TFLM does not check that a variable which is read was assigned, or that both sizes
agree: then it copies from nowhere, or over other tensors. Here such a model is refused."""

from modelwave_controller.fit.errors import ModelRefused
from modelwave_controller.fit.model import Model, Operator, Tensor


class ResourceVariables:
    """The variables of a model. `bytes` is the size of each one that is allocated, by its
    number."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.bytes: dict[int, int] = {}
        self._handles: dict[int, int] = {}  # by id of the tensor

    def name(self, handle: Tensor, variable: int) -> None:
        self._handles[id(handle)] = variable

    def is_handle(self, tensor: Tensor) -> bool:
        """Returns whether VAR_HANDLE made the tensor. It points into the kernel's data, so it is
        not planned."""
        return id(tensor) in self._handles

    def allocate(self, handle: Tensor, value: Tensor) -> int | None:
        """Returns the bytes to allocate for the variable; None if it has its memory already, or
        if the handle is not known yet."""
        variable = self._handles.get(id(handle))
        if variable is None or variable in self.bytes:
            return None
        self.bytes[variable] = value.bytes
        return value.bytes

    def check(self, operator: Operator) -> None:
        """Raises ModelRefused if the operator reads or assigns a variable without memory, or of
        another size. Called when all operators are prepared."""
        handle, *values = operator.inputs
        value = operator.outputs[0] if operator.name == "READ_VARIABLE" else values[0]
        if handle is None or value is None:
            return
        for variable in self._possible(handle):
            held = self.bytes.get(variable)
            if held is None:
                raise ModelRefused("nothing assigns its variable, so TFLM has no memory for it")
            if held != value.bytes and self.is_handle(handle):
                raise ModelRefused(f"it has {value.bytes} bytes, its variable {held}")

    def _possible(self, handle: Tensor) -> list[int]:
        """Returns the variables that a handle may stand for: any, if another subgraph passes
        it."""
        if self.is_handle(handle):
            return [self._handles[id(handle)]]
        return list(range(self.model.variables))
