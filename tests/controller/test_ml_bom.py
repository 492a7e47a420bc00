"""`release sbom`: a bill of materials by the published schema of CycloneDX 1.6, which says what the
signed manifest says."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from operator_home import Run, as_json, golden_labels, make_home, refused, runner, tflite

from modelwave_controller.home import Home
from modelwave_controller.releases import golden_sets, ml_bom
from modelwave_controller.releases.bundles import Signed
from modelwave_controller.trust import keys
from modelwave_controller.trust.documents import Manifest, view
from modelwave_controller.trust.keys import SigningKey
from modelwave_shared import digests, documents, dsse, words

NOW = 1_800_000_000.5
HEALTHY = {"healthy": True, "reason": "", "runtime": "fake", "version": "1"}


def problems(made: object) -> str:
    # Seconds to import: whoever runs other tests of this folder would wait for it too.
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(made))
    return str(found or "")


def test_the_validator_finds_a_word_that_is_not_of_the_schema() -> None:
    assert problems({"bomFormat": "CycloneDX", "specVersion": "1.6", "bill": 1})


@pytest.fixture
def modelwave(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    code = f"print({json.dumps(HEALTHY)!r})"
    monkeypatch.setattr(golden_sets, "PROVE_COMMAND", (sys.executable, "-c", code))
    return runner(capsys)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    return make_home(tmp_path / "home", monkeypatch)


def created(modelwave: Run, tmp_path: Path, target: str = "linux-cpu") -> dict[str, Any]:
    tflite(tmp_path / "model.tflite")
    golden_labels(tmp_path / "golden.bin")
    (tmp_path / "labels.txt").write_text("zero\none\ntwo\n")
    made = modelwave(
        *("release", "create", "digits", "v1", "--target", target, "--yes", "--json"),
        *("--file", tmp_path / "model.tflite", "--golden", tmp_path / "golden.bin"),
        *("--least-correct", "0.9", "--ram", 2048, "--dataset", "pictures of 2026, ½ of them"),
        *("--metric", "accuracy=0.968", "--n", 360, "--metric", "epochs=12"),
        *("--labels", tmp_path / "labels.txt", "--quantisation", "int8"),
    )
    manifest: dict[str, Any] = as_json(made)["manifest"]
    return manifest


def properties(of: dict[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in of["properties"]:
        found.setdefault(one["name"].removeprefix("modelwave:"), []).append(one["value"])
    return found


def test_bill_of_a_release_is_valid_and_says_what_its_manifest_says(
    home: Home, modelwave: Run, tmp_path: Path
) -> None:
    manifest = created(modelwave, tmp_path)
    made = as_json(modelwave("release", "sbom", "digits", "v1"))
    assert problems(made) == ""
    model = made["metadata"]["component"]
    assert (model["name"], model["version"], model["group"]) == ("digits", "v1", "demo")
    card = model["modelCard"]
    accuracy, epochs = card["quantitativeAnalysis"]["performanceMetrics"]
    assert accuracy["type"] == "accuracy"
    assert accuracy["value"] == "0.968000"
    assert accuracy["slice"] == "360 held-out examples"
    assert 0.94 < float(accuracy["confidenceInterval"]["lowerBound"]) < 0.968
    assert epochs == {"type": "epochs", "value": "12"}
    parts = {part["bom-ref"]: part for part in made["components"]}
    hashes = {ref: part["hashes"][0]["content"] for ref, part in parts.items() if "hashes" in part}
    hashes["model"] = model["hashes"][0]["content"]
    assert hashes == {file["role"]: file["sha256"] for file in manifest["files"]}
    assert parts["dataset"]["name"] == manifest["lineage"]["dataset"]
    said = properties(model)
    assert said["needs:ram"] == [str(manifest["needs"]["ram"])]
    assert said["needs:flash"] == [str(manifest["needs"]["flash"])]
    assert said["manifest:keyid"] == home.root_document["roles"]["release"]["keyids"]
    stored = (home.releases / "digits/1/linux-cpu.json").read_bytes()
    assert said["manifest:sha256"] == [dsse.read(stored).digest()]
    assert made["dependencies"][0]["dependsOn"] == list(parts)
    for part in parts.values():
        for place in part.get("externalReferences", ()):
            assert (home.path / place["url"]).is_file()


def test_bill_goes_into_a_file_and_has_the_same_serial_number_each_time(
    home: Home, modelwave: Run, tmp_path: Path
) -> None:
    created(modelwave, tmp_path)
    file = tmp_path / "bom.json"
    assert modelwave("release", "sbom", "digits", "1", "--out", file)[0] == 0
    refused(modelwave("release", "sbom", "digits", "1", "--out", file), "--out", "exists")
    printed = as_json(modelwave("release", "sbom", "digits", "1"))
    assert json.loads(file.read_text())["serialNumber"] == printed["serialNumber"]


def test_of_several_targets_one_is_to_be_named(home: Home, modelwave: Run, tmp_path: Path) -> None:
    created(modelwave, tmp_path)
    created(modelwave, tmp_path, "raspberry-pi-4")
    refused(modelwave("release", "sbom", "digits", "1"), "--target", "linux-cpu, raspberry-pi-4")
    made = as_json(modelwave("release", "sbom", "digits", "1", "--target", "raspberry-pi-4"))
    assert properties(made["metadata"]["component"])["target"] == ["raspberry-pi-4"]
    refused(modelwave("release", "sbom", "digits", "1", "--target", "esp32"), "--target")


def stored(key: SigningKey, *more: SigningKey, **changes: object) -> Signed:
    document: dict[str, Any] = {
        "fleet": "demo",
        "model": "detector",
        "release": 7,
        "version": "7.0 “beta”",
        "target": "jetson-orin-nano",
        "format": "onnx",
        "files": [
            {"role": "model", "sha256": "ab" * 32, "size": 1000},
            {"role": "golden", "sha256": "cd" * 32, "size": 500},
        ],
        "needs": {
            "flash": 1500,
            "ram": 8000,
            "kernels": ["Conv", "Gemm"],
            "runtime": "onnx>=1.17",
            "accelerator": "jetson/15W",
        },
        "tolerance": {"kind": "tensors", "outputs": {"y": {"judge": "labels", "least_ppm": 1}}},
        "lineage": {"dataset": "", "metrics": {}, "quantisation": ""},
        "forced": "it is “urgent”: ½ of all",
        "deltas": [],
        "v": 2,
        "extra": {
            "latency_limit_us": 1500,
            "model_signature": {"sha256": "ef" * 32, "size": 900, "signer": "key 12"},
        },
    } | changes
    documents.check(words.MANIFEST, document)
    payload = keys.canonical(document)
    envelope = keys.sign(words.MANIFEST, payload, [key, *more])
    return Signed(document, view(Manifest, document), envelope, digests.hexdigest(payload))


@pytest.fixture
def key() -> SigningKey:
    return keys.generate()


def root_of(*release_keys: SigningKey) -> dict[str, Any]:
    return {
        "keys": {one.keyid: one.public.hex() for one in release_keys},
        "roles": {"release": {"keyids": [one.keyid for one in release_keys], "threshold": 1}},
    }


def test_everything_that_a_manifest_may_have_gives_a_valid_bill(key: SigningKey) -> None:
    made = ml_bom.bill(stored(key), root_of(key), "0.1.0+g1234567", NOW)
    assert problems(made) == ""
    assert made["metadata"]["timestamp"] == "2027-01-15T08:00:00Z"
    said = properties(made["metadata"]["component"])
    assert said["forced"] == ["it is “urgent”: ½ of all"]
    assert said["latency-limit-ms"] == ["1.5"]
    assert said["needs:kernel"] == ["Conv", "Gemm"]
    signature = next(one for one in made["components"] if one["bom-ref"] == "model-signature")
    assert signature["hashes"][0]["content"] == "ef" * 32
    assert properties(signature)["signer"] == ["key 12"]


def test_only_keys_whose_signature_is_good_and_that_the_root_names_are_in_a_bill(
    key: SigningKey,
) -> None:
    second, stranger = keys.generate(), keys.generate()
    release = stored(key, second, stranger)
    read = dsse.read(release.envelope)
    swapped = [(keyid, read.signatures[0][1]) for keyid, _ in read.signatures]
    assert ml_bom.signers(release, root_of(key, second)) == sorted([key.keyid, second.keyid])
    forged = Signed(
        release.document,
        release.manifest,
        dsse.write(read.kind, read.payload, swapped),
        release.digest,
    )
    assert ml_bom.signers(forged, root_of(key, second)) == [key.keyid]
