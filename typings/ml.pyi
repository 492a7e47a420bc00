# What the agent uses of OpenMV's module `ml`, which has no stubs on PyPI.

from collections.abc import Callable, Sequence
from typing import Any

# A tensor is an ndarray of the firmware's ulab.
Fill = Callable[[Any, tuple[int, ...], str], None]  # tensor, shape, element type
Callback = Callable[["Model", Sequence[Any], Sequence[Any]], Any]  # model, inputs, outputs

class Model:
    def __init__(self, path: str) -> None: ...
    def predict(self, inputs: Sequence[Fill], *, callback: Callback) -> Any: ...
