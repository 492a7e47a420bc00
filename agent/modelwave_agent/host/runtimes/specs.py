"""What a runtime says of a loaded model's inputs and outputs."""

from dataclasses import dataclass

from modelwave_agent.ports import ProofError

OPEN = -1  # a dimension of a shape that the model leaves open


class InputError(ProofError, ValueError):
    """The program's input is not what the model takes. That says nothing about the model."""


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of the loaded model. `dtype`: the type of its elements as numpy writes it
    ("|i1", "<f4"); "|S0" for texts of any length. A dimension of `shape` may be OPEN."""

    name: str
    dtype: str
    shape: tuple[int, ...]
