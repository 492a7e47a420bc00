"""`modelwave model inspect`: columns, verdicts, advice, and what is refused."""

import json
import os
from pathlib import Path

import pytest

from modelwave_controller.fit import PROFILES, analyse
from modelwave_controller.home import Home
from modelwave_controller.models import firmware
from modelwave_controller.models.needs import MAX_ANALYSED_BYTES
from tests.controller.operator_home import DIGITS, Run, as_json, refused
from tests.fit import measured
from tests.models import small_models

V2 = DIGITS / "digits-v2.tflite"
STREAMING = measured.FEW / "streaming" / "vad_v2.tflite"
BOARD = """\
[small]
description = "a board with little"
class = "mcu"
flash_bytes = {flash}
ram_bytes = {ram}
firmware_ram_bytes = 1000
profile = "cortex-m4:cmsis-nn"
runtime = "tflite"
source = "nobody"
"""


def saved(tmp_path: Path, data: bytes, name: str = "model.tflite") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def add_board(home: Home, ram: int, flash: int = 1 << 20) -> None:
    (home.targets / "small.toml").write_text(BOARD.format(flash=flash, ram=ram))


def test_json_of_profiles_has_exactly_the_promised_keys(modelwave: Run) -> None:
    files = [V2, DIGITS / "digits-v4.tflite"]
    options = [part for name in PROFILES for part in ("--profile", name)]
    found = as_json(modelwave("model", "inspect", *files, *options, "--json"))
    assert len(found) == len(files) * len(PROFILES)
    for one in found:
        keys = {"file", "profile", "arena_used_bytes", "arena_need_bytes", "refused"}
        derived = {"derived"} if PROFILES[one["profile"]].derived else set()
        assert set(one) == keys | derived
        fit = analyse(Path(one["file"]).read_bytes(), one["profile"])
        assert (one["arena_used_bytes"], one["arena_need_bytes"]) == (fit.used, fit.need)
        assert one["refused"] is None
    assert {one["file"] for one in found} == {str(file) for file in files}


def test_json_says_refused_and_unknown_apart(tmp_path: Path, modelwave: Run) -> None:
    files = [
        saved(tmp_path, small_models.one("TILE"), "tile"),
        saved(tmp_path, small_models.one("TFLM_DECODE"), "decode"),
    ]
    options = ("--profile", "cortex-m4:reference", "--json")
    tile, decode = as_json(modelwave("model", "inspect", *files, *options))
    assert tile["refused"] == "operator 0 TILE: tflite-micro has no kernel for it"
    assert decode["refused"].startswith("unknown: TFLM_DECODE")
    for one in (tile, decode):
        assert one["arena_used_bytes"] is one["arena_need_bytes"] is None


def test_figure_that_was_derived_says_so_everywhere(modelwave: Run, tmp_path: Path) -> None:
    word = "derived from tflite-micro's source, not measured on cortex-m4:cmsis-nn"
    board, profile = ("--target", "nano33ble"), ("--profile", "cortex-m4:cmsis-nn")
    for options in (board, profile):
        (row,) = as_json(modelwave("model", "inspect", STREAMING, *options, "--json"))
        assert row["derived"].startswith(word)
        assert word in modelwave("model", "inspect", STREAMING, *options)[1].replace("\n", " ")
    modelwave("model", "export", STREAMING, *board, "--out", tmp_path)
    assert f"// {word}" in (tmp_path / "vad_v2_model.h").read_text()


def test_note_says_how_many_resource_variables_the_firmware_must_create(modelwave: Run) -> None:
    (row,) = as_json(modelwave("model", "inspect", STREAMING, "--target", "nano33ble", "--json"))
    assert any("MicroResourceVariables::Create(allocator, 4)" in note for note in row["notes"])


def test_columns_add_up_on_a_measured_board(home: Home, modelwave: Run) -> None:
    (row,) = as_json(modelwave("model", "inspect", V2, "--target", "nano33ble", "--json"))
    fit = analyse(V2.read_bytes(), "cortex-m4:cmsis-nn")
    assert fit.need is not None
    assert row["weights_flash"] == fit.weights
    assert row["model_flash"] == V2.stat().st_size
    assert row["activation_ram"] == fit.activations
    assert row["arena_need"] == fit.need
    beside = firmware.ram_beside_arena("cortex-m4:cmsis-nn", fit.operators)
    assert row["activation_ram"] + row["runtime_ram"] == row["total_ram"] == fit.need + beside
    assert row["total_flash"] == row["model_flash"] + row["code_flash"]
    assert row["fits"] == "yes"
    code, out, _ = modelwave("model", "inspect", V2, "--target", "nano33ble")
    assert code == 0
    for figure in ("total_flash", "total_ram", "weights_flash", "arena_need"):
        assert f"{row[figure]:,}" in out


def test_every_target_has_a_row_without_a_home(
    tmp_path: Path, modelwave: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELWAVE_HOME", str(tmp_path / "none"))
    listed = {one["name"] for one in as_json(modelwave("target", "list", "--json"))}
    rows = as_json(modelwave("model", "inspect", V2, "--json"))
    assert {row["target"] for row in rows} == listed
    by_name = {row["target"]: row for row in rows}
    assert by_name["coral-devboard-micro"]["fits"] == "unknown"
    assert by_name["coral-devboard-micro"]["arena_need"] is None
    for name in ("esp32s3", "stm32n6"):
        assert by_name[name]["derived"].startswith("derived from the source of")
        assert by_name[name]["arena_need"] > 0
    assert by_name["esp32"]["code_flash"] is None
    assert by_name["linux-cpu"]["arena_need"] is None
    assert {row["fits"] for row in rows} == {"yes", "unknown"}


def test_a_board_with_one_byte_too_few_is_said_with_its_byte(home: Home, modelwave: Run) -> None:
    inspect = ("model", "inspect", V2, "--target", "small", "--json")
    add_board(home, ram=1 << 20)
    (row,) = as_json(modelwave(*inspect))
    add_board(home, ram=1000 + row["total_ram"])
    (exact,) = as_json(modelwave(*inspect))
    assert (exact["fits"], exact["shortfalls"]) == ("yes", [])
    add_board(home, ram=1000 + row["total_ram"] - 1)
    (short,) = as_json(modelwave(*inspect))
    assert short["fits"] == "no"
    assert short["shortfalls"][0].startswith("RAM: 1 bytes missing")
    assert any("operator 0 FULLY_CONNECTED" in one for one in short["advice"])

    add_board(home, ram=1 << 20, flash=V2.stat().st_size - 1)
    (flash,) = as_json(modelwave(*inspect))
    assert flash["shortfalls"][0].startswith("flash: 1 bytes missing")
    assert "must lose 1 bytes; its largest weights" in flash["advice"][0]
    assert flash["shortfalls"][1].startswith("flash with the code: ")


def test_advice_names_the_library_that_takes_a_refused_model(modelwave: Run) -> None:
    file = measured.model("zoo__mlp_i16_017")
    (row,) = as_json(modelwave("model", "inspect", file, "--target", "nano33ble", "--json"))
    assert row["fits"] == "no"
    assert "per-channel" in row["refused"]
    need = analyse(file.read_bytes(), "cortex-m4:reference").need
    assert row["advice"] == [
        f"firmware with the reference kernels takes it, in an arena of {need:,} bytes"
    ]


def test_layers_mark_the_peak_once(modelwave: Run) -> None:
    options = ("--profile", "cortex-m4:cmsis-nn", "--layers")
    code, out, _ = modelwave("model", "inspect", measured.model("zoo__conv1d_int8_029"), *options)
    assert code == 0
    (peak,) = [line for line in out.splitlines() if "peak" in line]
    assert peak.split()[:6] == ["1", "CONV_2D", "1x1x93x8", "416", "744", "192"]
    assert "1,552" in peak


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"hello", "not a TensorFlow Lite file"),
        (b"\x08\0\0\0TFL3" + bytes(4), "model.tflite: "),
    ],
)
def test_file_that_is_no_model_is_refused_by_name(
    tmp_path: Path, modelwave: Run, data: bytes, words: str
) -> None:
    file = saved(tmp_path, data)
    refused(modelwave("model", "inspect", file), "model.tflite", words)
    refused(modelwave("model", "inspect", file, "--json"), "model.tflite", words)
    refused(modelwave("model", "export", file, "--out", tmp_path), "model.tflite", words)


def bad_files(folder: Path) -> dict[Path, str]:
    """Files that cannot be inspected, each with a word of the reason."""
    pipe, loop, huge, saved_model = (folder / n for n in ("pipe", "loop", "huge.bin", "saved"))
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    with open(huge, "wb") as file:
        file.write(b"GGUF")
        file.truncate(1 << 30)
    saved_model.mkdir()
    saved(saved_model, b"", "saved_model.pb")
    with open(folder / "large", "wb") as file:
        file.write(small_models.dense())
        file.truncate(MAX_ANALYSED_BYTES + 1)  # takes no space on the disk
    return {
        folder / "large": "at most are analysed",
        saved(folder, b"hello", "hello"): "it is a text",
        saved(folder, small_models.dense()[:100], "cut"): "cut off",
        saved(folder, small_models.edgetpu(options=b"\xff" * 40), "tpu"): "FlexBuffers",
        pipe: "is a device or a pipe",
        loop: "cannot read",
        huge: "it is a GGUF",
        saved_model: "from_saved_model",
        Path("/dev/zero"): "is a device or a pipe",
        folder / "none": "No such file",
    }


def test_bad_files_do_not_end_the_answers_for_the_others(tmp_path: Path, modelwave: Run) -> None:
    bad = bad_files(tmp_path)
    files = [*bad, V2]
    options = ("--target", "linux-cpu", "--target", "rp2040")
    code, out, err = modelwave("model", "inspect", *files, *options, "--json")
    assert code == 2
    assert f"{len(bad)} of {len(files)} not inspected" in err
    assert err.count("\n") == 1
    *errors, host, board = json.loads(out)
    assert [Path(one["file"]) for one in errors] == list(bad)
    for one, words in zip(errors, bad.values(), strict=True):
        assert set(one) == {"file", "error"}
        assert words in one["error"]
    assert (host["fits"], board["fits"]) == ("yes", "yes")

    code, out, err = modelwave("model", "inspect", *files, *options)
    assert code == 2
    for file, words in bad.items():
        (line,) = [line for line in out.splitlines() if line.startswith(f"{file} not inspected")]
        assert words in line
    assert "linux-cpu" in out


def test_one_bad_file_alone_is_one_line_of_error(tmp_path: Path, modelwave: Run) -> None:
    for file, words in bad_files(tmp_path).items():
        refused(modelwave("model", "inspect", file, "--target", "coral-usb", "--json"), words)


def test_a_model_is_no_list_of_layers(tmp_path: Path, modelwave: Run) -> None:
    refused(modelwave("model", "estimate", V2), "modelwave model inspect")
    file = saved(tmp_path, b"\x89HDF\r\n\x1a\n" + bytes(9), "m.h5")
    refused(modelwave("model", "estimate", file), "it is an HDF5 file")


def test_an_edge_tpu_model_of_the_old_format_is_named(tmp_path: Path, modelwave: Run) -> None:
    old = small_models.package_options(b"\xbc\x0e" + bytes(60))
    files = [saved(tmp_path, small_models.edgetpu(options=old), "old"), V2]
    rows = as_json(modelwave("model", "inspect", *files, "--target", "coral-usb", "--json"))
    assert [row["fits"] for row in rows] == ["no", "yes"]
    assert "compile the .tflite anew with edgetpu_compiler" in rows[0]["refused"]


HOST = """\
[gateway]
description = "a host with little flash"
class = "host"
flash_bytes = 100
runtime = "tflite"
source = "nobody"
"""


def test_what_is_said_of_a_host_does_not_speak_of_boards(
    home: Home, tmp_path: Path, modelwave: Run
) -> None:
    (home.targets / "gateway.toml").write_text(HOST)
    string = saved(tmp_path, small_models.one("RELU", "STRING"))
    results = [
        modelwave("model", "inspect", string, V2, "--target", "gateway"),
        modelwave("target", "show", "gateway"),
        modelwave("model", "export", V2, "--target", "gateway", "--out", tmp_path),
    ]
    told = "\n".join(out.split("\n", 1)[1] for code, out, _ in results if code == 0)
    assert "is of type STRING: its size is not in the file" in told
    assert "flash: 3,676 bytes missing" in told
    assert "a host has no arena" in told
    for word in ("TFLM", "tflite-micro", "with the code", "firmware", "kernels"):
        assert word not in told
    refused(results[2], "gateway is a host, which has no arena")


@pytest.mark.parametrize("option", [("--layers",), ("--plot", "x.svg")])
def test_layers_of_a_host_alone_are_refused(modelwave: Run, option: tuple[str, ...]) -> None:
    result = modelwave("model", "inspect", V2, "--target", "linux-cpu", *option)
    refused(result, "linux-cpu has no arena")


def test_truncated_file_is_refused_at_every_length(tmp_path: Path, modelwave: Run) -> None:
    whole = V2.read_bytes()
    for length in range(64, len(whole), 512):
        result = modelwave("model", "inspect", saved(tmp_path, whole[:length]), "--json")
        refused(result, "model.tflite")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--target", "rp2041"], "perhaps rp2040"),
        (["--profile", "cortex-m4"], "perhaps cortex-m4:cmsis-nn"),
        (["--profile", "x" * 9999], "is unknown"),
        (["--target", "rp2040", "--profile", "esp32:reference"], "--profile"),
        (["--plot", "/no/such/folder/x.svg"], "/no/such/folder"),
    ],
    ids=str,
)
def test_wrong_option_is_refused_by_name(
    home: Home, modelwave: Run, options: list[str], words: str
) -> None:
    code, out, err = modelwave("model", "inspect", V2, *options)
    assert (code in (1, 2), out) == (True, "")
    assert words in err
    assert err.count("\n") == 1
    assert len(err) < 1000


def test_names_in_a_model_cannot_act_on_the_terminal(tmp_path: Path, modelwave: Run) -> None:
    file = saved(tmp_path, small_models.one("\x1b[2J[red]evil"))
    for options in ((), ("--profile", "cortex-m4:reference", "--layers")):
        code, out, _ = modelwave("model", "inspect", file, *options)
        assert code == 0
        assert "\x1b" not in out
        assert "evil" in out


def test_an_edge_tpu_model_says_which_runtime_it_wants(tmp_path: Path, modelwave: Run) -> None:
    file = saved(tmp_path, small_models.edgetpu(least_runtime=14))
    options = [part for name in ("coral-usb", "linux-cpu", "rp2040") for part in ("--target", name)]
    coral, cpu, board = as_json(modelwave("model", "inspect", file, *options, "--json"))
    assert coral["fits"] == "yes"
    assert any("runtime version 14" in note for note in coral["notes"])
    assert any("100 bytes of parameters cached" in note for note in coral["notes"])
    assert cpu["shortfalls"] == ["accelerator: needs edgetpu, linux-cpu has none"]
    assert "edgetpu-custom-op" in board["refused"]
    file = saved(tmp_path, small_models.edgetpu(chip="abacus"))
    (other,) = as_json(modelwave("model", "inspect", file, "--target", "coral-usb", "--json"))
    assert other["shortfalls"] == ["accelerator: compiled for chip abacus, coral-usb has beagle"]


def test_a_damaged_edge_tpu_package_is_a_named_error(tmp_path: Path, modelwave: Run) -> None:
    whole = small_models.package_options(b"DWN1" * 8)
    for options in (b"", b"\x00", whole[:-1], whole[1:], b"\xff" * 40, whole):
        file = saved(tmp_path, small_models.edgetpu(options=options))
        refused(modelwave("model", "inspect", file, "--target", "coral-usb"), "model.tflite")


def test_plot_is_written_where_it_was_asked(tmp_path: Path, modelwave: Run) -> None:
    target = tmp_path / "arena.svg"
    result = modelwave("model", "inspect", V2, "--target", "esp32", "--plot", target, "--json")
    assert json.loads(result[1])[0]["target"] == "esp32"
    assert "esp32:reference" in target.read_text()
    refused(modelwave("model", "inspect", V2, V2, "--plot", target), "--plot", "one FILE")
    file = saved(tmp_path, small_models.one("TILE"))
    refused(modelwave("model", "inspect", file, "--plot", target), "--plot", "TILE")
