"""Names the format of a file that is no TFLite model, and says what helps.

The first row of FORMATS whose sign a file has names its format. Only the file's first and last
bytes are looked at, so a file of any size is named at once, and nothing of it is run or unpacked.

`source` says where the sign is from: a file of the format's own project where there is one;
netron is github.com/lutzroeder/netron, which recognises formats of models in the same way."""

from collections.abc import Collection
from dataclasses import dataclass

from modelwave_controller.fit.format_signs import (
    Sample,
    Sign,
    at,
    begins,
    either,
    every,
    holds,
    is_coreml,
    is_empty,
    is_frozen_graph,
    is_onnx,
    is_other_flatbuffer,
    is_saved_model,
    is_text,
    is_zeros,
    starts,
    suffix,
    zipped,
)
from modelwave_controller.fit.tflite_schema import IDENTIFIER

TFLITE, ONNX, TEXT, EMPTY = "tflite", "onnx", "text", "empty"

_AGAIN = "the download or the export failed: get it again"
_KERAS = "convert it with tf.lite.TFLiteConverter.from_keras_model"
_SAVED_MODEL = "convert its folder with tf.lite.TFLiteConverter.from_saved_model"
_TORCH = (
    "export the model with litert-torch to .tflite, or with torch.onnx.export to ONNX; a pickle "
    "runs code when it is loaded, so it is never loaded here"
)
_TREES = "convert it with onnxmltools to ONNX, for a host target with runtime onnx"
_UNPACK = "unpack it, and give the model that is in it"
_RELEASE_SOURCE = "release the .tflite or ONNX file that it was made of"


@dataclass(frozen=True, slots=True)
class Format:
    """One format. `name` fits after "it is"; `advice` is a sentence without its full stop."""

    key: str
    name: str
    advice: str
    sign: Sign
    source: str


FORMATS = (
    Format(TFLITE, "a TensorFlow Lite model", "", at(4, IDENTIFIER), "tensorflow schema.fbs"),
    # Not what was meant to be there.
    Format(EMPTY, "empty", _AGAIN, is_empty, "-"),
    Format("zeros", "nothing but zero bytes", _AGAIN, is_zeros, "-"),
    Format(
        "html",
        "a web page",
        "the address leads to a page about the file; download the raw file itself",
        begins(rb"(<!doctype html|<html)"),
        "html.spec.whatwg.org",
    ),
    Format(
        "error",
        "an error message of a server",
        "its address has expired or is not public; " + _AGAIN,
        either(
            begins(rb"(<\?xml[^>]*\?>)?\s*<error>"),
            begins(rb'\{\s*"(error|message|detail)"\s*:'),
        ),
        "docs.aws.amazon.com (S3 error responses)",
    ),
    Format(
        "git-lfs",
        "a Git LFS pointer, in place of the file",
        "run git lfs pull in its repository, or download the file itself",
        starts(b"version https://git-lfs.github.com/spec/"),
        "git-lfs docs/spec.md",
    ),
    Format(
        "git-annex",
        "a git-annex pointer, in place of the file",
        "run git annex get in its repository",
        starts(b"/annex/objects/"),
        "git-annex.branchable.com (pointer file)",
    ),
    # Models of other runtimes, by their first bytes.
    Format(
        "onnx-ort",
        "an ONNX model in ONNX Runtime's own format (.ort)",
        "release the .onnx file that it was made of, for a host target with runtime onnx",
        at(4, b"ORTM"),
        "onnxruntime ort.fbs",
    ),
    Format(
        "tensorrt",
        "a TensorRT engine",
        "it runs only on the GPU and the TensorRT version that built it; release the ONNX file "
        "that it was built from, for a host target with runtime onnx",
        either(
            starts(b"ptrt", b"ftrt"),
            holds(rb"\A(?s:...)\0\{[^\0]*\}[pf]trt"),  # after Ultralytics' metadata
        ),
        "netron tensorrt.js",
    ),
    Format(
        "openvino",
        "an OpenVINO model",
        "convert the model that it was made of to .tflite or ONNX",
        begins(rb"(<\?xml[^>]*\?>)?\s*<(net|cnn|compiled_model)\b"),
        "openvino (IR) ir_deserializer.cpp",
    ),
    Format(
        "executorch",
        "an ExecuTorch program (.pte)",
        "export the model with litert-torch to .tflite, or to ONNX",
        holds(rb"\A(?s:.{4})ET\d\d"),
        "executorch schema/program.fbs",
    ),
    Format(
        "gguf",
        "a GGUF or GGML model",
        "only llama.cpp and its like run it; release the model that it was made of as .tflite or "
        "ONNX",
        starts(b"GGUF", b"lmgg", b"fmgg", b"tjgg", b"algg"),
        "ggml docs/gguf.md",
    ),
    Format(
        "litertlm",
        "a LiteRT-LM bundle",
        "no runtime of modelwave serves language models",
        starts(b"LITERTLM"),
        "netron litertlm.js",
    ),
    Format(
        "hef",
        "a Hailo executable (HEF)",
        "it runs on Hailo's chips only; " + _RELEASE_SOURCE,
        starts(b"\x01HEF"),
        "hailort hef_internal.hpp",
    ),
    Format(
        "rknn",
        "a Rockchip model (RKNN)",
        "it runs on Rockchip's NPUs only; " + _RELEASE_SOURCE,
        either(starts(b"RKNN", b"RKNX", b"CYPTRKNN", b"VPMN"), at(4, b"RKNN")),
        "netron rknn.js",
    ),
    Format(
        "espdl",
        "an ESP-DL model",
        "it runs with ESP-DL only; " + _RELEASE_SOURCE,
        starts(b"EDL1", b"EDL2", b"PDL1", b"PDL2", b"PDL3"),
        "esp-dl fbs_loader.cpp",
    ),
    Format(
        "kmodel",
        "a Kendryte model (kmodel)",
        "it runs on Kendryte's chips only; " + _RELEASE_SOURCE,
        starts(b"LDMK"),
        "netron kmodel.js",
    ),
    Format(
        "sophgo",
        "a Sophgo model",
        "it runs on Sophgo's chips only; " + _RELEASE_SOURCE,
        starts(b"\xee\xaa\x55\xff", b"CviModel"),
        "tpu-mlir bmodel.fbs, cvimodel.fbs",
    ),
    Format(
        "mindspore",
        "a MindSpore Lite model",
        "convert the model that it was made of to .tflite or ONNX",
        at(4, b"MSL1", b"MSL2"),
        "netron mslite.js",
    ),
    Format(
        "circle",
        "a Circle model of ONE",
        "release the .tflite file that it was made of",
        at(4, b"CIR0"),
        "netron circle.js",
    ),
    Format(
        "safetensors",
        "a file of weights (safetensors)",
        "it has no graph to run; export the model with its code to .tflite or ONNX",
        holds(rb"\A(?s:.{4})\0\0\0\0\{"),
        "netron safetensors.js",
    ),
    Format(
        "ncnn",
        "an ncnn model (.param)",
        "convert the model that it was made of to .tflite or ONNX",
        starts(b"7767517\n", b"7767517\r", b"\xdd\x85\x76\x00"),
        "netron ncnn.js",
    ),
    Format(
        "hdf5",
        "an HDF5 file, as Keras writes (.h5)",
        _KERAS,
        starts(b"\x89HDF\r\n\x1a\n"),
        "HDF5 file format specification",
    ),
    Format("catboost", "a CatBoost model", _TREES, starts(b"CBM1"), "netron catboost.js"),
    Format(
        "xgboost",
        "an XGBoost model",
        _TREES,
        either(
            starts(b"binf", b"bs64", b"{L\0\0"),
            every(starts(b"{"), holds(rb'"(learner|gradient_booster)"')),
        ),
        "netron xgboost.js",
    ),
    Format(
        "lightgbm",
        "a LightGBM model",
        _TREES,
        either(
            holds(rb"\Atree\r?\nversion="),
            every(starts(b"{"), holds(rb'"(tree_info|max_feature_idx)"')),
        ),
        "netron lightgbm.js",
    ),
    Format(
        "tfjs",
        "a TensorFlow.js model",
        "convert the Keras model or SavedModel that it was made of",
        every(begins(rb"\{"), holds(rb'"(modelTopology|weightsManifest)"')),
        "netron tf.js",
    ),
    Format(
        "mlir",
        "MLIR bytecode",
        "export the model to .tflite or ONNX",
        starts(b"ML\xefR"),
        "mlir docs/BytecodeFormat.md",
    ),
    # Pickles, numpy, zips: from the special to the general.
    Format(
        "pytorch-old",
        "a PyTorch file (.pt, .pth)",
        _TORCH,
        starts(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"),
        "torch/serialization.py MAGIC_NUMBER",
    ),
    Format(
        "pickle",
        "a pickle (joblib, scikit-learn, PyTorch)",
        "it runs code when it is loaded, so it is never loaded here; convert a scikit-learn model "
        "with skl2onnx to ONNX, for a host target with runtime onnx",
        either(
            starts(b"\x80\x02", b"\x80\x03", b"\x80\x04\x95", b"\x80\x05\x95"),
            every(suffix(".pkl", ".pickle", ".joblib"), starts(b"\x78")),
        ),
        "python pickletools",
    ),
    Format(
        "npy",
        "a numpy array",
        "it is data, not a model",
        starts(b"\x93NUMPY"),
        "numpy/lib/format.py",
    ),
    Format(
        "vela-raw",
        "Vela's raw output for an Ethos-U",
        "a board's firmware links it; release the .tflite that vela writes without "
        "--output-format raw, for a board with that NPU",
        zipped(r"^(cmd_data|weight_data)\.npy$"),
        "ethos-u-vela raw_writer.py",
    ),
    Format(
        "npz",
        "a set of numpy arrays (npz)",
        "it is data, such as a golden set, not a model",
        zipped(r"\.npy$"),
        "numpy/lib/npyio.py",
    ),
    Format(
        "torchscript",
        "a TorchScript model",
        _TORCH,
        either(zipped(r"/code/|(^|/)(constants|bytecode)\.pkl$"), at(4, b"PTMF")),
        "netron pytorch.js",
    ),
    Format(
        "torch-export",
        "a program of torch.export (.pt2)",
        "export the model with litert-torch to .tflite, or to ONNX",
        zipped(r"(^|/)(archive_format|serialized_exported_program\.json)$"),
        "netron pytorch.js",
    ),
    Format(
        "pytorch",
        "a PyTorch file (.pt, .pth)",
        _TORCH,
        zipped(r"(^|/)data\.pkl$"),
        "torch/serialization.py",
    ),
    Format(
        "keras",
        "a Keras model (.keras)",
        _KERAS,
        zipped(r"^model\.weights\.h5$"),
        "keras saving_lib.py",
    ),
    Format(
        "saved-model-zip",
        "a packed SavedModel",
        f"unpack it; {_SAVED_MODEL}",
        either(zipped(r"(^|/)saved_model\.pb(txt)?$"), every(at(257, b"ustar"), holds(b"saved_m"))),
        "tensorflow constants.py",
    ),
    Format(
        "mlpackage",
        "a packed Core ML model",
        "Core ML runs on Apple's devices only; convert the model that it was made of",
        zipped(r"\.ml(model|package|modelc)(/|$)"),
        "coremltools",
    ),
    Format(
        "tflite-zip",
        "a zip with .tflite files in it, such as a MediaPipe task",
        "unpack it, and give one of them",
        zipped(r"\.tflite$"),
        "mediapipe model_asset_bundle_resources.cc",
    ),
    Format("zip", "a zip", _UNPACK, starts(b"PK\3\4", b"PK\5\6"), "APPNOTE.TXT"),
    Format("gzip", "gzip data", _UNPACK, starts(b"\x1f\x8b"), "RFC 1952"),
    Format("tar", "a tar archive", _UNPACK, at(257, b"ustar"), "POSIX pax"),
    Format(
        "packed",
        "a packed file",
        _UNPACK,
        starts(b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf\x27\x1c", b"Rar!"),
        "magic numbers of bzip2, xz, zstd, 7z, rar",
    ),
    Format(
        "encrypted",
        "encrypted",
        "decrypt it first",
        starts(b"Salted__", b"ENCRYPTED", b"age-encryption.org/"),
        "netron view.js",
    ),
    Format(
        "blob",
        "a compiled OpenVINO blob",
        "it runs on the Intel device that it was compiled for; " + _RELEASE_SOURCE,
        suffix(".blob"),
        "openvino documentation",
    ),
    Format(
        "program",
        "a compiled program or library",
        "modelwave ships models, no programs; " + _RELEASE_SOURCE,
        starts(b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\0asm"),
        "magic numbers of ELF, PE, Mach-O, WebAssembly",
    ),
    Format(
        "firmware",
        "a board's firmware",
        "release the .tflite that is linked into it",
        either(starts(b"UF2\n"), begins(rb":10[0-9a-f]{40}")),
        "microsoft/uf2, Intel HEX",
    ),
    Format(
        "picture",
        "a picture or a document",
        "give the model's file",
        starts(b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"%PDF"),
        "magic numbers of PNG, JPEG, GIF, PDF",
    ),
    # Protocol buffers have no magic: by their fields.
    Format(
        ONNX,
        "an ONNX model",
        "a host target with runtime onnx serves it; for a board convert it with onnx2tf",
        is_onnx,
        "onnx.proto",
    ),
    Format(
        "coreml",
        "a Core ML model",
        "it runs on Apple's devices only; convert the model that it was made of",
        is_coreml,
        "coremltools Model.proto",
    ),
    Format(
        "saved-model",
        "the graph of a SavedModel, without its folder's weights",
        _SAVED_MODEL,
        is_saved_model,
        "tensorflow saved_model.proto",
    ),
    Format(
        "frozen-graph",
        "a frozen TensorFlow graph (.pb)",
        "convert it with tf.compat.v1.lite.TFLiteConverter.from_frozen_graph",
        is_frozen_graph,
        "tensorflow graph.proto",
    ),
    # By names alone.
    Format(
        "tensorrt-name",
        "by its name a TensorRT engine",
        "it runs only on the GPU and the TensorRT version that built it; release the ONNX file "
        "that it was built from, for a host target with runtime onnx",
        suffix(".engine", ".plan", ".trt"),
        "trtexec",
    ),
    Format(
        "paddle",
        "by its name a PaddlePaddle model",
        "convert it with paddle2onnx to ONNX, for a host target with runtime onnx",
        suffix(".pdmodel", ".pdiparams"),
        "netron paddle.js",
    ),
    Format(
        "mnn",
        "by its name an MNN model",
        "convert the model that it was made of to .tflite or ONNX",
        suffix(".mnn"),
        "netron mnn.js",
    ),
    Format(
        "caffe",
        "by its name a Caffe model",
        "convert it to ONNX",
        suffix(".caffemodel"),
        "netron caffe.js",
    ),
    # Texts.
    Format(
        "c-array",
        "C source with bytes in an array",
        "give the .tflite file that it was made of, or turn it back as docs/fit.md says",
        every(
            is_text,
            holds(rb"\b(char|uint8_t|byte)\s+\w+\s{0,9}\[[^\]]{0,200}\]"),
            holds(rb"0x[0-9a-f]"),
        ),
        "xxd -i",
    ),
    Format(
        "base64",
        "a .tflite file as base64 text",
        "decode it: base64 -d FILE > model.tflite",
        begins(rb".{4}AFRGTDM"),
        "RFC 4648",
    ),
    Format(
        "pmml",
        "a PMML model",
        "convert the model that it was made of with skl2onnx to ONNX",
        every(begins(rb"<"), holds(rb"<PMML\b")),
        "dmg.org PMML",
    ),
    Format(
        TEXT,
        "a text",
        "give the model's file; a list of layers is for `modelwave model estimate`",
        is_text,
        "-",
    ),
    # What is left.
    Format(
        "shifted",
        "a TensorFlow Lite model with other bytes before it",
        "cut them off, so that TFL3 stands at byte 4",
        holds(rb"[\x08-\xff]\0\0\0TFL3"),
        "tensorflow schema.fbs",
    ),
    Format(
        "flatbuffer",
        "a FlatBuffer of another kind",
        "give a .tflite file; those have TFL3 at byte 4",
        is_other_flatbuffer,
        "flatbuffers.dev/internals",
    ),
    Format(
        "weights",
        "by its name a file of weights, without a graph",
        "OpenVINO and ncnn keep weights in such a file beside the model; convert the model that "
        "they were made of to .tflite or ONNX",
        suffix(".bin", ".weights"),
        "netron openvino.js, ncnn.js",
    ),
)

# Folders, by a file in them.
_FOLDERS = (
    ("saved_model.pb", "a TensorFlow SavedModel", _SAVED_MODEL),
    ("saved_model.pbtxt", "a TensorFlow SavedModel", _SAVED_MODEL),
    (
        "Manifest.json",
        "a Core ML package",
        "it runs on Apple's devices only; convert the model that it was made of",
    ),
    (
        "model.safetensors",
        "a model of transformers",
        "export it with optimum to ONNX, for a host target with runtime onnx",
    ),
    (
        "pytorch_model.bin",
        "a model of transformers",
        "export it with optimum to ONNX, for a host target with runtime onnx",
    ),
)


def format_of(sample: Sample) -> Format | None:
    """Returns the format, or None if no row of FORMATS has it."""
    return next((row for row in FORMATS if row.sign(sample)), None)


def why_not_tflite(sample: Sample) -> str:
    """Returns why the file is no TFLite model, and what helps; "" if it may be one."""
    found = format_of(sample)
    if found is None:
        return (
            "not a TensorFlow Lite file: no TFL3 at byte 4, and no format that is known here; "
            "damaged or encrypted perhaps, get it again"
        )
    if found.key == TFLITE:
        return ""
    return f"not a TensorFlow Lite file: it is {found.name}; {found.advice}"


def why_no_folder(files: Collection[str]) -> str:
    """Returns what a folder with these files is, and what helps."""
    for name, what, advice in _FOLDERS:
        if name in files:
            return f"it is a folder, {what}: {advice}"
    return "it is a folder; name the files in it"
