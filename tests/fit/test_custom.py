"""Tests the custom operators that TFLM has, the Signal… operators among them: exact against
tflite_micro, and refused where it refuses; and their options, which are untrusted bytes."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from modelwave_controller.fit import ModelError, analyse
from modelwave_controller.fit.errors import ModelRefused
from modelwave_controller.fit.flexbuffer import read_flex_map
from tests.fit.builder import Builder, Shape
from tests.fit.oracle import INSTALLED, MISSING, WHEEL, Oracle, replay
from tests.fit.steps_custom import circular_buffer, detection
from tests.fit.steps_signal import OPERATORS, apply, given, options
from tests.fit.writer import write

SEEDS = 5


def alone(step: Callable[[Builder], int], seed: int = 0) -> bytes:
    b = Builder(Random(seed), "INT16")
    b.graph.outputs = [step(b)]
    return write(b.graph)


@pytest.mark.slow
@pytest.mark.skipif(INSTALLED != WHEEL, reason=MISSING)
@pytest.mark.parametrize("step", [*OPERATORS, circular_buffer, detection])
def test_custom_operator_takes_what_tflite_micro_takes(
    step: Callable[[Builder], int], tmp_path: Path
) -> None:
    with Oracle() as oracle:
        for seed in range(SEEDS):
            path = tmp_path / f"{seed}.tflite"
            path.write_bytes(alone(step, seed))
            ours = replay(path.read_bytes())
            assert ours.used == oracle.used(path), seed
            assert ours.need == oracle.need(path, 2 * ours.need), seed
            # Of inputs that nobody set, a detector may make boxes of a negative size.
            assert step is detection or oracle.runs(path), seed


def fft(
    shape: Shape, output: Shape, name: str = "SignalRfft", kind: str = "INT16", **values: int
) -> bytes:
    def step(b: Builder) -> int:
        x = given(b, shape, kind)
        return apply(b, name, [x], [(output, kind)], **{"T": 7, "fft_length": 64, **values})

    return alone(step)


def energy(data: tuple[Shape, str], output: tuple[Shape, str], **values: int) -> bytes:
    return alone(lambda b: apply(b, "SignalEnergy", [given(b, *data)], [output], **values))


def framer(samples: int, step: int) -> bytes:
    outputs: list[tuple[Shape, str]] = [([1, 64], "INT16"), ([], "BOOL")]
    return alone(
        lambda b: apply(
            b, "SignalFramer", [given(b, [samples], "INT16")], outputs,
            frame_size=64, frame_step=step, prefill=True,
        )
    )  # fmt: skip


FLAT, SCALED = ([66], "INT16"), ([33], "UINT32")
REFUSED = {
    "tensor 0 is INT8, not INT16": energy(([66], "INT8"), SCALED, end_index=3, start_index=0),
    "tensor 0 has 2 dimensions, not 1": energy(
        ([1, 66], "INT16"), SCALED, end_index=3, start_index=0
    ),
    "tensor 0 is FLOAT32, its option T is INT16": fft([64], [66], kind="FLOAT32"),
    "its output has 1 dimensions, not 2": fft([1, 64], [66]),
    "its input has 100 samples, no multiple of 64": framer(100, 64),
    "its option T is INT8": fft([64], [66], T=9),
    "its input has 70 samples, its length is 64": fft([70], [66]),
    "has rows of 8, not 66": fft([64], [8]),
    "its length 63 is odd": fft([60], [66], fft_length=63),
    "its option 1 is -64": fft([60], [66], fft_length=-64),
    "its options are not a FlexBuffers map": energy(FLAT, SCALED),
}
CRASHES = list(REFUSED)[6:]  # or writes outside its tensors: nothing to ask it


@pytest.mark.slow
@pytest.mark.parametrize("piece", list(REFUSED))
def test_signal_operator_that_tflm_refuses_is_refused_with_the_reason(
    piece: str, tmp_path: Path
) -> None:
    assert piece in (analyse(REFUSED[piece], "cortex-m4:cmsis-nn").refused or "")
    if piece in CRASHES:
        return
    if INSTALLED != WHEEL:
        pytest.skip(MISSING)
    path = tmp_path / "model.tflite"
    path.write_bytes(REFUSED[piece])
    with Oracle() as oracle:
        assert not oracle.runs(path)


def test_builtin_operator_s_name_on_a_custom_operator_is_not_that_operator() -> None:
    data = alone(lambda b: apply(b, "SignalADD", [given(b, [4], "INT16")], [([4], "INT16")]))
    data = data.replace(b"SignalADD", b"ADD\0\0\0\0\0\0")
    assert "ADD" in (analyse(data, "x86-64:reference").refused or "")


def test_options_are_read_in_the_order_of_their_names() -> None:
    read = read_flex_map(options(frame_step=300, frame_size=70_000, prefill=True))
    assert read.keys == (b"frame_size", b"frame_step", b"prefill")
    assert read.numbers == (70_000, 300, 1)
    assert read.named(b"prefill") == 1
    assert read.named(b"T") == 0
    with pytest.raises(ModelRefused, match="3 values, not 4"):
        read.number(3)


def test_options_of_any_bytes_are_read_or_refused() -> None:
    rng, whole = Random(3), options(a=1, b=-300, c=70_000)
    for _ in range(3000):
        data = bytearray(whole[rng.randrange(len(whole)) :] if rng.random() < 0.2 else whole)
        for _ in range(rng.randint(0, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            read_flex_map(bytes(data))
        except ModelRefused:
            continue


def test_a_billion_rows_take_no_time() -> None:
    def wide(b: Builder) -> int:
        shape = [1 << 29, 1]
        return apply(
            b, "SignalDelay", [given(b, shape, "INT16")], [(shape, "INT16")], delay_length=1
        )

    try:
        fit = analyse(alone(wide), "cortex-m4:reference")
    except ModelError:
        return
    assert fit.need is None or fit.need > 1 << 30
