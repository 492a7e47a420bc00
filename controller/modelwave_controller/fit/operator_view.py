"""What a rule that refuses operators sees of one, and the row that such a rule is in a table."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from modelwave_controller.fit.model import Operator, Tensor
from modelwave_controller.fit.profiles import Profile


class OperatorView:
    """An operator as a rule sees it. Raises LookupError for a tensor that the operator does not
    have: then the rule does not apply, and Prepare will report the missing tensor."""

    def __init__(self, operator: Operator) -> None:
        self.operator = operator

    def input(self, index: int) -> Tensor:
        tensor = self.operator.inputs[index]
        if tensor is None:
            raise LookupError
        return tensor

    @property
    def data(self) -> Tensor:
        return self.input(2 if self.operator.name == "TRANSPOSE_CONV" else 0)

    @property
    def weights(self) -> Tensor:
        return self.input(1)

    @property
    def output(self) -> Tensor:
        return self.operator.outputs[0]


@dataclass(frozen=True, slots=True)
class Rule:
    """One reason to refuse an operator. `library` is the beginning of the names of the kernel
    libraries that it holds for; firmware of the day `before` or later accepts it."""

    operators: tuple[str, ...]
    wrong: Callable[[OperatorView], str | None]
    library: str | None = None
    before: date | None = None

    def concerns(self, operator: Operator, profile: Profile) -> bool:
        return (
            operator.name in self.operators
            and (self.library is None or profile.library.startswith(self.library))
            and (self.before is None or profile.released < self.before)
        )


def differs(tensor: Tensor, wanted: tuple[int, ...]) -> str:
    """Returns what is wrong with a tensor that does not have the shape `wanted`."""
    return f"tensor {tensor.index} has the shape {list(tensor.shape)}, not {list(wanted)}"
