"""The types and dimensions that a kernel requires of all its tensors, written as a text:
"INT16/1 INT32/0 > UINT32/1" are two inputs, a vector and a scalar, and one output. `*` stands for
any type, or for any dimensions."""

from dataclasses import dataclass

from modelwave_controller.fit.errors import ModelRefused
from modelwave_controller.fit.model import Operator, Tensor

ANY = "*"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is required of one tensor; None stands for any."""

    kind: str | None
    dimensions: int | None


@dataclass(frozen=True, slots=True)
class Signature:
    inputs: tuple[Wanted, ...]
    outputs: tuple[Wanted, ...]

    @classmethod
    def read(cls, text: str) -> "Signature":
        inputs, _, outputs = text.partition(">")
        return cls(_all(inputs), _all(outputs))

    def check(self, operator: Operator) -> None:
        """Raises ModelRefused if the operator has other tensors."""
        for what, tensors, wanted in (
            ("inputs", operator.inputs, self.inputs),
            ("outputs", operator.outputs, self.outputs),
        ):
            if len(tensors) != len(wanted):
                raise ModelRefused(f"it has {len(tensors)} {what}, not {len(wanted)}")
            for tensor, one in zip(tensors, wanted, strict=True):
                _check(tensor, one)


def _all(text: str) -> tuple[Wanted, ...]:
    return tuple(_one(*word.split("/")) for word in text.split())


def _one(kind: str, dimensions: str) -> Wanted:
    return Wanted(None if kind == ANY else kind, None if dimensions == ANY else int(dimensions))


def _check(tensor: Tensor | None, wanted: Wanted) -> None:
    if tensor is None:
        raise ModelRefused("an input is missing")
    if wanted.kind not in (None, tensor.kind):
        raise ModelRefused(f"tensor {tensor.index} is {tensor.kind}, not {wanted.kind}")
    if wanted.dimensions not in (None, len(tensor.shape)):
        raise ModelRefused(
            f"tensor {tensor.index} has {len(tensor.shape)} dimensions, not {wanted.dimensions}"
        )
