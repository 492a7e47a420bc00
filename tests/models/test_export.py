"""Tests the C array: compilers accept it, and it equals the file."""

import hashlib
import re
import subprocess
from pathlib import Path

import pytest

from modelwave_controller.fit import PROFILES, analyse
from modelwave_controller.fit.kernel_data import load_tables
from modelwave_controller.models import export
from tests.controller.operator_home import DIGITS, Run, as_json, refused
from tests.models import small_models
from tests.tools import needed

V2 = DIGITS / "digits-v2.tflite"
COMPILERS = [["gcc", "-std=c++11"], ["gcc", "-std=c++17"], ["gcc", "-std=c++20"]]
# What of TFLM the resolver's header uses; methods are known by name only.
TFLM = """\
#pragma once
enum TfLiteStatus {{ kTfLiteOk = 0, kTfLiteError = 1 }};
namespace tflite {{
template <unsigned int tOpCount> struct MicroMutableOpResolver {{
  unsigned int added = 0;
  TfLiteStatus add() {{ return ++added <= tOpCount ? kTfLiteOk : kTfLiteError; }}
  {methods}
}};
}}
"""
PROGRAM = """\
#include "digits_v2_model.h"
#include "digits_v2_resolver.h"
#include <cstdint>
#include <cstdio>
int main() {
  DigitsV2Resolver resolver;
  if (AddDigitsV2Operators(resolver) != kTfLiteOk || resolver.added != 2) return 1;
  if (reinterpret_cast<uintptr_t>(g_digits_v2_model) % 16) return 2;
  std::fwrite(g_digits_v2_model, 1, g_digits_v2_model_len, stdout);
  std::fprintf(stderr, "%s %u", kDigitsV2Sha256, kDigitsV2ArenaBytes);
}
"""


def compiled(folder: Path, source: str, *options: str, compiler: list[str] = COMPILERS[1]) -> None:
    needed(compiler[0])
    command = [*compiler, "-Wall", "-Wextra", "-Werror", "-I", str(folder), *options]
    done = subprocess.run([*command, str(folder / source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("compiler", COMPILERS, ids=" ".join)
def test_array_compiles_without_tflm_and_without_a_warning(
    tmp_path: Path, modelwave: Run, compiler: list[str]
) -> None:
    assert modelwave("model", "export", V2, "--c-array", "--out", tmp_path)[0] == 0
    compiled(tmp_path, "digits_v2_model.cc", "-c", "-o", "/dev/null", compiler=compiler)


def test_program_holds_the_file_aligned_with_its_arena_and_operators(
    tmp_path: Path, modelwave: Run
) -> None:
    options = ("--target", "nano33ble", "--out", tmp_path, "--json")
    written = as_json(modelwave("model", "export", V2, "--c-array", *options))
    assert {Path(path).name for path in written} == {
        "digits_v2_model.h",
        "digits_v2_model.cc",
        "digits_v2_resolver.h",
        "digits_v2_model.json",
    }
    stub = tmp_path / "tensorflow/lite/micro/micro_mutable_op_resolver.h"
    stub.parent.mkdir(parents=True)
    methods = ("AddFullyConnected", "AddSoftmax")
    stub.write_text(
        TFLM.format(methods="\n".join(f"TfLiteStatus {m}() {{ return add(); }}" for m in methods))
    )
    (tmp_path / "main.cc").write_text(PROGRAM)
    compiled(
        tmp_path,
        "main.cc",
        str(tmp_path / "digits_v2_model.cc"),
        "-lstdc++",
        "-o",
        str(tmp_path / "a"),
    )
    ran = subprocess.run([tmp_path / "a"], capture_output=True, check=True)
    data = V2.read_bytes()
    assert ran.stdout == data
    # A compiler may align a large array by itself.
    assert "alignas(16) const unsigned char" in (tmp_path / "digits_v2_model.cc").read_text()
    need = analyse(data, "cortex-m4:cmsis-nn").need
    assert ran.stderr.decode() == f"{hashlib.sha256(data).hexdigest()} {need}"


def test_without_a_target_every_profile_has_its_arena(tmp_path: Path, modelwave: Run) -> None:
    assert modelwave("model", "export", V2, "--out", tmp_path, "--name", "8 bit!")[0] == 0
    header = (tmp_path / "model_8_bit_model.h").read_text()
    assert len(
        re.findall(r"^constexpr unsigned int kModel8BitArenaBytes_\w+ = \d+;", header, re.M)
    ) == len(PROFILES)
    compiled(tmp_path, "model_8_bit_model.cc", "-c", "-o", "/dev/null")


def test_methods_are_those_of_tflm() -> None:
    """All that a header of 2023 has, as operator and method."""
    for operator, method in (
        ("ADD", "AddAdd"),
        ("ADD_N", "AddAddN"),
        ("AVERAGE_POOL_2D", "AddAveragePool2D"),
        ("BATCH_MATMUL", "AddBatchMatMul"),
        ("BATCH_TO_SPACE_ND", "AddBatchToSpaceNd"),
        ("CONV_2D", "AddConv2D"),
        ("CUMSUM", "AddCumSum"),
        ("DEPTHWISE_CONV_2D", "AddDepthwiseConv2D"),
        ("HARD_SWISH", "AddHardSwish"),
        ("L2_NORMALIZATION", "AddL2Normalization"),
        ("L2_POOL_2D", "AddL2Pool2D"),
        ("PADV2", "AddPadV2"),
        ("RELU6", "AddRelu6"),
        ("RESIZE_NEAREST_NEIGHBOR", "AddResizeNearestNeighbor"),
        ("SELECT_V2", "AddSelectV2"),
        ("SVDF", "AddSvdf"),
        ("SignalPCAN", "AddPCAN"),
        ("SignalRfft", "AddRfft"),
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", "AddUnidirectionalSequenceLSTM"),
    ):
        assert export.method(operator) == method
    for operator in load_tables("arm-eabi", "reference").kernels:
        assert re.fullmatch(r"Add[A-Z][A-Za-z0-9]*", export.method(operator))


def test_a_models_name_and_operators_stay_inside_their_comments(
    tmp_path: Path, modelwave: Run
) -> None:
    evil = tmp_path / 'a\\\n"; evil() {}.tflite'
    evil.write_bytes(small_models.one('X\\\n");evil("'))
    options = ("--target", "nano33ble", "--out", tmp_path, "--name", "x")
    refused(modelwave("model", "export", evil, *options), "tflite-micro has no kernel")
    evil.write_bytes(small_models.one("TFLM_DECODE"))
    assert modelwave("model", "export", evil, *options)[0] == 0
    header = (tmp_path / "x_model.h").read_text()
    assert "unknown: TFLM_DECODE" in header
    assert "ArenaBytes" not in header
    resolver = (tmp_path / "x_resolver.h").read_text()
    for line in [*header.splitlines(), *resolver.splitlines()]:
        assert "evil" not in line or line.strip().startswith("//")
        assert not line.endswith("\\")
    compiled(tmp_path, "x_model.cc", "-c", "-o", "/dev/null")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--target", "coral-devboard-micro"], "is unknown"),
        (["--target", "rp2041"], "perhaps rp2040"),
        (["--name", "---"], "--name"),
        (["--out", "/dev/null/x"], "/dev/null"),
    ],
    ids=str,
)
def test_wrong_option_is_refused_by_name(
    tmp_path: Path, modelwave: Run, options: list[str], words: str
) -> None:
    if "--out" not in options:
        options = [*options, "--out", str(tmp_path)]
    code, out, err = modelwave("model", "export", V2, *options)
    assert code in (1, 2)
    assert (out, err.count("\n")) == ("", 1)
    assert words in err
