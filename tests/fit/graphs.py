"""Makes random graphs of int8, int16 and float operators that tflite_micro can run; they resemble
no real model: towers and branches of layers, some with state, some with control flow."""

from random import Random

from tests.fit import steps_control as control
from tests.fit import steps_custom as custom
from tests.fit import steps_elementwise as elementwise
from tests.fit import steps_shape as shape
from tests.fit import steps_signal as signal
from tests.fit import steps_state as state
from tests.fit import steps_weighted as weighted
from tests.fit.builder import Builder, Shape, Step
from tests.fit.writer import write

KINDS = ("INT8", "INT8", "INT16", "FLOAT32")  # as often as people ship them


def random_graph(seed: int) -> bytes:
    """The .tflite bytes of one graph; the same for the same seed."""
    rng = Random(seed)
    b = Builder(rng, rng.choice(KINDS))
    tensors = [b.tensor(_input_shape(rng)) for _ in range(rng.choice((1, 1, 1, 2)))]
    b.graph.inputs = list(tensors)
    for _ in range(rng.randint(1, 14)):
        source = tensors[-1] if rng.random() < 0.7 else rng.choice(tensors)
        made = rng.choice(STEPS)(b, source)
        if made is not None:
            tensors.append(made)
    if not b.graph.operators:
        tensors.append(shape.reshape(b, tensors[0]))
    used = {tensor for operator in b.graph.operators for tensor in operator.inputs}
    b.graph.outputs = [tensor for tensor in tensors if tensor not in used]
    return write(b.graph, *b.called)


def _input_shape(rng: Random) -> Shape:
    if rng.random() < 0.25:
        return [1, rng.randint(1, 64)]
    return [1, rng.randint(1, 12), rng.randint(1, 12), rng.randint(1, 10)]


COMMON: tuple[Step, ...] = (
    weighted.conv,
    weighted.depthwise,
    weighted.fully_connected,
    elementwise.one_to_one,
    elementwise.two_to_one,
    elementwise.pool,
)
STEPS: tuple[Step, ...] = (
    *COMMON * 3,
    elementwise.add_n,
    elementwise.arg_max,
    weighted.batch_matmul,
    elementwise.cast,
    elementwise.compare_and_select,
    shape.concatenation,
    control.conditional,
    elementwise.cumsum,
    custom.custom,
    shape.embedding_lookup,
    shape.expand_dims,
    shape.fill_and_update,
    elementwise.logic,
    weighted.lstm,
    shape.pack_and_unpack,
    shape.pad,
    elementwise.prelu,
    elementwise.reduce,
    elementwise.requantise,
    shape.reshape,
    shape.resize,
    shape.reverse_or_broadcast,
    shape.space_and_batch,
    shape.space_and_depth,
    shape.split,
    shape.squeeze,
    signal.signal,
    state.streaming,
    weighted.svdf,
    shape.take,
    shape.transpose,
    weighted.transpose_conv,
    elementwise.whole_numbers,
)
