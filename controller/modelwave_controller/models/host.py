"""Estimates the RAM of a model on a Linux host; an exact figure does not exist there.

TensorFlow Lite allocates from the C library while it runs, and Linux grants more than is
requested. The estimate is

    1 MiB + the file + 2 × the bytes of all computed tensors

Measured as the growth of the resident size of a process that already ran another model, for
84 models of 1 to 300 KB (tflite-runtime 2.14.0, no delegates, x86-64): at most 58 % of the
estimate. The process itself is not included: 30 MB for Python, numpy and the runtime."""

from modelwave_controller.fit.model import Model

RUNTIME_BYTES = 1 << 20
ACTIVATIONS_FACTOR = 2  # kernels copy: im2col, for example


def activations(model: Model) -> int:
    """Returns the estimated bytes of RAM for the computed tensors."""
    tensors = (tensor for graph in model.subgraphs for tensor in graph.tensors)
    return ACTIVATIONS_FACTOR * sum(tensor.bytes for tensor in tensors if not tensor.constant)


def ram(model: Model, file_bytes: int) -> int:
    """Returns the bytes of RAM that a release of this model requires of a host."""
    return RUNTIME_BYTES + file_bytes + activations(model)
