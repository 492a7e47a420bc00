"""The plain Python runtime of examples/digits/board, against what TensorFlow Lite gave."""

import importlib.util
import io
import struct

import numpy
import pytest

from modelwave_controller.demo.examples import catalogue
from modelwave_shared.golden import HEADER_BYTES, Header, Judge
from tests.e2e.conftest import DIGITS, REPO

CATALOGUE = catalogue(DIGITS)
NOT_SO_GOOD = 3  # of 450 pictures: rounding decides a few


@pytest.fixture(scope="module")
def tflite_dense():
    path = REPO / "examples/digits/board/tflite_dense.py"
    spec = importlib.util.spec_from_file_location("tflite_dense", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def verdict(model, entry):
    file = io.BytesIO((DIGITS / entry["golden"]["file"]).read_bytes())
    header = Header(file.read(HEADER_BYTES))
    judge = Judge(header, entry["tolerance"], "function")
    for _ in range(header.count):
        picture = file.read(header.input_bytes)
        judge.add(model(picture), file.read(header.expected_bytes))
    return judge.verdict()


@pytest.mark.parametrize("entry", CATALOGUE["versions"], ids=lambda entry: entry["version"])
def test_golden_sets_find_only_the_bad_model_bad(tflite_dense, entry):
    model = tflite_dense.load(DIGITS / entry["file"])
    assert ("golden set" in verdict(model, entry)) == (entry["version"] == "v3")


@pytest.mark.slow
@pytest.mark.parametrize("entry", CATALOGUE["versions"], ids=lambda entry: entry["version"])
def test_held_out_pictures_come_out_as_they_do_in_tensorflow_lite(tflite_dense, entry):
    model = tflite_dense.load(DIGITS / entry["file"])
    with numpy.load(DIGITS / "heldout.npz") as arrays:
        pairs = list(zip(arrays["inputs"], arrays["labels"], strict=True))
    if entry["version"] == "v5":  # its author's data lack these digits
        pairs = [(picture, label) for picture, label in pairs if label not in (8, 9)]
    right = 0
    for picture, label in pairs:
        scores = struct.unpack("10b", model(picture.tobytes()))
        right += scores.index(max(scores)) == label
    assert abs(right - entry["accuracy"]["right"]) <= NOT_SO_GOOD


def test_file_that_is_none_or_has_other_operators_is_refused(tflite_dense):
    with pytest.raises(ValueError, match="not a TFLite file"):
        tflite_dense.Model(b"\0" * 100)
    data = bytearray((DIGITS / "digits-v1.tflite").read_bytes())
    model = tflite_dense.Model(bytes(data))
    codes = model.vector(model.at(0), tflite_dense.OPERATOR_CODES)
    data[model.field(codes[0], 0)] = 3  # CONV_2D
    with pytest.raises(ValueError, match="operator 3"):
        tflite_dense.Model(bytes(data))
