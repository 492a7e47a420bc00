"""Names of classes: checked wherever they come in, shown and taken from a model's metadata."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from modelwave_controller.fit import ModelError
from modelwave_controller.home import Home
from modelwave_controller.models import labels
from modelwave_controller.models.labels import MAX_LABEL_CHARACTERS, MAX_LABELS, LabelsError
from modelwave_shared import golden
from tests.controller.operator_home import Run, as_json, golden_labels, refused
from tests.models import labelled, small_models

FOUR = "cat\ndog\nfish\nbird\n"
ANSWER = [("labels.txt", labelled.AXIS_LABELS, "")]
OUTPUTS = bytes(4)

pytestmark = pytest.mark.usefixtures("prover")


@pytest.mark.parametrize(
    ("data", "names", "notes"),
    [
        (b"cat\ndog\n", ("cat", "dog"), 0),
        (b"cat\ndog", ("cat", "dog"), 0),
        (b"\xef\xbb\xbfcat\r\ndog\r\n", ("cat", "dog"), 2),
        (
            "Käse\nپنیر\n👩\u200d🚀\nक\u094dष\n".encode(),
            ("Käse", "پنیر", "👩\u200d🚀", "क\u094dष"),
            0,
        ),
        (b"cat\n???\ncrane\ncrane\n???\n", ("cat", "???", "crane", "crane", "???"), 2),
        (b"x" * MAX_LABEL_CHARACTERS, ("x" * MAX_LABEL_CHARACTERS,), 0),
    ],
)
def test_names_are_read(data: bytes, names: tuple[str, ...], notes: int) -> None:
    found = labels.parse(data)
    assert found.names == names
    assert len(found.notes) == notes
    assert labels.parse(found.data).names == names
    assert (found.data == data) == (b"\r" not in data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no names"),
        (b"\n", "line 1 is empty"),
        (b"cat\n\ndog\n", "line 2 is empty"),
        (b"cat\n \t\n", "line 2 is empty"),
        (b"cat\ndog\n\n", "line 3 is empty"),
        (b"cat\nd\xffg\n", "line 2 is not UTF-8"),
        ("cat\n".encode("utf-16"), "UTF-16"),
        (b"cat\nd\x1b[2Jog\n", r"line 2 has the control character U\+001B"),
        (b"cat\rdog\r", r"line 1 has the control character U\+000D"),
        (b"cat\x00", r"U\+0000"),
        ("cat\u202egod\n".encode(), r"U\+202E"),
        ("cat\u2028god\n".encode(), r"U\+2028"),
        (b"x" * (MAX_LABEL_CHARACTERS + 1), "line 1 has more than"),
        (b"x\n" * (MAX_LABELS + 1), "65,537 lines"),
        (bytes(labels.MAX_LABELS_BYTES + 1), "longer than"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_are_no_names_is_refused_with_its_line(data: bytes, words: str) -> None:
    with pytest.raises(LabelsError, match=words):
        labels.parse(data)


def test_names_that_stand_there_twice_are_named() -> None:
    assert labels.parse(b"a\nb\na\na\n").notes == ('"a" stands on lines 1 and 3 and 1 more',)
    many = labels.parse("".join(f"{n % 5}\n" for n in range(10)).encode()).notes
    assert many[-1] == "2 more names stand on several lines"


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_labels_in_a_model_are_found(packing: int) -> None:
    data = labelled.model({"labels.txt": FOUR.encode()}, ANSWER, packing=packing)
    (found,) = labels.in_model(data)
    assert (found.name, found.owner, found.problem) == ("labels.txt", "output 0 probability", "")
    assert found.labels is not None
    assert found.labels.names == ("cat", "dog", "fish", "bird")
    (found,) = labels.in_model(labelled.model({"x_LABELS.txt": b"a\n", "readme.txt": b"b"}))
    assert found.name == "x_LABELS.txt"
    assert labels.in_model(small_models.dense()) == []


@pytest.mark.parametrize(
    ("files", "described", "problem"),
    [
        ({}, ANSWER, "not in the zip"),
        ({"labels.txt": b"a\n\nb\n"}, ANSWER, "line 2 is empty"),
        ({"labels.txt": bytes(1 << 21)}, ANSWER, "1048576 at most"),
        ({str(n): b"" for n in range(300)}, ANSWER, "256 at most"),
    ],
    ids=["missing", "empty line", "bomb", "many files"],
)
def test_labels_that_cannot_be_used_say_why(
    files: dict[str, bytes], described: Sequence[tuple[str, int, str]], problem: str
) -> None:
    data = labelled.model(files, described, packing=zipfile.ZIP_DEFLATED)
    (found,) = labels.in_model(data)
    assert found.labels is None
    assert problem in found.problem


def test_metadata_of_another_version_are_a_named_error() -> None:
    other = labelled.metadata(ANSWER, b"M002")
    with pytest.raises(ModelError, match="M001"):
        labels.in_model(small_models.dense(metadata={"TFLITE_METADATA": other}))


def saved(folder: Path, data: bytes, name: str = "m.tflite") -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def test_inspect_shows_the_labels(tmp_path: Path, modelwave: Run) -> None:
    files = {"labels.txt": FOUR.encode(), "de.txt": b"a\n\n"}
    file = saved(tmp_path, labelled.model(files, [*ANSWER, ("de.txt", 2, "de")]))
    (row,) = as_json(modelwave("model", "inspect", file, "--target", "rp2040", "--json"))
    plain, other = row["labels"]
    assert (plain["file"], plain["of"], plain["count"]) == ("labels.txt", "output 0 probability", 4)
    assert plain["problem"] is None
    assert (other["locale"], other["count"]) == ("de", None)
    assert "line 2 is empty" in other["problem"]
    code, out, _ = modelwave("model", "inspect", file, "--target", "rp2040")
    assert code == 0
    assert '4 names: "cat", "dog", "fish", …' in out
    assert "--labels-from-model" in out
    damaged = small_models.dense(metadata={"TFLITE_METADATA": b"\xff" * 50})
    (row,) = as_json(
        modelwave("model", "inspect", saved(tmp_path, damaged), "--target", "rp2040", "--json")
    )
    assert (row["fits"], row["labels"][0]["file"]) == ("yes", "TFLITE_METADATA")


def create(folder: Path, model: bytes, *options: object, outputs: bool = False) -> list[object]:
    if outputs:
        (folder / "g").write_bytes(golden.pack("o", "b", "b", [bytes(8)], [OUTPUTS]))
        tolerance = ("--steps", "any=3")
    else:
        golden_labels(folder / "g")
        tolerance = ("--least-correct", "0.9")
    return [
        *("release", "create", "pets", "v1", "--target", "linux-cpu", "--yes", "--json"),
        *("--file", saved(folder, model), "--golden", folder / "g", *tolerance),
        *("--dataset", "d", "--quantisation", "int8", *options),
    ]


def taken(home: Home, made: Any) -> bytes:
    (sha256,) = [f["sha256"] for f in made["manifest"]["files"] if f["role"] == "labels"]
    return (home.path / "files" / sha256).read_bytes()


def test_labels_of_a_release_are_checked_and_made_plain(
    home: Home, tmp_path: Path, modelwave: Run
) -> None:
    file = saved(tmp_path, b"\xef\xbb\xbfcat\r\ndog\r\ncat\r\n", "labels.txt")
    result = modelwave(*create(tmp_path, small_models.dense(3), "--labels", file))
    assert taken(home, as_json(result)) == b"cat\ndog\ncat\n"
    for words in ("byte-order mark", "CRLF", '"cat" stands on lines 1 and 3', '3 names: "cat"'):
        assert words in result[2]


@pytest.mark.parametrize(
    ("given", "outputs", "words"),
    [
        (b"a\nb\nc\nd\n", False, "4 names, but the golden set has 3 classes"),
        (b"a\nb\nc\n", True, "3 names, but the model's output has 4 classes"),
        (b"a\n\nc\n", False, "labels.txt: line 2 is empty"),
        (bytes(range(128, 256)), False, "not UTF-8"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    home: Home, tmp_path: Path, modelwave: Run, given: bytes, outputs: bool, words: str
) -> None:
    file = saved(tmp_path, given, "labels.txt")
    model = small_models.dense(4)
    refused(modelwave(*create(tmp_path, model, "--labels", file, outputs=outputs)), words)


def test_labels_of_a_release_are_taken_from_its_model(
    home: Home, tmp_path: Path, modelwave: Run
) -> None:
    german = ("de.txt", labelled.AXIS_LABELS, "de")
    model = labelled.model({"labels.txt": FOUR.encode(), "de.txt": b"a\n"}, [german, *ANSWER])
    result = modelwave(*create(tmp_path, model, "--labels-from-model", outputs=True))
    assert taken(home, as_json(result)).decode() == FOUR


@pytest.mark.parametrize(
    ("model", "more", "words"),
    [
        (small_models.dense(), (), "the model has no file of labels; use --labels"),
        (labelled.model({}, ANSWER), (), "labels.txt: it is not in the zip"),
        (
            labelled.model(
                {"a.txt": b"a\n", "b.txt": b"b\n"}, [("a.txt", 2, ""), ("b.txt", 3, "")]
            ),
            (),
            "the model has a.txt, b.txt; take one: unzip -p MODEL NAME > labels.txt",
        ),
        (
            labelled.model({"labels.txt": b"a\n"}, ANSWER),
            (),
            "--labels-from-model: 1 name, but the golden set has 3 classes",
        ),
        (small_models.dense(), ("--labels", "x"), "--labels-from-model: replaces --labels"),
    ],
    ids=["none", "missing", "two", "count", "both"],
)
def test_labels_that_a_model_has_not_are_refused(
    home: Home,
    tmp_path: Path,
    modelwave: Run,
    model: bytes,
    more: tuple[str, ...],
    words: str,
) -> None:
    refused(modelwave(*create(tmp_path, model, "--labels-from-model", *more)), words)
