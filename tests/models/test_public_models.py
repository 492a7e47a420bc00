"""Tests the list of public models, its page, and the trial of one model on models that are here."""

import json
import re
import statistics
import sys
import zipfile
from pathlib import Path

import pytest
from benchmarks.models import columns, fetch, table
from benchmarks.models.corpus import Model, Wheel, digest, wheels

from modelwave_controller.cli import run

ROOT = Path(__file__).resolve().parents[2]
HERE = [*ROOT.glob("tests/data/fit/models/*.tflite"), *ROOT.glob("examples/digits/models/*.tflite")]
LEAST = 60
LEAST_MEASURED, MEDIAN_OVER = 40, 0.15
READS_A_VARIABLE_UNASSIGNED = ("zoo__lstm_float_010",)  # it loads, and no host can run it
SHA256 = re.compile("[0-9a-f]{64}")
NAME = re.compile("[a-z0-9][a-z0-9-]{0,62}")


def test_every_model_of_the_list_has_a_name_of_its_own_and_pinned_bytes() -> None:
    found = wheels()
    models = [model for wheel in found for model in wheel.models]
    assert len(models) >= LEAST
    assert len({model.name for model in models}) == len({m.sha256 for m in models}) == len(models)
    assert all(NAME.fullmatch(model.name) for model in models)
    assert all(SHA256.fullmatch(one.sha256) for one in [*found, *models])
    assert all(re.fullmatch(r"[\d.]+", wheel.version) for wheel in found)


def test_page_of_public_models_is_what_the_last_trial_found_for_the_whole_list() -> None:
    found = table.read()
    assert table.text(found) == table.PAGE.read_text(), "run `make models`"
    listed = [(model.name, model.what) for wheel in wheels() for model in wheel.models]
    assert [(row.name, row.what) for row in found.rows] == listed, "run `make models`"
    assert found.wrong == []


def test_public_models_ask_for_no_less_ram_than_they_take_and_for_little_more() -> None:
    rows = [row for row in table.read().rows if row.needs and row.takes]
    over = [row.needs / max(row.takes.values()) - 1 for row in rows]
    assert len(rows) >= LEAST_MEASURED
    assert min(over) >= 0
    assert statistics.median(over) <= MEDIAN_OVER


def packed(folder: Path, files: dict[str, bytes]) -> Path:
    path = folder / "a-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_a_wheel_with_other_bytes_than_pinned_gives_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "good").write_bytes(b"good")
    pinned = Model("a", "a/a.tflite", digest(tmp_path / "good"), "")
    wheel = Wheel("a", "1", "", [pinned])
    archive = packed(tmp_path, {"a/a.tflite": b"other"})
    monkeypatch.setattr(fetch, "_download", lambda *_: archive)
    assert fetch.fetch([wheel], tmp_path) == {"a": "a==1: a/a.tflite is not the pinned file"}
    assert not pinned.file(tmp_path).exists()
    packed(tmp_path, {})
    assert fetch.fetch([wheel], tmp_path) == {"a": "a==1: the wheel has no a/a.tflite"}
    packed(tmp_path, {"a/a.tflite": b"good"})
    assert fetch.fetch([wheel], tmp_path) == {}
    monkeypatch.delattr(fetch, "_download")  # what is here is not fetched again
    assert fetch.fetch([wheel], tmp_path) == {}


def test_a_model_that_fits_and_loads_nowhere_is_named_as_wrong() -> None:
    rows = [
        columns.Row("a", "", "p==1", "tflite", {"x": "no operator", "y": "yes"}, fits="yes"),
        columns.Row(
            "b", "", "p==1", "tflite", {"x": "no operator", "y": "no | operator"}, fits="yes"
        ),
        columns.Row(
            "c", "", "p==1", "tflite", {"x": "no operator", "y": "no operator"}, fits="too large"
        ),
    ]
    found = table.Table({"x": ["runtime 1"]}, rows)
    assert found.wrong == ["b"]
    page = table.text(found)
    assert "Fits, and loads nowhere: `b`." in page
    assert "Loads, and does not fit: none." in page
    assert "| `b` | loads, y | no \\| operator |" in page
    assert "| `c` | loads, x; loads, y | no operator |" in page


def test_rows_tried_again_replace_the_old_ones_of_the_same_runtimes() -> None:
    def of(runtime: str, **fits: str) -> table.Table:
        rows = [
            columns.Row(name, "", "p==1", "tflite", {}, fits=said) for name, said in fits.items()
        ]
        return table.Table({"x": [runtime]}, rows)

    found = table.merged(of("runtime 1", a="no", b="no"), of("runtime 1", b="yes"))
    assert [(row.name, row.fits) for row in found.rows] == [("a", "no"), ("b", "yes")]
    with pytest.raises(ValueError, match="try all models"):
        table.merged(of("runtime 1"), of("runtime 2"))


def test_outputs_that_an_agent_answers_are_compared_with_those_of_the_runtime(
    tmp_path: Path,
) -> None:
    np = pytest.importorskip("numpy")
    from benchmarks.models.agreement import agreement

    def says(found: dict[str, list[float]], kind: str = "<f4") -> str:
        for path, arrays in ((answers, found), (expected, {"a": [1, 100], "b": [0]})):
            np.savez(path, **{f"outputs/{k}": np.array(v, kind) for k, v in arrays.items()})
        return agreement(answers, expected)

    answers, expected = tmp_path / "answers.npz", tmp_path / "expected.npz"
    assert says({"x": [1.5, 100.9], "b": [0]}) == columns.YES
    assert says({"a": [1, 98.5], "b": [0]}) == "a: off by 1.5, and 1 is allowed"
    assert says({"a": [1, 100], "b": [0.1]}) == "b: off by 0.1, and 0 is allowed"
    assert says({"a": [1, float("nan")], "b": [0]}).startswith("a: off by nan")
    assert says({"a": [1, 84], "b": [0]}, "|i1") == columns.YES
    assert says({"a": [1, 83], "b": [0]}, "|i1") == "a: off by 17 steps"
    assert says({"a": [1, 100]}) == "1 outputs in place of 2"
    assert says({"a": [1], "b": [0]}).startswith("a: float32 (1,) in place of float32 (2,)")


def test_models_of_this_repository_load_and_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The trial of `make models` in short: without a network, without processes."""
    pytest.importorskip("numpy")
    bare = pytest.importorskip("benchmarks.models.bare")
    try:
        bare.first_runtime()
    except SystemExit:
        pytest.skip("no TFLite runtime: pip install 'modelwave[tflite]'")
    assert run(["model", "inspect", "--target", columns.TARGET, "--json", *map(str, HERE)]) == 0
    fits = {Path(one["file"]): one["fits"] for one in json.loads(capsys.readouterr().out)}
    assert len(fits) == len(HERE) > 30
    for file in HERE:
        model, error = bare.tried(str(file), {}, delegates=False)
        assert error == ""
        if file.stem in READS_A_VARIABLE_UNASSIGNED:
            assert fits[file] == "no"
            continue
        assert fits[file] == columns.YES
        found = bare.answers(model, bare.drawn(file.stem, model.specs(), {}))
        assert all(len(array) == bare.RECORDS for array in found.values())


@pytest.mark.slow
def test_each_column_of_one_model_in_processes_of_their_own(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    python = columns.asked(sys.executable)
    file = ROOT / "examples/digits/models/digits-v2.tflite"
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(file.read_bytes()[:2000])
    first, again = tmp_path / "first.npz", tmp_path / "again.npz"
    model = Model("digits", file.name, "", "")
    for answers, inputs in ((first, None), (again, first)):
        assert columns.loads(python, model, file, answers, inputs) == columns.YES
    assert again.read_bytes() == first.read_bytes()
    assert columns.fits(model, file) == columns.YES
    assert 0 < columns.takes(python, model, file, first) < 2_000_000
    assert columns.takes(python, model, broken, first) == 0
    for said in (
        columns.loads(python, model, broken, again, None),
        columns.fits(model, broken),
    ):
        assert said
        assert said != columns.YES
