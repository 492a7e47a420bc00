"""`modelwave key`: keys on the command line, and who signed what."""

import json
import subprocess
from pathlib import Path

import pytest
from operator_home import SECRET, Run, as_json, make_home, refused, runner
from tests.tools import needed

from modelwave_controller.home import Home
from modelwave_controller.trust import keys
from modelwave_shared import dsse


@pytest.fixture
def modelwave(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    return make_home(tmp_path / "home", monkeypatch)


def test_key_is_created_shown_and_exported(home: Home, tmp_path: Path, modelwave: Run) -> None:
    path = tmp_path / "next.key"
    made = as_json(modelwave("key", "create", "release-2", "--out", path, "--json"))
    key = keys.load_key(path, SECRET.encode)
    assert made == {"file": str(path), "keyid": key.keyid, "public": key.public.hex()}
    assert as_json(modelwave("key", "show", path, "--json")) == made
    assert key.public.hex() in modelwave("key", "show", path)[1]
    assert modelwave("key", "export", path) == (0, keys.public_pem(key.public).decode(), "")
    assert modelwave("key", "export", path, "--hex") == (0, key.public.hex() + "\n", "")


def test_key_is_named_after_itself_where_no_file_is_given(
    home: Home, tmp_path: Path, modelwave: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert modelwave("key", "create", "spare")[0] == 0
    assert keys.load_key(tmp_path / "spare.key", SECRET.encode)
    refused(modelwave("key", "create", "spare"), "never overwritten")


@pytest.mark.parametrize("name", ["", "../x", "a/b", "x" * 64, "A", "-"])
def test_bad_key_name_is_refused(home: Home, modelwave: Run, name: str) -> None:
    refused(modelwave("key", "create", "--", name), "NAME: ", "is no name")


def test_key_create_refuses_an_empty_passphrase(
    home: Home, tmp_path: Path, modelwave: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELWAVE_PASSPHRASE", "")
    refused(modelwave("key", "create", "a", "--out", tmp_path / "a"), "passphrase: empty")
    assert not (tmp_path / "a").exists()


def test_wrong_passphrase_is_one_line(
    home: Home, modelwave: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELWAVE_PASSPHRASE", "wrong")
    refused(modelwave("key", "show", home.offline / "release.key"), "passphrase is wrong")


def test_verify_shows_who_signed_in_which_role(home: Home, modelwave: Run) -> None:
    found = as_json(modelwave("key", "verify", home.path / "root.json", "--json"))
    assert (found["kind"], found["problem"]) == ("root", "")
    assert [s["keyid"] for s in found["signatures"]] == home.root.roles.root.keyids
    assert {(*s["roles"], s["found"]) for s in found["signatures"]} == {("root", "good")}
    code, out, _ = modelwave("key", "verify", home.path / "root.json")
    assert code == 0
    assert "verified: root of fleet demo" in out


def test_verify_takes_a_line_end_and_another_root(
    home: Home, tmp_path: Path, modelwave: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "saved.json").write_bytes(home.root_envelope + b"\n")
    assert modelwave("key", "verify", tmp_path / "saved.json")[0] == 0
    other = make_home(tmp_path / "other", monkeypatch, "other")
    result = modelwave("key", "verify", tmp_path / "saved.json")
    assert (result[0], "unknown key" in result[1]) == (1, True)
    assert "0 of the 2 needed" in result[2]
    root = home.path / "root.json"
    assert modelwave("key", "verify", tmp_path / "saved.json", "--root", root)[0] == 0
    assert other.root.fleet == "other"


def test_verify_tells_a_bad_signature_from_an_unknown_key(
    home: Home, tmp_path: Path, modelwave: Run
) -> None:
    read = dsse.read(home.root_envelope)
    first, second, third = read.signatures
    swapped = [(first[0], second[1]), ("00000000", third[1]), second]
    path = tmp_path / "forged.json"
    path.write_bytes(dsse.write("root", read.payload, swapped))
    code, out, err = modelwave("key", "verify", path, "--json")
    assert [s["found"] for s in json.loads(out)["signatures"]] == ["bad", "unknown key", "good"]
    assert code == 1
    assert "1 of the 2 needed" in err


def test_verify_refuses_a_good_signature_of_the_wrong_role(
    home: Home, tmp_path: Path, modelwave: Run
) -> None:
    read = dsse.read(home.root_envelope)
    path = tmp_path / "self-made.json"
    path.write_bytes(keys.sign("root", read.payload, [home.order_key()]))
    code, out, err = modelwave("key", "verify", path)
    assert code == 1
    assert "order" in out
    assert "good" in out
    assert "0 of the 2 needed root keys" in err


@pytest.mark.parametrize("data", [b"", b"{}", b"\x1b[2J", b"[" * 4000, b"x" * 9000])
def test_verify_refuses_what_is_no_envelope(
    home: Home, tmp_path: Path, modelwave: Run, data: bytes
) -> None:
    (tmp_path / "e").write_bytes(data)
    code, out, err = modelwave("key", "verify", tmp_path / "e")
    assert code in (1, 2)
    assert out == ""
    assert err.count("\n") == 1
    assert "\x1b" not in err


def test_openssl_checks_what_verify_dumps(home: Home, tmp_path: Path, modelwave: Run) -> None:
    needed("openssl")
    dump = tmp_path / "dump"
    assert modelwave("key", "verify", home.path / "root.json", "--dump", dump)[0] == 0
    for keyid in home.root.roles.root.keyids:
        command = (
            f"openssl pkeyutl -verify -pubin -inkey {keyid}.pem -rawin -in signed "
            f"-sigfile {keyid}.sig"
        )
        subprocess.run(command.split(), cwd=dump, check=True, capture_output=True)
    refused(modelwave("key", "verify", home.path / "root.json", "--dump", dump), "--dump")


def test_help_of_verify_has_the_openssl_command(modelwave: Run) -> None:
    code, out, _ = modelwave("key", "verify", "--help")
    assert code == 0
    assert "openssl pkeyutl -verify -pubin" in out
