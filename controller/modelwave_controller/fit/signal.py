"""The arena allocations of the Signal… operators, which compute audio features before a model
(tflite-micro, signal/micro/kernels and signal/src).

Their options are FlexBuffers. Those that keep samples from one inference to the next allocate
circular buffers, one for each row of their input."""

from collections.abc import Callable

from modelwave_controller.fit.errors import ModelRefused
from modelwave_controller.fit.model import Tensor
from modelwave_controller.fit.node import Node
from modelwave_controller.fit.tflite_schema import ELEMENT_BYTES, TENSOR_TYPES

LARGEST_OPTION = 1 << 24  # samples or channels; the kernels multiply in int32
# FftState of KISS FFT: two ints and 32 pairs of factors.
KISS_STATE_BYTES = 4 + 4 + 4 * 2 * 32
KISS_COMPLEX_BYTES = {"INT16": 4, "INT32": 8, "FLOAT32": 8}
# CircularBuffer: three size_t, two int32, a pointer.
CIRCULAR_BUFFER_BYTES = {4: 24, 8: 40}


def option(node: Node, place: int, least: int = 0) -> int:
    """Returns an option by its place in the order of names. Raises ModelRefused if it cannot be
    a number of samples or channels, from which TFLM would compute a size all the same."""
    value = node.flex.number(place)
    if not least <= value <= LARGEST_OPTION:
        raise ModelRefused(f"its option {place} is {value}")
    return value


def rows(node: Node, tensor: Tensor) -> int:
    """Returns how many rows of samples a tensor has. Raises ModelRefused for a scalar or an
    empty row."""
    if not tensor.dim(-1):
        raise ModelRefused(f"tensor {tensor.index} is empty")
    return tensor.elements // tensor.dim(-1)


def circular_bytes(node: Node, capacity: int) -> int:
    return CIRCULAR_BUFFER_BYTES[node.sizes.pointer] + 2 * 2 * capacity


def circular_buffers(node: Node, count: int, capacity: int) -> None:
    """Allocates two arrays of pointers, and a circular buffer of int16 for each row."""
    node.persistent(count * node.sizes.pointer)
    node.persistent(count * node.sizes.pointer)
    node.persistent_each(count, circular_bytes(node, capacity))


def signal_options(node: Node) -> None:
    """Init of an operator that reads its options and allocates nothing for them."""
    node.flex.number(0)


def signal_filter_bank(node: Node) -> None:
    node.persistent(8 * (option(node, 0) + 1))  # num_channels; sums in uint64


def signal_spectral_subtraction(node: Node) -> None:
    node.flex.number(8)
    node.persistent(4 * option(node, 4))  # num_channels; the estimate of the noise


def signal_stacker(node: Node) -> None:
    channels, left, right, _ = (option(node, place) for place in range(4))
    node.persistent(circular_bytes(node, channels * (left + right + 1)))


def signal_rfft_state(node: Node) -> None:
    node.persistent(fft_bytes(node))


def signal_irfft_state(node: Node) -> None:
    # IrfftFloatState remembers the length, as it divides by it.
    more = 2 * node.sizes.pointer if fft_type(node) == "FLOAT32" else 0
    node.persistent(more + fft_bytes(node))


def fft_bytes(node: Node) -> int:
    """Returns the bytes of the state that kiss_fftr_alloc makes."""
    each, length = KISS_COMPLEX_BYTES[fft_type(node)], option(node, 1, least=2)
    if length % 2:
        raise ModelRefused(f"its length {length} is odd")
    half = length // 2
    state = KISS_STATE_BYTES + each * half
    return 3 * node.sizes.pointer + state + each * (half * 3 // 2)


def fft_type(node: Node) -> str:
    """Returns the type that option `T` names. Raises ModelRefused if no kernel has it."""
    number = node.flex.named(b"T")
    kind = TENSOR_TYPES[number] if 0 <= number < len(TENSOR_TYPES) else str(number)
    if kind not in KISS_COMPLEX_BYTES:
        raise ModelRefused(f"its option T is {kind}, not {', '.join(KISS_COMPLEX_BYTES)}")
    return kind


def check_types(node: Node, kind: str) -> None:
    for tensor in (node.operator.inputs[0], node.operator.outputs[0]):
        if tensor is not None and tensor.kind != kind:
            raise ModelRefused(f"tensor {tensor.index} is {tensor.kind}, its option T is {kind}")


def signal_rfft(node: Node) -> None:
    data, output = node.input(0), node.output(0)
    _same_dimensions(data, output, 0)
    check_types(node, fft_type(node))
    length = option(node, 1)
    if data.dim(-1) > length:
        raise ModelRefused(f"its input has {data.dim(-1)} samples, its length is {length}")
    _holds(output, length + 2)
    node.scratch(length * ELEMENT_BYTES[data.kind])


def signal_irfft(node: Node) -> None:
    data, output = node.input(0), node.output(0)
    _same_dimensions(data, output, 0)
    check_types(node, fft_type(node))
    _holds(data, option(node, 1) + 2)
    _holds(output, option(node, 1))


def _holds(tensor: Tensor, values: int) -> None:
    """Raises ModelRefused if a row of the tensor has room for fewer; TFLM does not check it."""
    if tensor.dim(-1) < values:
        raise ModelRefused(f"tensor {tensor.index} has rows of {tensor.dim(-1)}, not {values}")


def signal_delay(node: Node) -> None:
    data = node.input(0)
    node.output(0)
    circular_buffers(node, rows(node, data), data.dim(-1) + option(node, 0))


def signal_framer(node: Node) -> None:
    data, output = node.input(0), node.output(0)
    node.output(1)
    node.flex.number(2)
    size, step = option(node, 0), option(node, 1, least=1)
    _same_dimensions(data, output, 1)
    if data.dim(-1) < step or data.dim(-1) % step:
        raise ModelRefused(f"its input has {data.dim(-1)} samples, no multiple of {step}")
    circular_buffers(node, rows(node, data), -(-size // step) * step)


def signal_overlap_add(node: Node) -> None:
    data, output = node.input(0), node.output(0)
    option(node, 1)
    _same_dimensions(data, output, -1)
    kind = fft_type(node)
    if kind == "INT32":
        raise ModelRefused("its option T is INT32, not INT16, FLOAT32")
    check_types(node, kind)
    frames = data.dim(-2)
    if not frames:
        raise ModelRefused("its input has no frame")
    count = rows(node, data) // frames
    node.persistent(count * node.sizes.pointer)
    node.persistent_each(count, data.dim(-1) * ELEMENT_BYTES[kind])


def signal_window(node: Node) -> None:
    data = node.input(0)
    node.input(1)
    _same_dimensions(data, node.output(0), 0)
    data.dim(-1)


def _same_dimensions(data: Tensor, output: Tensor, more: int) -> None:
    """Raises ModelRefused unless the output has `more` dimensions than the data."""
    if len(output.shape) != len(data.shape) + more:
        raise ModelRefused(
            f"its output has {len(output.shape)} dimensions, not {len(data.shape) + more}"
        )


FUNCTIONS: dict[str, Callable[[Node], None]] = {
    function.__name__: function
    for function in (
        signal_delay,
        signal_filter_bank,
        signal_framer,
        signal_irfft,
        signal_irfft_state,
        signal_options,
        signal_overlap_add,
        signal_rfft,
        signal_rfft_state,
        signal_spectral_subtraction,
        signal_stacker,
        signal_window,
    )
}
