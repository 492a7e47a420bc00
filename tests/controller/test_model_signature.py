"""`release create --model-signature`: a model's own signature by OpenSSF Model Signing, verified
over the file that is released, and bound by the manifest."""

import base64
import json
import sys
from pathlib import Path

import pytest
from model_signers import CertifiedMaker, KeyMaker
from operator_home import Run, as_json, golden_labels, make_home, refused, runner, tflite

from modelwave_controller.home import Home
from modelwave_controller.releases import golden_sets, model_verifying
from modelwave_controller.releases.model_verifying import take
from modelwave_shared import digests

pytestmark = pytest.mark.slow  # the package's import takes more than a second

HEALTHY = {"healthy": True, "reason": "", "runtime": "fake", "version": "1"}


@pytest.fixture
def modelwave(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    code = f"print({json.dumps(HEALTHY)!r})"
    monkeypatch.setattr(golden_sets, "PROVE_COMMAND", (sys.executable, "-c", code))
    return runner(capsys)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    return make_home(tmp_path / "home", monkeypatch)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "made"
    folder.mkdir()
    tflite(folder / "model.tflite")
    golden_labels(tmp_path / "golden.bin")
    return folder / "model.tflite"


def create(tmp_path: Path, model: Path, *more: object) -> list[object]:
    return [
        *("release", "create", "digits", "v1", "--target", "linux-cpu", "--yes", "--json"),
        *("--file", model, "--golden", tmp_path / "golden.bin", "--least-correct", "0.9"),
        *("--ram", 2048, "--dataset", "pictures", "--quantisation", "int8", *more),
    ]


def signed_by(signature: Path, signer: Path) -> tuple[object, ...]:
    return "--model-signature", signature, "--model-signer", signer


def nothing_was_released(home: Home) -> bool:
    return not any(home.files.iterdir()) and not any(home.releases.rglob("*.json"))


def test_signature_of_the_file_is_bound_shown_and_kept(
    tmp_path: Path, home: Home, modelwave: Run, model: Path
) -> None:
    maker = KeyMaker(tmp_path)
    signature = maker.sign(model, tmp_path / "model.sig")
    made = as_json(modelwave(*create(tmp_path, model, *signed_by(signature, maker.public))))
    bound = made["manifest"]["extra"]["model_signature"]
    data = signature.read_bytes()
    assert bound["sha256"] == digests.hexdigest(data)
    assert bound["size"] == len(data)
    assert (home.files / bound["sha256"]).read_bytes() == data
    code, out, _ = modelwave("release", "show", "digits", "1")
    assert code == 0
    assert bound["signer"] in out
    assert bound["sha256"] in out


def test_signature_goes_with_a_bundle_and_a_changed_one_is_refused(
    tmp_path: Path, home: Home, modelwave: Run, model: Path
) -> None:
    maker = KeyMaker(tmp_path)
    signature = maker.sign(model, tmp_path / "model.sig")
    bundle = tmp_path / "bundle"
    more = (*signed_by(signature, maker.public), "--out", bundle, "--release", 1)
    bound = as_json(modelwave(*create(tmp_path, model, *more)))["manifest"]["extra"]
    carried = bundle / bound["model_signature"]["sha256"]
    whole = carried.read_bytes()
    carried.write_bytes(whole[:-1] + b" ")
    refused(modelwave("release", "add", bundle), "is not what was signed", code=1)
    assert not list(home.releases.rglob("*.json"))
    carried.write_bytes(whole)
    assert modelwave("release", "add", bundle)[0] == 0
    assert (home.files / carried.name).read_bytes() == whole


def test_signature_of_the_folder_around_the_file_is_verified_with_all_its_files(
    tmp_path: Path, home: Home, modelwave: Run, model: Path
) -> None:
    (model.parent / "README.md").write_text("a model")
    maker = KeyMaker(tmp_path)
    signature = maker.sign(model.parent, tmp_path / "model.sig")
    given = create(tmp_path, model, *signed_by(signature, maker.public))
    (model.parent / "README.md").write_text("another")
    refused(modelwave(*given), "--model-signature", "README.md", code=1)
    assert nothing_was_released(home)
    (model.parent / "README.md").write_text("a model")
    (model.parent / "beside").write_text("not signed, and not released")
    assert "model_signature" in as_json(modelwave(*given))["manifest"]["extra"]


def test_certificate_is_verified_against_the_authority_that_was_given(
    tmp_path: Path, home: Home, modelwave: Run, model: Path
) -> None:
    maker = CertifiedMaker(tmp_path)
    signature = maker.sign(model, tmp_path / "model.sig")
    other = CertifiedMaker(tmp_path, "other")
    given = create(tmp_path, model, *signed_by(signature, other.authority))
    refused(modelwave(*given), "--model-signature", "not valid", code=1)
    assert nothing_was_released(home)
    made = as_json(modelwave(*create(tmp_path, model, *signed_by(signature, maker.authority))))
    assert made["manifest"]["extra"]["model_signature"]["signer"].endswith(", CN=maker of models")


@pytest.mark.parametrize("what", ["model", "signer", "signature"])
def test_wrong_signature_is_refused_and_nothing_is_released(
    tmp_path: Path, home: Home, modelwave: Run, model: Path, what: str
) -> None:
    maker, other = KeyMaker(tmp_path), KeyMaker(tmp_path, "other")
    signature = maker.sign(model, tmp_path / "model.sig")
    signer, words = maker.public, "not signed by that key"
    if what == "model":
        model.write_bytes(model.read_bytes() + b"\0")
        words = "not of this model"
    elif what == "signer":
        signer, words = other.public, "Key mismatch"
    else:
        said = json.loads(signature.read_text())
        wrong = bytearray(base64.b64decode(said["dsseEnvelope"]["signatures"][0]["sig"]))
        wrong[-1] ^= 1
        said["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(wrong).decode()
        signature.write_text(json.dumps(said))
    given = create(tmp_path, model, *signed_by(signature, signer))
    refused(modelwave(*given), "--model-signature", words, code=1)
    assert nothing_was_released(home)


def test_digest_that_was_written_into_the_signed_text_is_noticed(
    tmp_path: Path, home: Home, modelwave: Run, model: Path
) -> None:
    """Who exchanges the model may write its digest into the signature, but not sign it."""
    maker = KeyMaker(tmp_path)
    signature = maker.sign(model, tmp_path / "model.sig")
    old = digests.hexdigest(model.read_bytes())
    model.write_bytes(model.read_bytes() + b"\0")
    said = json.loads(signature.read_text())
    text = base64.b64decode(said["dsseEnvelope"]["payload"]).decode()
    text = text.replace(old, digests.hexdigest(model.read_bytes()))
    said["dsseEnvelope"]["payload"] = base64.b64encode(text.encode()).decode()
    signature.write_text(json.dumps(said))
    given = create(tmp_path, model, *signed_by(signature, maker.public))
    refused(modelwave(*given), "--model-signature", code=1)
    assert nothing_was_released(home)


def test_option_without_the_other_says_what_to_give(
    tmp_path: Path, home: Home, modelwave: Run, model: Path
) -> None:
    maker = KeyMaker(tmp_path)
    signature = maker.sign(model, tmp_path / "model.sig")
    refused(modelwave(*create(tmp_path, model, "--model-signature", signature)), "--model-signer")
    refused(
        modelwave(*create(tmp_path, model, "--model-signer", maker.public)), "--model-signature"
    )


def test_without_the_package_it_says_which_extra_to_install(
    tmp_path: Path, home: Home, modelwave: Run, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = KeyMaker(tmp_path)
    signature = maker.sign(model, tmp_path / "model.sig")
    monkeypatch.setitem(sys.modules, "model_signing.verifying", None)
    given = create(tmp_path, model, *signed_by(signature, maker.public))
    refused(modelwave(*given), "pip install 'modelwave[interop]'")
    assert nothing_was_released(home)


GARBAGE = {
    "no JSON": b"{",
    "deep": b"[" * 100_000,
    "a list": b"[]",
    "no payload": b'{"verificationMaterial": {}, "dsseEnvelope": {"payload": "e30="}}',
    "resources that are none": b'{"verificationMaterial": {}, "dsseEnvelope": {"payload": "'
    + base64.b64encode(b'{"predicate": {"resources": [1]}}')
    + b'"}}',
}


@pytest.mark.parametrize("what", GARBAGE)
def test_file_that_is_no_signature_is_refused_in_one_line(
    tmp_path: Path, home: Home, modelwave: Run, model: Path, what: str
) -> None:
    maker = KeyMaker(tmp_path)
    signature = tmp_path / "model.sig"
    signature.write_bytes(GARBAGE[what])
    given = create(tmp_path, model, *signed_by(signature, maker.public))
    refused(modelwave(*given), "is no signature of OpenSSF Model Signing")


def test_keyless_signature_says_that_it_takes_a_network(
    tmp_path: Path, home: Home, modelwave: Run, model: Path
) -> None:
    maker = KeyMaker(tmp_path)
    signature = maker.sign(model, tmp_path / "model.sig")
    said = json.loads(signature.read_text())
    said["verificationMaterial"] = {"certificate": {"rawBytes": "AAAA"}, "tlogEntries": []}
    signature.write_text(json.dumps(said))
    given = create(tmp_path, model, *signed_by(signature, maker.public))
    refused(modelwave(*given), "takes a network", "model_signing verify sigstore")


def test_signer_of_the_other_kind_is_refused(
    tmp_path: Path, home: Home, modelwave: Run, model: Path
) -> None:
    maker = CertifiedMaker(tmp_path)
    signature = maker.sign(model, tmp_path / "model.sig")
    given = create(tmp_path, model, *signed_by(signature, maker.public))
    refused(modelwave(*given), "--model-signer", "is not certificates in PEM")


def test_no_flipped_byte_of_a_signature_is_taken_for_another_model(
    tmp_path: Path, model: Path
) -> None:
    """Flipped bytes are refused, or change nothing that is signed."""
    maker = KeyMaker(tmp_path)
    whole = maker.sign(model, tmp_path / "model.sig").read_bytes()
    sha256 = digests.hexdigest(model.read_bytes())
    folder = tmp_path / "taken"
    folder.mkdir()
    (folder / sha256).write_bytes(model.read_bytes())
    files = [{"role": "model", "sha256": sha256}]
    taken = 0
    for place in range(0, len(whole), 37):
        wrong = tmp_path / "wrong.sig"
        wrong.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            found = take(wrong, maker.public, model, files, folder)
        except (model_verifying.OperatorError, model_verifying.TrustError):
            continue
        taken += 1
        assert found is not None
        assert found.sha256 == digests.hexdigest(wrong.read_bytes())
    assert taken < len(whole) // 37 // 4
