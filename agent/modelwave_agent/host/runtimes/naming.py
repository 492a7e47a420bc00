"""The names of a model's inputs and outputs, by which a program passes arrays."""

from collections.abc import Sequence

from modelwave_shared.errors import DocumentError
from modelwave_shared.tensors import tensor_name


def usable(names: Sequence[str], what: str) -> list[str]:
    """Returns the file's own names, or "input_0", "input_1" … (`what` is "input" or "output") if
    a manifest could not hold one of them, or two are alike."""
    if len(set(names)) == len(names) and all(map(_is_name, names)):
        return list(names)
    return [f"{what}_{place}" for place in range(len(names))]


def _is_name(name: str) -> bool:
    try:
        tensor_name(name, "")
    except DocumentError:
        return False
    return True
