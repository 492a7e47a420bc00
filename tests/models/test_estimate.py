"""Tests `modelwave model estimate`: lists of layers, and the error of the estimate."""

from pathlib import Path

import pytest

from modelwave_controller.fit import PROFILES, analyse
from modelwave_controller.home import Home
from modelwave_controller.models import layers
from modelwave_controller.models.estimate import ARENA_RANGE, FILE_RANGE, estimate
from tests.controller.operator_home import DIGITS, Run, as_json, refused
from tests.models.small_models import KEYWORDS, keywords

DIGITS_V2 = "input 64\ndense 32 per-tensor\ndense 10 per-tensor\nsoftmax\n"


def within(error: float, span: tuple[float, float]) -> bool:
    return span[0] - 1e-9 <= error <= span[1]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", ["digits-v2", "keywords"])
def test_list_of_a_model_is_exact_in_the_arena_and_in_range_for_the_file(
    name: str, profile: str
) -> None:
    own = name == "digits-v2"
    data = (DIGITS / "digits-v2.tflite").read_bytes() if own else keywords()
    guess = estimate(layers.read_layers(DIGITS_V2 if own else KEYWORDS, "list"), profile)
    assert guess.arena_need == analyse(data, profile).need
    assert within(guess.file / len(data) - 1, FILE_RANGE)


def test_command_states_its_error_range(home: Home, tmp_path: Path, modelwave: Run) -> None:
    file = tmp_path / "layers.txt"
    file.write_text("# a comment\n\n" + DIGITS_V2)
    code, out, _ = modelwave("model", "estimate", file, "--target", "nano33ble")
    assert code == 0
    assert f"{ARENA_RANGE[0]:+.0%} to {ARENA_RANGE[1]:+.0%}" in out
    assert f"{FILE_RANGE[0]:+.0%} to {FILE_RANGE[1]:+.0%}" in out
    found = as_json(modelwave("model", "estimate", file, "--target", "nano33ble", "--json"))
    assert found["arena_error"] == list(ARENA_RANGE)
    (row,) = found["targets"]
    assert (row["target"], row["arena_need"]) == ("nano33ble", 1072)


def test_a_first_layer_may_name_its_input() -> None:
    given = layers.read_layers("conv2d 28x28x1 8 3x3 valid\nmaxpool 2x2\ndense 10", "list")
    apart = layers.read_layers(
        "input 28x28x1\nconv2d 8 3x3 valid\nmaxpool 2x2\nflatten\ndense 10", "list"
    )
    assert [o.outputs[0].shape for o in given.operators] == [
        (1, 26, 26, 8),
        (1, 13, 13, 8),
        (1, 1352),
        (1, 10),
    ]
    assert given == apart


def test_types_change_what_is_stored() -> None:
    weights = {
        kind: layers.read_layers("input 8\ndense 4", "list", kind).weights for kind in layers.KINDS
    }
    assert weights == {"FLOAT32": 4 * 8 * 4 + 4 * 4, "INT8": 8 * 4 + 4 * 4, "INT16": 8 * 4 + 8 * 4}


def test_a_board_that_is_too_small_says_by_how_much(
    home: Home, tmp_path: Path, modelwave: Run
) -> None:
    file = tmp_path / "layers.txt"
    file.write_text("input 400x400x3\nconv2d 8 3x3")
    assert "RAM: " in modelwave("model", "estimate", file, "--target", "rp2040")[1]
    refused(
        modelwave("model", "estimate", file, "--target", "coral-devboard-micro"),
        "--target",
        "known",
    )
    assert "derived from the source of esp-nn" in " ".join(
        modelwave("model", "estimate", file, "--target", "esp32s3")[1].split()
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no layer"),
        ("# nothing", "no layer"),
        ("input 28x28x1", "no layer"),
        ("dense 4", "line 1: begin with the input"),
        ("input 8\ninput 8", "line 2: a second input"),
        ("input 8 9", "line 1: input takes one shape"),
        ("input 8\nconvolve 3", "line 2: 'convolve' is not a layer"),
        ("input 8\ndense", "line 2: dense takes a number"),
        ("input 8\ndense 4 5", "line 2: dense takes a number"),
        ("input 8\ndense x", "line 2: 'x': not a number"),
        ("input 8\ndense 0", "line 2: '0'"),
        ("input 8\ndense 99999999", "line 2: '99999999'"),
        ("input 8\ndense " + "9" * 5000, "line 2"),
        ("input 8\ndense 4 stride=2", "line 2: dense has no stride"),
        ("input 8\nsoftmax valid", "line 2: softmax has no valid"),
        ("input 8\nconv2d 4 3x3", "line 2: needs height x width"),
        ("input 8x8x1\nconv2d 4 9x9 valid", "line 2: a kernel of 9x9"),
        ("input 8x8x1\nconv2d 9x9x1 4 3x3", "line 2: the input of this layer is 8x8x1"),
        ("input 900000x900000x9\nmean", "would have"),
        ("input 8\n" + "relu\n" * 1001, "line 1002: more than 1000"),
    ],
    ids=lambda text: str(text)[:30],
)
def test_wrong_line_is_refused_by_its_number(
    tmp_path: Path, modelwave: Run, text: str, words: str
) -> None:
    file = tmp_path / "layers.txt"
    file.write_text(text or " ")
    result = modelwave("model", "estimate", file)
    refused(result, "layers.txt", words)
    assert len(result[2]) < 1000


def test_wrong_type_is_refused(tmp_path: Path, modelwave: Run) -> None:
    file = tmp_path / "layers.txt"
    file.write_text(DIGITS_V2)
    refused(modelwave("model", "estimate", file, "--type", "int4"), "--type")
