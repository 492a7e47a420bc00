"""Run an int8 .tflite file with the TFLite runtime of this machine: tflite-runtime 2.14
(Python 3.11) or ai-edge-litert, which follows it.

Without default delegates the two give the same bits. With them ai-edge-litert 2.3 runs
XNNPACK, even when asked for the reference kernels, and was up to 14 steps off.
"""

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def run(model: bytes, inputs: Array) -> Array:
    """The outputs [n, classes] int8 for the inputs [n, pixels] int8."""
    interpreter = _interpreter(model)
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]["index"]
    classes = interpreter.get_output_details()[0]["index"]
    outputs = []
    for picture in inputs:
        interpreter.set_tensor(given, picture[np.newaxis])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(classes)[0])
    return np.array(outputs)


def _interpreter(model: bytes) -> Any:
    try:
        from tflite_runtime import interpreter as tflite
    except ImportError:
        from ai_edge_litert import interpreter as tflite
    return tflite.Interpreter(
        model_content=model,
        experimental_op_resolver_type=tflite.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
