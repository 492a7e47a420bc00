"""Steps of random graphs that compute audio features: the Signal… operators, alone and in the order
in which a front end has them."""

from collections.abc import Callable
from math import prod

from flatbuffers import flexbuffers

from tests.fit.builder import Builder, Shape

TYPES = {"INT16": 7, "INT32": 2, "FLOAT32": 0}  # enum TensorType


def options(**values: float) -> bytes:
    """FlexBuffers, as the operators' own converters write them."""
    return bytes(flexbuffers.Dumps(values))


def signal(b: Builder, x: int) -> None:
    """One of the operators on tensors of its own, as no other operator takes theirs."""
    b.rng.choice(OPERATORS)(b)


def given(b: Builder, shape: Shape, kind: str) -> int:
    tensor = plain(b, shape, kind)
    b.graph.inputs = [*b.graph.inputs, tensor]
    return tensor


def plain(b: Builder, shape: Shape, kind: str) -> int:
    return b.tensor(shape, kind, scales=[], zero_points=[])


def apply(
    b: Builder, name: str, inputs: list[int], outputs: list[tuple[Shape, str]], **values: int | bool
) -> int:
    """Returns the first output."""
    made = [plain(b, shape, kind) for shape, kind in outputs]
    b.graph.op(name, inputs, made, custom=options(**values) if values else None)
    return made[0]


def numbers(b: Builder, shape: Shape, kind: str = "INT16") -> int:
    return b.graph.tensor(shape, kind, data=bytes(2 * prod(shape)), scales=[], zero_points=[])


def rows_of(b: Builder, samples: int) -> Shape:
    return [*b.rng.choice(([], [1], [3], [2, 3])), samples]


def delay(b: Builder) -> int:
    shape = rows_of(b, b.rng.randint(1, 40))
    x = given(b, shape, "INT16")
    return apply(b, "SignalDelay", [x], [(shape, "INT16")], delay_length=b.rng.randint(0, 50))


def framer(b: Builder) -> int:
    step, frames = b.rng.randint(1, 30), b.rng.randint(1, 3)
    size = step + b.rng.randint(0, 40)
    shape = rows_of(b, step * frames)
    x = given(b, shape, "INT16")
    return apply(
        b, "SignalFramer", [x], [([*shape[:-1], frames, size], "INT16"), ([], "BOOL")],
        frame_size=size, frame_step=step, prefill=b.rng.random() < 0.5,
    )  # fmt: skip


def overlap_add(b: Builder) -> int:
    kind = b.rng.choice(("INT16", "FLOAT32"))
    frames, size = b.rng.randint(1, 3), b.rng.randint(2, 40)
    step = b.rng.randint(1, size)
    outer = rows_of(b, 1)[:-1]
    x = given(b, [*outer, frames, size], kind)
    return apply(
        b, "SignalOverlapAdd", [x], [([*outer, frames * step], kind)],
        T=TYPES[kind], frame_step=step,
    )  # fmt: skip


def rfft(b: Builder) -> int:
    kind, length = b.rng.choice(list(TYPES)), b.rng.choice((8, 60, 64, 100, 512))
    shape = rows_of(b, b.rng.randint(1, length))
    x = given(b, shape, kind)
    output = [*shape[:-1], length + 2]
    return apply(b, "SignalRfft", [x], [(output, kind)], T=TYPES[kind], fft_length=length)


def irfft(b: Builder) -> int:
    kind, length = b.rng.choice(list(TYPES)), b.rng.choice((8, 60, 64, 100, 512))
    shape = rows_of(b, length + 2)
    x = given(b, shape, kind)
    output = [*shape[:-1], length]
    return apply(b, "SignalIrfft", [x], [(output, kind)], T=TYPES[kind], fft_length=length)


def stacker(b: Builder) -> int:
    channels, left, right = b.rng.randint(1, 40), b.rng.randint(0, 3), b.rng.randint(0, 3)
    x = given(b, [channels], "INT16")
    return apply(
        b, "SignalStacker", [x], [([channels * (left + right + 1)], "INT16"), ([], "BOOL")],
        num_channels=channels, stacker_left_context=left, stacker_right_context=right,
        stacker_step=b.rng.randint(1, 3),
    )  # fmt: skip


def front_end(b: Builder) -> int:
    """A window of samples to the logarithms of its channels, or to wherever it ends before."""
    length, channels = b.rng.choice((64, 128)), b.rng.randint(1, 20)
    bins = length // 2 + 1
    x = given(b, [length], "INT16")
    x = apply(b, "SignalWindow", [x, numbers(b, [length])], [([length], "INT16")], shift=12)
    scale = plain(b, [], "INT32")
    y = plain(b, [length], "INT16")
    b.graph.op("SignalFftAutoScale", [x], [y, scale])
    x = apply(b, "SignalRfft", [y], [([2 * bins], "INT16")], T=TYPES["INT16"], fft_length=length)
    x = apply(b, "SignalEnergy", [x], [([bins], "UINT32")], end_index=bins, start_index=0)
    if b.rng.random() < 0.2:
        return x
    tables = [numbers(b, [bins]), numbers(b, [bins]), *(numbers(b, [channels + 1]),) * 3]
    x = apply(b, "SignalFilterBank", [x, *tables], [([channels], "UINT64")], num_channels=channels)
    x = apply(b, "SignalFilterBankSquareRoot", [x, scale], [([channels], "UINT32")])
    estimate = plain(b, [channels], "UINT32")
    y = plain(b, [channels], "UINT32")
    b.graph.op(
        "SignalFilterBankSpectralSubtraction", [x], [y, estimate], custom=options(
            alternate_one_minus_smoothing=1, alternate_smoothing=2, clamping=False,
            min_signal_remaining=3, num_channels=channels, one_minus_smoothing=4, smoothing=5,
            smoothing_bits=10, spectral_subtraction_bits=14,
        ),
    )  # fmt: skip
    gains = numbers(b, [125])
    x = apply(b, "SignalPCAN", [y, estimate, gains], [([channels], "UINT32")], snr_shift=6)
    return apply(
        b, "SignalFilterBankLog", [x], [([channels], "INT16")],
        input_correction_bits=3, output_scale=1600,
    )  # fmt: skip


OPERATORS: tuple[Callable[[Builder], int], ...] = (
    delay,
    framer,
    overlap_add,
    rfft,
    irfft,
    stacker,
    front_end,
)
