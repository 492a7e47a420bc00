"""The types and dimensions that a kernel requires of all its tensors, written as a text. In

    T INT32|INT64/1 ?T/2..4 > T+

the inputs are data, a vector of one of two types and perhaps a third tensor of two to four
dimensions; there is at least one output. `T` is the type of the data, `*` any type, `?` before a
word an input that may be left out, `+` after a word one or more of these tensors."""

import re
from dataclasses import dataclass

from modelwave_controller.fit.errors import ModelRefused
from modelwave_controller.fit.model import Operator, Tensor

ANY, SAME = "*", "T"
MOST_DIMENSIONS = 6  # RuntimeShape::kMaxSmallSize, of every tensor that a kernel looks at
_WORD = re.compile(r"(\??)([A-Z0-9|*]+?)(?:/(\d*)(\.\.)?(\d*))?(\+?)")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is required of one tensor: its types, and its least and most dimensions."""

    kinds: tuple[str, ...]
    least: int
    most: int
    optional: bool
    repeated: bool

    @classmethod
    def read(cls, word: str) -> "Wanted":
        found = _WORD.fullmatch(word)
        if found is None:
            raise ValueError(f"signature: {word!r}")
        optional, kinds, low, dots, high, repeated = found.groups()
        least = int(low) if low else 0
        most = int(high) if high else least if low and not dots else MOST_DIMENSIONS
        return cls(tuple(kinds.split("|")), least, most, bool(optional), bool(repeated))

    def check(self, tensor: Tensor | None, data: Tensor | None) -> None:
        """Raises ModelRefused if the tensor has another type or other dimensions."""
        if tensor is None:
            if self.optional:
                return
            raise ModelRefused("an input is missing")
        kinds = [data.kind if kind == SAME and data else kind for kind in self.kinds]
        if ANY not in kinds and tensor.kind not in kinds:
            raise ModelRefused(f"tensor {tensor.index} is {tensor.kind}, not {' or '.join(kinds)}")
        dimensions = len(tensor.shape)
        if not self.least <= dimensions <= self.most:
            raise ModelRefused(
                f"tensor {tensor.index} has {dimensions} dimensions, not {self._span()}"
            )

    def _span(self) -> str:
        return str(self.least) if self.least == self.most else f"{self.least} to {self.most}"


@dataclass(frozen=True, slots=True)
class Signature:
    """What a kernel requires of its tensors; `data` is the input whose type is `T`."""

    inputs: tuple[Wanted, ...]
    outputs: tuple[Wanted, ...]
    data: int

    @classmethod
    def read(cls, text: str, data: int = 0) -> "Signature":
        inputs, _, outputs = text.partition(">")
        return cls(_all(inputs), _all(outputs), data)

    def check(self, operator: Operator) -> None:
        """Raises ModelRefused if the operator has other tensors."""
        data = operator.inputs[self.data] if self.data < len(operator.inputs) else None
        _check("inputs", operator.inputs, self.inputs, data)
        _check("outputs", operator.outputs, self.outputs, data)


def _all(text: str) -> tuple[Wanted, ...]:
    return tuple(Wanted.read(word) for word in text.split())


def _check(
    what: str, tensors: tuple[Tensor | None, ...], wanted: tuple[Wanted, ...], data: Tensor | None
) -> None:
    least = sum(not one.optional for one in wanted)
    repeated = bool(wanted) and wanted[-1].repeated
    if len(tensors) < least or (len(tensors) > len(wanted) and not repeated):
        many = "" if least == len(wanted) else f"{least} to "
        raise ModelRefused(
            f"it has {len(tensors)} {what}, not {many}{len(wanted)}{' or more' if repeated else ''}"
        )
    for place, tensor in enumerate(tensors):
        wanted[min(place, len(wanted) - 1)].check(tensor, data)
