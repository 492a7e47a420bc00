"""What a program gives to `agent.run`, and what it gets back for it:

    bytes of the input             bytes of the output     one input, one output
    an array                       an array                one input, one output
    an array                       arrays by name          one input, several outputs
    arrays by name                 arrays by name          any

What is given is read and never changed; a result is the program's own.
"""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelwave_agent.host.runtimes.port import HostRuntime

if TYPE_CHECKING:
    from modelwave_agent.host.runtimes.arrays import Array

    Given = bytes | memoryview | Array | dict[str, Array]
    Arrays = dict[str, Array]

ALLOWED = "the bytes of the input tensor, a numpy array, or a dict of arrays by name"
_KINDS = "biufcSUO"  # numpy's kinds of elements that a model can have


def checked(data: Any) -> "Given":
    """Returns `data` in one of its forms, without a copy. Raises TypeError if it has none."""
    if type(data) is bytes:
        return data
    if is_array(data):
        if data.dtype.kind not in _KINDS:
            raise TypeError(f"data: give {ALLOWED}, not an array of {data.dtype}")
        return data  # type: ignore[no-any-return]
    if isinstance(data, Mapping):
        return _by_name(data)
    try:
        view = memoryview(data)
        return view.cast("B") if view.c_contiguous else view.tobytes()
    except (TypeError, ValueError, BufferError, NotImplementedError) as error:
        raise TypeError(f"data: give {ALLOWED}, not a {type(data).__name__}") from error


def is_array(data: Any) -> bool:
    """Whether it is numpy's: a program that has none may not have numpy either."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(data, numpy.ndarray | numpy.generic)


def _by_name(data: Mapping[Any, Any]) -> "Arrays":
    for name in data:
        if not isinstance(name, str):
            raise TypeError(f"data: the name of an input is a text, not a {type(name).__name__}")
    return dict(data)


def run(runtime: HostRuntime, given: "Given") -> "Arrays":
    """Runs the loaded model on `given`. Returns its outputs by name. Raises as HostRuntime.run, and
    InputError if the model does not have the one input or output that `given` is for."""
    from modelwave_agent.host.runtimes import arrays

    if isinstance(given, dict) or not runtime.inputs:
        return runtime.run(given if isinstance(given, dict) else {})
    if isinstance(given, bytes | memoryview):
        return runtime.run(arrays.from_only(runtime.inputs, runtime.outputs, given))
    return runtime.run({arrays.only(runtime.inputs, "input").name: given})


def result(given: "Given", outputs: "Arrays") -> "bytes | Array | Arrays":
    """Returns `outputs` in the form that belongs to `given`."""
    if isinstance(given, dict) or (is_array(given) and len(outputs) != 1):
        return outputs
    (output,) = outputs.values()
    return output if is_array(given) else output.tobytes()
