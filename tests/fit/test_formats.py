"""Files of other formats are called by their names, by few bytes and without being run."""

import io
import struct
import zipfile
from pathlib import Path
from random import Random

import pytest

from modelwave_controller.fit.format_signs import SAMPLE_BYTES, sample_bytes, sample_file
from modelwave_controller.fit.formats import FORMATS, format_of, why_no_folder, why_not_tflite
from tests.controller.operator_home import DIGITS

V2 = (DIGITS / "digits-v2.tflite").read_bytes()


def field(number: int, value: int | bytes) -> bytes:
    """One field of a protocol buffer; numbers are below 128, lengths below 16,384."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + _varint(value >> 7)


def zipped(*names: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in names:
            archive.writestr(name, b"\0" * 10)
    return made.getvalue()


def tar(name: bytes) -> bytes:
    return name.ljust(257, b"\0") + b"ustar\x0000" + bytes(1000)


NODE = field(1, field(1, b"x") + field(2, b"Placeholder"))
SAMPLES = {
    "tflite": V2,
    "empty": b"",
    "zeros": bytes(5000),
    "html": b"\n<!DOCTYPE html>\n<html>",
    "error": b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>',
    "git-lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
    "git-annex": b"/annex/objects/SHA256E-s9--00.tflite\n",
    "onnx-ort": b"\x20\0\0\0ORTM" + bytes(40),
    "tensorrt": b"ftrt" + bytes(40),
    "openvino": b'<?xml version="1.0"?>\n<net name="m" version="11">',
    "executorch": b"\x0a\0\0\0ET12" + bytes(40),
    "gguf": b"GGUF\3\0\0\0" + bytes(40),
    "litertlm": b"LITERTLM" + bytes(40),
    "hef": b"\x01HEF\0\0\0\2" + bytes(40),
    "rknn": b"RKNN\0\0\0\0" + bytes(40),
    "espdl": b"EDL2" + bytes(40),
    "kmodel": b"LDMK" + bytes(40),
    "sophgo": b"CviModel" + bytes(40),
    "mindspore": b"\x20\0\0\0MSL2" + bytes(40),
    "circle": b"\x20\0\0\0CIR0" + bytes(40),
    "safetensors": struct.pack("<Q", 20) + b'{"__metadata__":{}} ',
    "ncnn": b"7767517\n3 3\nInput data 0 1 data\n",
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(40),
    "catboost": b"CBM1" + bytes(40),
    "xgboost": b'{"learner":{"attributes":{}}}',
    "lightgbm": b"tree\nversion=v3\nnum_class=1\n",
    "tfjs": b'{"format": "graph-model", "modelTopology": {}}',
    "mlir": b"ML\xefR" + bytes(40),
    "pytorch-old": b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19." + bytes(40),
    "pickle": b"\x80\x04\x95\x10" + bytes(40),
    "npy": b"\x93NUMPY\1\0" + bytes(40),
    "vela-raw": zipped("cmd_data.npy", "weight_data.npy"),
    "npz": zipped("inputs/x.npy"),
    "torchscript": zipped("m/data.pkl", "m/code/a.py", "m/constants.pkl"),
    "torch-export": zipped("m/archive_format", "m/models/model.json"),
    "pytorch": zipped("archive/data.pkl", "archive/data/0"),
    "keras": zipped("metadata.json", "config.json", "model.weights.h5"),
    "saved-model-zip": zipped("m/saved_model.pb", "m/variables/variables.index"),
    "mlpackage": zipped("m.mlpackage/Manifest.json"),
    "tflite-zip": zipped("hand_detector.tflite", "hand_landmarks.tflite"),
    "zip": zipped("readme.md"),
    "gzip": b"\x1f\x8b\x08" + bytes(40),
    "tar": tar(b"m/readme.md"),
    "packed": b"\xfd7zXZ\0" + bytes(40),
    "encrypted": b"Salted__" + bytes(range(8, 48)),
    "blob": (b"\x7fELF" + bytes(40), ".blob"),
    "program": b"\x7fELF" + bytes(40),
    "firmware": b"UF2\nWQ]\x9e" + bytes(40),
    "picture": b"\x89PNG\r\n" + bytes(40),
    "onnx": field(1, 9) + field(2, b"pytorch") + field(7, NODE) + field(8, field(2, 17)),
    "coreml": field(1, 5) + field(2, field(1, b"\n\1x")) + field(500, b"\n\1x"),
    "saved-model": field(1, 1) + field(2, field(1, field(4, b"serve")) + field(2, NODE)),
    "frozen-graph": NODE + NODE,
    "tensorrt-name": (b"\xff\1\2\3" * 20, ".engine"),
    "paddle": (b"\xff\1\2\3" * 20, ".pdmodel"),
    "mnn": (b"\xff\1\2\3" * 20, ".mnn"),
    "caffe": (b"\xff\1\2\3" * 20, ".caffemodel"),
    "c-array": b"#include <x.h>\nconst unsigned char g_model[] DATA = {\n  0x1c, 0x00, 0x00,",
    "base64": b"HAAAAFRGTDMUACAA",
    "pmml": b'<?xml version="1.0"?>\n<PMML version="4.4">',
    "text": "wörter und mehr\n".encode(),
    "shifted": b"\x01vendor\xff" + V2,
    "flatbuffer": b"\x10\0\0\0ABCD" + b"\xff" * 40,
    "weights": (b"\xff\1\2\3" * 20, ".bin"),
}


def split(given: bytes | tuple[bytes, str]) -> tuple[bytes, str]:
    return given if isinstance(given, tuple) else (given, "")


@pytest.mark.parametrize("key", SAMPLES)
def test_format_is_known_by_a_sample_of_it(key: str) -> None:
    found = format_of(sample_bytes(*split(SAMPLES[key])))
    assert found is not None
    assert found.key == key


def test_every_format_has_a_sample_a_source_and_words_that_help() -> None:
    assert [row.key for row in FORMATS] == list(SAMPLES)
    for row in FORMATS:
        assert row.source
        assert bool(row.advice) == (row.key != "tflite")
        assert not row.advice.endswith(".")


@pytest.mark.parametrize(
    ("given", "key"),
    [
        (struct.pack("<I", 9) + b'{"a": 12}ftrt', "tensorrt"),  # Ultralytics' metadata
        (b"\x20\0\0\0RKNN" + bytes(40), "rknn"),
        (b"{L\0\0\0\0\0\0\0\7learner", "xgboost"),
        (b'{"detail":"Not Found"}', "error"),
        (b"\xef\xbb\xbf<html lang='en'>", "html"),
        (field(1, 3) + field(8, field(2, 17)) + field(7, bytes(9000)), "onnx"),
        (tar(b"m/saved_model.pb"), "saved-model-zip"),
        (zipped("m/bytecode.pkl", "m/data.pkl"), "torchscript"),
    ],
)
def test_format_is_known_by_another_sign(given: bytes, key: str) -> None:
    found = format_of(sample_bytes(given))
    assert found is not None
    assert found.key == key


def test_damaged_files_end_in_no_error() -> None:
    rng = Random(5)
    for given in SAMPLES.values():
        data, suffix = split(given)
        for _ in range(20):
            changed = bytearray(data or b"\0")
            for _ in range(3):
                changed[rng.randrange(len(changed))] = rng.randrange(256)
            cut = changed[: rng.randrange(len(changed)) + 1]
            assert isinstance(why_not_tflite(sample_bytes(bytes(cut), suffix)), str)


@pytest.mark.timeout(5)  # a few milliseconds each; two of them took 8 and 3 seconds
@pytest.mark.parametrize(
    "data",
    [b" ", b"\n", b"PK\3\4PK\1\2", b"char a[", b"char  ", b"{", b"<?xml ", b"PK\1\2", b"\n\0"],
)
def test_no_file_takes_long_to_name(data: bytes) -> None:
    assert why_not_tflite(sample_bytes(data * SAMPLE_BYTES))


def test_a_zip_is_named_by_files_beyond_the_first_bytes() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("archive/data.pkl", b"x")
        archive.writestr("archive/data/0", bytes(3 * SAMPLE_BYTES))
        archive.writestr("archive/constants.pkl", b"x")
    given = made.getvalue()
    for sample in (sample_bytes(given), sample_file(io.BytesIO(given))):
        found = format_of(sample)
        assert found is not None
        assert found.key == "torchscript"


def test_what_is_unknown_is_said_to_be_unknown() -> None:
    for given in (b"\xff\xfe\1\2" * 30, b"TFL3", b"\x08\x01", b"\x0a\x05\x0a\x03abc"):
        words = why_not_tflite(sample_bytes(given))
        assert words.startswith("not a TensorFlow Lite file")


def test_a_file_is_named_and_left_at_its_start(tmp_path: Path) -> None:
    path = tmp_path / "m.Onnx"
    given = split(SAMPLES["onnx"])[0] + b"\0" * 4
    path.write_bytes(given)
    with open(path, "rb") as file:
        sample = sample_file(file, path.suffix)
        assert file.read() == given
    assert (sample.size, sample.suffix) == (len(given), ".onnx")


def test_onnx_of_its_own_library_is_known() -> None:
    onnx = pytest.importorskip("onnx", reason="needs the package onnx")
    made = onnx.helper.make_model(
        onnx.helper.make_graph(
            [onnx.helper.make_node("Relu", ["x"], ["y"])],
            "g",
            [onnx.helper.make_tensor_value_info("x", 1, [1, 4])],
            [onnx.helper.make_tensor_value_info("y", 1, [1, 4])],
        )
    )
    words = why_not_tflite(sample_bytes(made.SerializeToString()))
    assert "it is an ONNX model; a host target with runtime onnx serves it" in words


def test_folders_are_named_by_a_file_in_them() -> None:
    assert "TensorFlow SavedModel" in why_no_folder({"saved_model.pb", "variables"})
    assert "Core ML" in why_no_folder({"Manifest.json", "Data"})
    assert why_no_folder({"a.tflite"}) == "it is a folder; name the files in it"
