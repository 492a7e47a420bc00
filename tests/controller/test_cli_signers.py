"""Tests keys in an agent and on a token on the command line, and a machine that only signs."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from key_holders import PIN, soft_token, ssh_agent
from operator_home import SECRET, Run, as_json, golden_labels, make_home, refused, runner, tflite

from modelwave_controller.home import Home
from modelwave_controller.releases import golden_sets
from modelwave_controller.trust import keys, pkcs8, roots, signers

HEALTHY = {"healthy": True, "reason": "", "runtime": "fake", "version": "1"}


@pytest.fixture
def modelwave(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    program = (sys.executable, "-c", f"print({json.dumps(HEALTHY)!r})")
    monkeypatch.setattr(golden_sets, "PROVE_COMMAND", program)
    return make_home(tmp_path / "home", monkeypatch)


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with ssh_agent(tmp_path) as place:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(place))
        yield place


def release(folder: Path, key: str) -> list[object]:
    """The arguments of a `release create` that makes a bundle."""
    tflite(folder / "model.tflite")
    golden_labels(folder / "golden.bin")
    options = {
        "target": "linux-cpu",
        "file": folder / "model.tflite",
        "golden": folder / "golden.bin",
        "least-correct": "0.9",
        "ram": 2048,
        "dataset": "pictures of 2026",
        "quantisation": "int8",
        "metric": "accuracy=9/10",
        "release": 1,
        "key": key,
        "out": folder / "bundle",
    }
    given = [f"--{name}={value}" for name, value in options.items()]
    return ["release", "create", *given, "--yes", "digits", "v1"]


def machine_that_signs(home: Home, folder: Path) -> Path:
    """A folder with root.json and nothing else, as on a machine that was never the service's."""
    place = folder / "signing"
    place.mkdir()
    shutil.copy(home.path / "root.json", place / "root.json")
    return place


def test_release_is_signed_by_an_agent_where_only_the_root_is_and_added_to_the_service(
    home: Home,
    agent: Path,
    tmp_path: Path,
    modelwave: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.move(home.offline, tmp_path / "stick")
    code, out, _ = modelwave("key", "to-agent", tmp_path / "stick" / "release.key", "--for", "1h")
    key = f"ssh-agent:{home.root.roles.release.keyids[0]}"
    assert (code, key in out) == (0, True)
    monkeypatch.delenv("MODELWAVE_PASSPHRASE")  # nothing asks for it any more
    shutil.rmtree(tmp_path / "stick")
    signing = machine_that_signs(home, tmp_path)
    made = modelwave("--home", signing, *release(tmp_path, key))
    assert made[0] == 0, made
    assert {path.name for path in signing.iterdir()} == {"root.json", "signed"}
    assert modelwave("release", "add", tmp_path / "bundle")[0] == 0
    assert len(as_json(modelwave("release", "list", "--json"))) == 1


def test_release_is_signed_by_a_token_and_its_pin_is_never_shown(
    home: Home, tmp_path: Path, modelwave: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = soft_token(tmp_path / "soft", monkeypatch)
    token.make_key("release")
    with_token(home, signers.open_signer(token.uri("release"), bytes))
    monkeypatch.delenv("MODELWAVE_PASSPHRASE")
    signing = machine_that_signs(home, tmp_path)
    words = ["--home", signing, *release(tmp_path, token.uri("release", pin_file=False))]
    refused(modelwave(*words), "there is no terminal to ask for the passphrase of pkcs11:token=")
    code, out, err = modelwave(*words, "--passphrase-file", token.pin_file)
    assert code == 0, err
    assert PIN not in out + err
    assert modelwave("release", "add", tmp_path / "bundle")[0] == 0


def with_token(home: Home, release_key: keys.Signer) -> None:
    """Gives the home's fleet a first root with this release key."""
    three = [keys.load_key(home.offline / f"root-{n}.key", SECRET.encode) for n in (1, 2, 3)]
    order = keys.load_key(home.path / "order.key", bytes)
    made = roots.first_root("demo", three, release_key, order)
    (home.path / "root.json").write_bytes(made)


def test_key_that_is_away_or_not_of_the_role_is_refused_before_anything_is_made(
    home: Home, agent: Path, tmp_path: Path, modelwave: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = f"ssh-agent:{home.root.roles.release.keyids[0]}"
    refused(modelwave(*release(tmp_path, key)), "does not hold this key", code=1)
    assert modelwave("key", "to-agent", home.offline / "root-1.key")[0] == 0
    other = f"ssh-agent:{home.root.roles.root.keyids[0]}"
    refused(modelwave(*release(tmp_path, other)), "is not one of the release keys of fleet demo")
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "no"))
    refused(modelwave(*release(tmp_path, key)), "there is no agent at", code=1)
    assert not (tmp_path / "bundle").exists()


def test_key_commands_take_keys_of_an_agent_and_list_them(
    home: Home, agent: Path, modelwave: Run
) -> None:
    refused(modelwave("key", "show", "ssh-agent:"), "it holds no Ed25519 key")
    assert modelwave("key", "to-agent", home.offline / "release.key", "--socket", agent)[0] == 0
    keyid = home.root.roles.release.keyids[0]
    refused(modelwave("key", "show", "ssh-agent:"), f"{keyid} (modelwave release.key)")
    shown = as_json(modelwave("key", "show", f"ssh-agent:{keyid}", "--json"))
    assert shown["public"] == home.root.keys[keyid]
    pem = modelwave("key", "export", f"ssh-agent:{keyid}")[1]
    assert pem == modelwave("key", "export", home.offline / "release.key")[1]


def test_key_file_that_others_may_read_is_warned_of(
    tmp_path: Path, modelwave: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pkcs8, "PBKDF2_ROUNDS", 1000)
    monkeypatch.setenv("MODELWAVE_PASSPHRASE", SECRET)
    path = tmp_path / "k"
    assert modelwave("key", "create", "k", "--out", path)[0] == 0
    path.chmod(0o644)
    code, _, err = modelwave("key", "show", path)
    assert (code, "others may read this private key" in " ".join(err.split())) == (0, True)
