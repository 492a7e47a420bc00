"""What a model takes on a Linux host: a documented figure in place of an exact one.

TensorFlow Lite there asks the C library for memory as it goes, and Linux gives more than it
is asked for. The figure is

    1 MiB + the file + 2 × the bytes of all tensors that are computed

Measured: how far the resident size of a process grew that already ran another model, for 84
models of 1 to 300 KB (tflite-runtime 2.14.0, no delegates, x86-64): 58 % of the figure at
most. The process itself comes before: 30 MB for Python, numpy and the runtime."""

from modelwave_controller.fit.model import Model

RUNTIME_BYTES = 1 << 20
ACTIVATIONS_FACTOR = 2  # kernels copy: im2col, for example


def activations(model: Model) -> int:
    """Bytes of what the model computes."""
    tensors = (tensor for graph in model.subgraphs for tensor in graph.tensors)
    return ACTIVATIONS_FACTOR * sum(tensor.bytes for tensor in tensors if not tensor.constant)


def ram(model: Model, file_bytes: int) -> int:
    """Bytes of RAM that a release of this model asks of a host."""
    return RUNTIME_BYTES + file_bytes + activations(model)
