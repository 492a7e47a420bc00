"""`modelwave release`: from a model file to a signed release, and what is refused."""

import json
import os
import pty
import stat
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from operator_home import (
    DIGITS,
    SECRET,
    Run,
    as_json,
    golden_labels,
    make_home,
    refused,
    runner,
    tflite,
)

from modelwave_agent.host.runtimes.litert import LiteRT
from modelwave_controller.cli import run
from modelwave_controller.errors import OperatorError
from modelwave_controller.home import Home
from modelwave_controller.releases import confinement, figures, golden_sets
from modelwave_controller.releases.catalog import Releases
from modelwave_controller.trust import keys
from modelwave_shared import digests, documents, dsse, words

HEALTHY = {"healthy": True, "reason": "", "runtime": "fake", "version": "1"}
SICK = {"healthy": False, "reason": "golden set: 1 of 2 wrong", "runtime": "fake", "version": "1"}


@pytest.fixture
def modelwave(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    return make_home(tmp_path / "home", monkeypatch)


@pytest.fixture
def prover(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Puts a program in the place of the one that runs golden sets: prints, dies, …"""

    def put(code: str) -> None:
        monkeypatch.setattr(golden_sets, "PROVE_COMMAND", (sys.executable, "-c", code))

    put(f"print({json.dumps(HEALTHY)!r})")
    return put


def create(tmp_path: Path, **changes: object) -> list[object]:
    """The arguments of a `release create` that is right but for the changes; None takes an
    option away."""
    options: dict[str, object] = {
        "target": "linux-cpu",
        "file": tmp_path / "model.tflite",
        "golden": tmp_path / "golden.bin",
        "least-correct": "0.9",
        "ram": 2048,
        "dataset": "pictures of 2026",
        "metric": "heldout_ppm=900000",
        "quantisation": "int8",
    }
    if not (tmp_path / "model.tflite").exists():
        tflite(tmp_path / "model.tflite")
        golden_labels(tmp_path / "golden.bin")
    options |= {name.replace("_", "-"): value for name, value in changes.items()}
    model, version = options.pop("model", "digits"), options.pop("version", "v1")
    given = [f"--{name}={value}" for name, value in options.items() if value is not None]
    return ["release", "create", *given, "--yes", "--", model, version]


def json_of(arguments: list[object]) -> list[object]:
    return [*arguments[:2], "--json", *arguments[2:]]


def digits(version: str, **changes: object) -> list[object]:
    """The arguments that release one of the example models for linux-cpu."""
    book = json.loads((DIGITS / "models.json").read_text())
    entry = next(entry for entry in book["versions"] if entry["version"] == version)
    tolerance = entry["tolerance"]
    if tolerance["kind"] == "labels":
        how = ["--least-correct", tolerance["least_ppm"] / 1e6]
    else:
        how = [f"--steps={runtime}={steps}" for runtime, steps in tolerance["steps"].items()]
    return [
        *("release", "create", "digits", version, "--target", "linux-cpu", "--yes"),
        *("--file", DIGITS / entry["file"], "--golden", DIGITS / entry["golden"]["file"]),
        *("--ram", entry["ram_bytes"], "--dataset", book["dataset"]),
        *(
            "--quantisation",
            book["quantisation"],
            "--metric",
            f"right={entry['accuracy']['right']}",
        ),
        *(word for kernel in entry["kernels"] for word in ("--kernel", kernel)),
        *how,
        *(word for name, value in changes.items() for word in (f"--{name}", value)),
    ]


def stored(home: Home) -> list[Path]:
    places = (home.files, home.releases)
    return [path for place in places for path in place.rglob("*") if path.is_file()]


@pytest.mark.slow
def test_good_example_models_are_released_for_real(home: Home, modelwave: Run) -> None:
    for number, version in enumerate(("v1", "v2", "v4"), start=1):
        made = as_json(modelwave(*digits(version), "--json"))
        assert made["manifest"]["release"] == number
        assert made["manifest"]["forced"] == ""
        found = Releases(home).find("digits", version)["linux-cpu"]
        assert found.document == made["manifest"]
        assert found.digest == made["sha256"]
    assert modelwave("release", "list")[1].count("linux-cpu") == 3


def test_release_says_its_format_from_the_second_on(
    home: Home, modelwave: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "v" not in as_json(modelwave(*digits("v1"), "--json"))["manifest"]
    with monkeypatch.context() as next_year:
        next_year.setitem(words.READS, words.MANIFEST, 3)
        next_year.setitem(words.WRITES, words.MANIFEST, 3)
        assert as_json(modelwave(*digits("v2"), "--json"))["manifest"]["v"] == 3
        assert Releases(home).find("digits", "v2")["linux-cpu"].manifest.v == 3
    refused(
        modelwave("release", "list"),
        "manifest.v: 3 is a newer format; manifest v 2 is read here; update the controller",
        code=1,
    )


def test_model_that_fails_its_golden_set_is_refused_for_real(home: Home, modelwave: Run) -> None:
    runtime = LiteRT().name  # the one that is installed here
    refused(modelwave(*digits("v3")), "labels right", "--force REASON", runtime, code=1)
    assert stored(home) == []


def test_forced_release_carries_its_reason_everywhere(home: Home, modelwave: Run) -> None:
    reason = "to see it rolled back [red]"
    code, out, _ = modelwave(*digits("v3", force=reason))
    assert code == 0
    assert f"FORCED  {reason}" in out
    assert "labels right" in out
    found = Releases(home).find("digits", "v3")["linux-cpu"]
    assert found.manifest.forced == reason
    opened = documents.open_signed("manifest", dsse.read(found.envelope), home.root_document)
    assert opened["forced"] == reason
    assert f"FORCED: {reason}" in modelwave("release", "list")[1]
    assert f"FORCED  {reason}" in modelwave("release", "show", "digits", "1")[1]
    shown = as_json(modelwave("release", "show", "digits", "v3", "--json"))
    assert shown[0]["manifest"]["forced"] == reason


def test_reason_that_was_not_needed_is_not_written_down(
    home: Home, tmp_path: Path, modelwave: Run, prover: Any
) -> None:
    made = as_json(modelwave(*json_of(create(tmp_path, force="just in case"))))
    assert made["manifest"]["forced"] == ""


def test_bundle_is_made_where_the_key_is_and_added_where_the_service_is(
    home: Home, tmp_path: Path, modelwave: Run, prover: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine with the key has root.json and nothing else of the home."""
    offline = tmp_path / "offline-machine"
    offline.mkdir()
    (home.path / "offline").rename(offline / "offline")
    (offline / "root.json").write_bytes(home.root_envelope)
    monkeypatch.setenv("MODELWAVE_HOME", str(offline))
    labels = tmp_path / "labels.txt"
    labels.write_text("zero\none\ntwo\n")
    out = tmp_path / "stick" / "digits-v1"
    made = as_json(modelwave(*json_of(create(tmp_path, out=out, labels=labels, release=1))))
    assert made["bundle"] == str(out)
    hashes = {file["sha256"] for file in made["manifest"]["files"]}
    assert {path.name for path in out.iterdir()} == {"manifest.json", *hashes}
    assert len(hashes) == 3
    assert stat.S_IMODE(out.stat().st_mode) == 0o755
    assert not (offline / "files").exists()

    monkeypatch.setenv("MODELWAVE_HOME", str(home.path))
    second = tmp_path / "stick" / "second"
    assert modelwave("release", "add", out)[1].startswith("added release 1 (v1) of digits")
    again = modelwave("release", "add", out)[1]
    assert again.startswith("already in this home, unchanged: release 1 (v1) of digits")
    assert [entry["new"] for entry in as_json(modelwave("release", "add", "--json", out))] == [
        False
    ]
    assert set(Releases(home).find("digits", "v1")) == {"linux-cpu"}
    assert Releases(home).find("digits", "1")["linux-cpu"].digest == made["sha256"]
    refused(modelwave("release", "add", second), "not a bundle")


def test_number_that_left_in_a_bundle_is_not_given_again(
    home: Home, tmp_path: Path, modelwave: Run, prover: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine with the key never sees the bundles come home."""
    offline = tmp_path / "offline-machine"
    offline.mkdir()
    (home.path / "offline").rename(offline / "offline")
    (offline / "root.json").write_bytes(home.root_envelope)
    monkeypatch.setenv("MODELWAVE_HOME", str(offline))

    def sign(version: str, name: str, **changes: object) -> tuple[int, str, str]:
        return modelwave(*create(tmp_path, version=version, out=tmp_path / name, **changes))

    refused(sign("v1", "one"), "--release: this home knows no release of digits", "give 1")
    assert sign("v1", "one", release=1)[0] == 0
    assert sign("v2", "two")[0] == 0
    assert sign("v1", "one-more", target="rp2040")[0] == 0
    refused(sign("v2", "again"), "release 2, and a release is never changed")
    code, _, err = sign("v3", "taken", release=2)
    assert (code, "release 2 of digits is version v2" in err) == (2, True)
    assert not (tmp_path / "taken").exists()

    monkeypatch.setenv("MODELWAVE_HOME", str(home.path))
    bundles = [tmp_path / name for name in ("one", "two", "one-more")]
    assert modelwave("release", "add", *bundles)[0] == 0
    found = Releases(home).all()
    assert [(r.manifest.release, r.manifest.version, r.manifest.target) for r in found] == [
        (1, "v1", "linux-cpu"),
        (1, "v1", "rp2040"),
        (2, "v2", "linux-cpu"),
    ]


def test_what_is_shown_is_what_is_signed(
    home: Home, tmp_path: Path, modelwave: Run, prover: Any
) -> None:
    code, out, _ = modelwave(*create(tmp_path))
    assert code == 0
    start, end = out.index("{"), out.rindex("}") + 1
    shown = json.loads(out[start:end])
    found = Releases(home).find("digits", "v1")["linux-cpu"]
    assert json.loads(dsse.read(found.envelope).payload) == shown
    assert f"sha256 {found.digest}" in out
    assert "golden set passed on fake 1" in out
    code, out, err = modelwave(*json_of(create(tmp_path, version="v2")))
    assert json.loads(err[err.index("{") : err.rindex("}") + 1]) == json.loads(out)["manifest"]


def test_limit_of_latency_is_signed_and_shown(
    home: Home, tmp_path: Path, modelwave: Run, prover: Any
) -> None:
    assert modelwave(*create(tmp_path, latency_limit="12.5"))[0] == 0
    found = Releases(home).find("digits", "v1")["linux-cpu"]
    assert found.document["extra"]["latency_limit_us"] == 12_500
    shown = modelwave("release", "show", "digits", "v1")[1]
    assert "12.5 ms" in next(line for line in shown.splitlines() if "latency limit" in line)


@pytest.mark.parametrize(("answer", "signed"), [("y", True), ("n", False), ("", False)])
def test_nothing_is_signed_before_the_answer(
    home: Home,
    tmp_path: Path,
    prover: Any,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    signed: bool,
) -> None:
    controller, terminal = pty.openpty()
    os.write(controller, answer.encode() + b"\n")
    with open(terminal, closefd=False) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        arguments = [str(a) for a in create(tmp_path) if a != "--yes"]
        assert run(arguments) == (0 if signed else 1)
    os.close(controller)
    os.close(terminal)
    assert bool(stored(home)) == signed
    assert not list(home.path.glob(".modelwave-*"))


def test_without_terminal_or_yes_nothing_is_signed(
    home: Home, tmp_path: Path, modelwave: Run, prover: Any
) -> None:
    arguments = [a for a in create(tmp_path) if a != "--yes"]
    refused(modelwave(*arguments), "--yes: there is no terminal")


def test_same_version_for_two_targets_is_one_release(
    home: Home, tmp_path: Path, modelwave: Run, prover: Any
) -> None:
    for target in ("linux-cpu", "rp2040"):
        assert modelwave(*create(tmp_path, target=target))[0] == 0
    assert modelwave(*create(tmp_path, version="v2", target="rp2040"))[0] == 0
    releases = Releases(home)
    assert set(releases.find("digits", "1")) == {"linux-cpu", "rp2040"}
    assert set(releases.find("digits", "2")) == {"rp2040"}
    refused(modelwave(*create(tmp_path, version="v2", target="rp2040")), "never changed")
    refused(modelwave("release", "show", "digits", "2", "--target", "esp32"), "is for rp2040")
    assert modelwave("release", "show", "digits", "1", "--target", "rp2040")[0] == 0


def test_key_that_is_no_release_key_is_refused(
    home: Home, tmp_path: Path, modelwave: Run, prover: Any
) -> None:
    keys.create_key(tmp_path / "stranger", SECRET.encode())
    for path in (home.path / "order.key", home.offline / "root-1.key", tmp_path / "stranger"):
        refused(
            modelwave(*create(tmp_path, key=path)), "is not one of the release keys of fleet demo"
        )
    assert stored(home) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "../x"}, "is no name"),
        ({"model": ""}, "is no name"),
        ({"model": "x" * 9999}, "is no name"),
        ({"version": ""}, "VERSION"),
        ({"version": "2"}, "VERSION"),
        ({"version": "v1\x1b[2J"}, "VERSION"),
        ({"version": "x" * 300}, "VERSION"),
        ({"target": "rp2041"}, "perhaps rp2040"),
        ({"target": ""}, "is unknown"),
        ({"release": 0}, "manifest.release"),
        ({"release": 2**31}, "manifest.release"),
        ({"release": "9" * 5000}, "--release"),
        ({"release": "x"}, "--release"),
        ({"ram": -1}, "needs.ram"),
        ({"ram": 2**31}, "needs.ram"),
        ({"ram": "2k"}, "--ram"),
        ({"ram": "1" * 5000}, "--ram"),
        ({"ram": None}, "--ram"),
        ({"target": "rp2040", "ram": 300_000}, "rp2040 has 270336"),
        ({"least_correct": None}, "--least-correct"),
        ({"steps": "any=8"}, "--least-correct"),
        ({"least_correct": None, "steps": "any=8"}, "give --least-correct"),
        ({"least_correct": "NaN"}, "--least-correct"),
        ({"metric": "accuracy"}, "--metric"),
        ({"metric": "a=1.5"}, "--metric"),
        ({"metric": "é=1"}, "--metric"),
        ({"metric": f"a={'9' * 18}"}, "lineage.metrics"),
        ({"latency_limit": "0"}, "--latency-limit: 0; give milliseconds"),
        ({"kernel": "a b"}, "needs.kernels"),
        ({"runtime": "tf lite"}, "--runtime: 'tf lite', but linux-cpu runs tflite"),
        ({"runtime": "foo"}, "--runtime: 'foo', but linux-cpu runs tflite"),
        ({"runtime": "tflite2"}, "--runtime: 'tflite2', but linux-cpu runs tflite"),
        ({"runtime": ""}, "--runtime: '', but linux-cpu runs tflite"),
        ({"runtime": "tflite>=2 x"}, "needs.runtime"),
        ({"accelerator": "x" * 64}, "needs.accelerator"),
        ({"dataset": "a\nb"}, "lineage.dataset"),
        ({"quantisation": "x" * 201}, "lineage.quantisation"),
        ({"force": ""}, "--force"),
        ({"force": "x" * 201}, "--force"),
        ({"file": "/no/such"}, "--file: cannot read"),
        ({"file": "/"}, "--file: cannot read"),
        ({"file": "/dev/null"}, "--file: /dev/null is a device or a pipe"),
        ({"labels": "/dev/zero"}, "--labels: /dev/zero is a device or a pipe"),
        ({"golden": "/no/such"}, "--golden: cannot read"),
        ({"labels": "/no/such"}, "--labels: cannot read"),
        ({"key": "/no/such"}, "key: cannot read"),
        ({"passphrase_file": "/no/such"}, "--passphrase-file: cannot read"),
        ({"out": "/", "release": 1}, "exists already"),
        ({"out": "/no/such"}, "--release: this home knows no release of digits"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_argument_is_refused_by_name(
    home: Home,
    tmp_path: Path,
    modelwave: Run,
    prover: Any,
    changes: dict[str, object],
    words: str,
) -> None:
    result = modelwave(*create(tmp_path, **changes))
    refused(result, words)
    assert len(result[2]) < 1000
    assert stored(home) == []
    assert not list(home.path.glob(".modelwave-*"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x08\0\0\0TFL4" + bytes(16), "not a TensorFlow Lite file"),
        (b"TFL3" + bytes(20), "not a TensorFlow Lite file"),
        (b"\x08\0\0\0TFL", "not a TensorFlow Lite file"),
        (b"\x08\0\0\0TFL3", "truncated or damaged"),
        (b"\xff\xff\xff\xffTFL3" + bytes(16), "truncated or damaged"),
        (b"\0\0\0\0TFL3" + bytes(16), "truncated or damaged"),
        (b"PK\x03\x04" + bytes(100), "it is a zip; unpack it"),
        (b"\x08\x09\x42\x02\x10\x11", "an ONNX file without a graph"),
    ],
)
def test_model_file_that_is_not_tflite_is_refused(
    home: Home, tmp_path: Path, modelwave: Run, prover: Any, data: bytes, words: str
) -> None:
    (tmp_path / "m").write_bytes(data)
    refused(modelwave(*create(tmp_path, file=tmp_path / "m")), "--file", words)


def test_a_file_of_another_format_is_named_before_it_is_copied(
    home: Home, tmp_path: Path, modelwave: Run, prover: Any
) -> None:
    with open(tmp_path / "large.gguf", "wb") as file:
        file.write(b"GGUF")
        file.truncate(3 << 30)  # more than a release may have; takes no space on the disk
    refused(modelwave(*create(tmp_path, file=tmp_path / "large.gguf")), "it is a GGUF")
    saved_model = tmp_path / "saved"
    saved_model.mkdir()
    (saved_model / "saved_model.pb").write_bytes(b"x")
    refused(modelwave(*create(tmp_path, file=saved_model)), "--file", "from_saved_model")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data[:19], "the header alone has 20"),
        (lambda data: b"MWG2" + data[4:], "not a golden file"),
        (lambda data: data[:-1], "its header says"),
        (lambda data: data + b"x", "its header says"),
        (lambda data: data[:8] + b"\xff\xff\xff\xff" + data[12:], "count"),
        (lambda data: data[:12] + b"\xff\xff\xff\xff" + data[16:], "outside"),
    ],
)
def test_golden_file_that_is_wrong_is_refused(
    home: Home, tmp_path: Path, modelwave: Run, prover: Any, change: Any, words: str
) -> None:
    given = golden_labels(tmp_path / "g").read_bytes()
    (tmp_path / "g").write_bytes(change(given))
    refused(modelwave(*create(tmp_path, golden=tmp_path / "g")), "--golden", words)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (f"print({json.dumps(SICK)!r})", "1 of 2 wrong (on fake 1)"),
        ("import os; os.abort()", "ended by SIGABRT"),
        ("import sys; sys.exit('no runtime here')", "no runtime here"),
        ("import sys; sys.exit(3)", "code 3"),
        ("", "cannot be read"),
        ("print('{}')", "cannot be read"),
        ("print('[' * 100000)", "cannot be read"),
        ('print(\'{"healthy": 1, "reason": "", "runtime": "", "version": ""}\')', "read"),
        ("import time; time.sleep(600)", "no result after"),
    ],
)
def test_no_verdict_is_not_a_good_one(
    home: Home,
    tmp_path: Path,
    modelwave: Run,
    prover: Any,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    words: str,
) -> None:
    if "sleep" in code:
        monkeypatch.setattr(golden_sets, "PROVE_SECONDS", 0)
        monkeypatch.setattr(golden_sets, "_GRACE_SECONDS", 0.3)
    prover(code)
    refused(modelwave(*create(tmp_path)), words, "--force REASON", code=1)
    assert stored(home) == []


def test_files_are_judged_and_shipped_as_one_copy(
    home: Home, tmp_path: Path, modelwave: Run, prover: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is exchanged while its golden set runs is not what gets signed."""
    create(tmp_path)
    before = (tmp_path / "model.tflite").read_bytes()
    other = (tmp_path / "model.tflite").with_suffix(".other")
    tflite(other, b"another")
    prover(f"print({json.dumps(HEALTHY)!r})")
    prove = golden_sets.prove

    def exchanged(*arguments: Any) -> Any:
        os.replace(other, tmp_path / "model.tflite")
        return prove(*arguments)

    monkeypatch.setattr(golden_sets, "prove", exchanged)
    assert modelwave(*create(tmp_path))[0] == 0
    found = Releases(home).find("digits", "1")["linux-cpu"]
    assert found.manifest.files[0].sha256 == digests.hexdigest(before)
    assert (tmp_path / "model.tflite").read_bytes() != before


def test_model_sees_no_secret_and_the_key_is_opened_after_it_ran(
    home: Home, tmp_path: Path, modelwave: Run, prover: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELWAVE_PASSPHRASE", SECRET)
    key = str(home.offline / "release.key")
    prover(
        "import json, os\n"
        "said = str(sorted(os.environ))\n"
        "try:\n"
        f"    said += open({key!r}).read()\n"
        "except OSError as error:\n"
        "    said += error.strerror\n"
        f"print(json.dumps({SICK} | {{'reason': said}}))"
    )
    told = modelwave(*create(tmp_path, key=tmp_path / "no.key"))
    refused(told, "not released: ", code=1)
    assert "MODELWAVE" not in told[2]
    if confinement.possible()["files"]:
        assert "Permission denied" in told[2]
    # The same with a model that is good: now the key is asked for.
    prover(f"print({json.dumps(HEALTHY)!r})")
    refused(modelwave(*create(tmp_path, key=tmp_path / "no.key")), "no.key")


def test_output_says_what_the_model_could_not_do(
    home: Home, tmp_path: Path, modelwave: Run, prover: Any
) -> None:
    code, out, err = modelwave(*create(tmp_path))
    assert code == 0
    assert confinement.words() in " ".join((out + err).split())


@pytest.mark.parametrize(("text", "ppm"), [("0.9", 900_000), ("1", 10**6), ("1e-6", 1)])
def test_share_is_read_exactly(text: str, ppm: int) -> None:
    assert figures.ppm(text, "x") == ppm


@pytest.mark.parametrize(
    "text", ["", "nan", "NaN", "inf", "-inf", "0", "-0.1", "1.000001", "90%", "1e-7", "0" * 21, "x"]
)
def test_unreadable_threshold_never_means_no_threshold(text: str) -> None:
    with pytest.raises(OperatorError, match="--least-correct"):
        figures.ppm(text, "--least-correct")


@pytest.mark.parametrize(
    "texts",
    [["a"], ["=1"], ["a="], ["a=1", "a=2"], ["a=x"], ["a=٣"], ["a=1" + "0" * 5000], ["a=--1"]],
)
def test_figure_that_is_no_integer_is_refused(texts: list[str]) -> None:
    with pytest.raises(OperatorError, match="--steps"):
        figures.pairs(texts, "--steps")


@pytest.mark.parametrize("texts", [["any=-1"], ["any=8", "any=-1"], ["any=-1", "any=8"]])
def test_negative_steps_are_named_before_anything_else(texts: list[str]) -> None:
    with pytest.raises(OperatorError, match=r"--steps: any: -1 is negative"):
        figures.tolerance(None, texts)


def test_figures_are_read() -> None:
    assert figures.pairs(["tflite>=2.14=1", "any=8"], "--steps") == {"tflite>=2.14": 1, "any": 8}


# Golden sets of hosts (.npz).


def npz(path: Path, description: object = None, copies: int = 1) -> Path:
    """v2's golden set as an archive; `copies` of its first record, if above 1."""
    numpy = pytest.importorskip("numpy")
    data = numpy.frombuffer((DIGITS / "digits-v2.golden").read_bytes()[20:], "|i1")
    data = data.reshape(-1, 74)
    if copies > 1:
        data = numpy.repeat(data[:1], copies, 0)
    numpy.savez_compressed(
        path, **{"inputs/pictures": data[:, :64], "outputs/classes": data[:, 64:]}
    )
    if description is not None:
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("golden.json", json.dumps(description))
    return path


def tensors(absolute: int) -> dict[str, Any]:
    rule = {"judge": "elements", "absolute": {"any": absolute}}
    return {"kind": "tensors", "outputs": {"classes": rule}}


def from_npz(golden_set: Path, target: str = "linux-cpu", **options: object) -> list[object]:
    words = ["release", "create", "digits", "v2", "--target", target, "--yes", "--json"]
    words += ["--file", DIGITS / "digits-v2.tflite", "--golden", golden_set]
    words += ["--dataset=UCI digits", "--quantisation=int8"]
    return [*words, *(word for name, value in options.items() for word in (f"--{name}", value))]


@pytest.mark.slow
def test_npz_set_is_released_with_the_tolerance_that_it_proposes(
    home: Home, modelwave: Run, tmp_path: Path
) -> None:
    said = {"tolerance": tensors(1), "inputs": "random", "loading": {"delegates": ["xnnpack"]}}
    code, out, err = modelwave(*from_npz(npz(tmp_path / "set.npz", said)))
    assert code == 0, err
    made = json.loads(out)["manifest"]
    assert (made["v"], made["tolerance"]) == (2, tensors(1))
    assert made["loading"] == {"delegates": ["xnnpack"]}
    assert "inputs are random numbers" in err
    given = tmp_path / "tolerance.json"
    given.write_text(json.dumps(tensors(2)))
    again = from_npz(tmp_path / "set.npz", tolerance=given)
    made = as_json(modelwave(*("v3" if one == "v2" else one for one in again)))
    assert made["manifest"]["tolerance"] == tensors(2)


@pytest.mark.slow
def test_npz_set_without_its_tolerance_or_for_a_board_is_refused(
    home: Home, modelwave: Run, tmp_path: Path
) -> None:
    bare = npz(tmp_path / "set.npz")
    refused(modelwave(*from_npz(bare)), "does not say its tolerance: give it with --tolerance FILE")
    refused(modelwave(*from_npz(bare, steps="any=1")), "leave --steps and --least-correct out")
    refused(modelwave(*from_npz(bare, "rp2040")), "rp2040 is a board", "golden make --board")
    wrong = npz(tmp_path / "wrong.npz", {"tolerance": {"kind": "tensors", "outputs": {}}})
    refused(modelwave(*from_npz(wrong)), "wrong.npz: tolerance.outputs")
    bare.write_bytes(bare.read_bytes()[:-1])
    refused(modelwave(*from_npz(bare)), "set.npz: golden: ", "the end of the zip is missing")
    given = tmp_path / "tolerance.json"
    given.write_text("{")
    refused(modelwave(*from_npz(bare, tolerance=given)), "--tolerance: ", "is no JSON")
    assert stored(home) == []


@pytest.mark.slow
def test_set_that_cannot_fail_is_refused_unless_forced(
    home: Home, modelwave: Run, tmp_path: Path
) -> None:
    """Of both forms: `--steps any=255`, and records that are all alike."""
    wide = digits("v2", release=7)
    wide = ["--steps=any=255" if str(one).startswith("--steps=any") else one for one in wide]
    refused(modelwave(*wide), "not released: the golden set cannot fail: ", "any=255", code=1)
    alike = npz(tmp_path / "set.npz", {"tolerance": tensors(1)}, copies=5)
    refused(modelwave(*from_npz(alike)), "answers all 5 records alike passes", code=1)
    made = as_json(modelwave(*from_npz(alike, force="a first try")))
    assert made["manifest"]["forced"] == "a first try"


@pytest.mark.slow
def test_accelerator_of_a_model_reaches_its_proof(home: Home, modelwave: Run) -> None:
    done = modelwave(*digits("v2", accelerator="edgetpu>=13"))
    refused(done, "the golden set could not be run on this host", "libedgetpu", code=1)
