"""Tests key files and signatures with tools of others."""

import json
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from operator_home import make_home
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey
from tests.tools import needed

from modelwave_controller.errors import OperatorError
from modelwave_controller.trust import keys, pkcs8
from modelwave_shared import documents, dsse

ORDER = {
    "fleet": "demo",
    "target": "linux-cpu",
    "model": "digits",
    "epoch": 0,
    "seq": 1,
    "slots": [[0, 999]],
    "manifest": "ab" * 32,
    "urls": ["http://127.0.0.1/files"],
    "issued": 1,
    "expires": 2,
    "trial": {"seconds": 1, "inferences": 1},
    "shadow": False,
}


def never() -> bytes:
    raise AssertionError("asked for a passphrase that is not needed")


@pytest.fixture(autouse=True)
def _few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pkcs8, "PBKDF2_ROUNDS", 1000)


def test_key_comes_back_from_its_file_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "release.key"
    made = keys.create_key(path, b"secret")
    assert keys.load_key(path, lambda: b"secret").public == made.public
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"ENCRYPTED" in path.read_bytes()


def test_wrong_passphrase_is_refused(tmp_path: Path) -> None:
    keys.create_key(tmp_path / "k", b"secret")
    with pytest.raises(OperatorError, match="passphrase is wrong"):
        keys.load_key(tmp_path / "k", lambda: b"Secret")


def test_empty_passphrase_is_refused_and_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="passphrase: empty"):
        keys.create_key(tmp_path / "k", b"")
    assert not (tmp_path / "k").exists()


def test_key_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "k"
    keys.create_key(path, b"secret")
    before = path.read_bytes()
    with pytest.raises(OperatorError, match="never overwritten"):
        keys.create_key(path, b"secret")
    assert path.read_bytes() == before


def test_open_key_asks_for_no_passphrase(tmp_path: Path) -> None:
    made = keys.create_key(tmp_path / "order.key", None)
    assert keys.load_key(tmp_path / "order.key", never).keyid == made.keyid


def test_passphrase_is_stretched_as_often_as_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    keys.create_key(tmp_path / "k", b"secret")
    command = [needed("openssl"), "asn1parse", "-in", tmp_path / "k"]
    shown = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert f"INTEGER           :{600_000:06X}" in shown
    assert "hmacWithSHA256" in shown
    assert "aes-256-cbc" in shown


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is empty"),
        (b"x" * 16384, "not a private key"),
        (b"x" * 16385, "longer than"),
        (b"hello", "not a private key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "not a private key"),
        (b"\xff\xfe\x00", "not a private key"),
    ],
)
def test_file_that_is_no_key_is_refused(tmp_path: Path, data: bytes, problem: str) -> None:
    (tmp_path / "k").write_bytes(data)
    with pytest.raises(OperatorError, match=problem):
        keys.load_key(tmp_path / "k", never)


def test_missing_file_directory_and_impossible_name_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "no", tmp_path, tmp_path / "a\0b", tmp_path / ("x" * 5000)):
        with pytest.raises(OperatorError, match="cannot read"):
            keys.load_key(path, never)


def test_key_of_another_algorithm_is_refused(tmp_path: Path) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    encoding, pkcs = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    data = other.private_bytes(encoding, pkcs, serialization.NoEncryption())
    (tmp_path / "k").write_bytes(data)
    with pytest.raises(OperatorError, match="not an Ed25519 key"):
        keys.load_key(tmp_path / "k", never)


def test_file_that_is_no_public_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    with pytest.raises(OperatorError, match="not a public key in PEM"):
        keys.load_public(tmp_path / "k", never)
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    (tmp_path / "k").write_bytes(other.public_bytes(serialization.Encoding.PEM, spki))
    with pytest.raises(OperatorError, match="not an Ed25519 key"):
        keys.load_public(tmp_path / "k", never)


def test_public_key_is_read_from_its_own_file_without_a_passphrase(tmp_path: Path) -> None:
    key = keys.create_key(tmp_path / "k", b"secret")
    (tmp_path / "k.pem").write_bytes(keys.public_pem(key.public))
    assert keys.load_public(tmp_path / "k.pem", never) == key.public
    assert keys.load_public(tmp_path / "k", lambda: b"secret") == key.public


def test_canonical_payload_has_one_spelling_in_ascii() -> None:
    assert keys.canonical({"b": [1, 2], "a": "é"}) == b'{"a":"\\u00e9","b":[1,2]}'


def test_nothing_is_signed_that_a_device_would_refuse() -> None:
    key = keys.generate()
    for change in ({"seq": 0}, {"shadow": 0}, {"more": 1}, {"device": "a"}):
        with pytest.raises(OperatorError, match=r"order\."):
            keys.sign("order", keys.canonical(ORDER | change), [key])
    long = ORDER | {"urls": ["http://h/" + "p" * 190] * 4, "slots": [[0, 1]] * 16}
    assert documents.read("order", keys.canonical(long))
    assert len(keys.sign("order", keys.canonical(long), [key])) <= 4096
    with pytest.raises(OperatorError, match="at most 4096 are allowed; give it fewer or shorter"):
        keys.sign("order", keys.canonical(long) + b" " * 3000, [key])


def test_order_verifies_with_securesystemslib() -> None:
    key, other = keys.generate(), keys.generate()
    envelope = keys.sign("order", keys.canonical(ORDER), [key])
    theirs = SSlibKey(key.keyid, "ed25519", "ed25519", {"public": key.public.hex()})
    read = Envelope.from_dict(json.loads(envelope))
    assert read.verify([theirs], 1) == {key.keyid: theirs}
    assert read.payload_type == "application/vnd.modelwave.order+json"
    assert json.loads(read.payload) == ORDER
    stranger = SSlibKey(key.keyid, "ed25519", "ed25519", {"public": other.public.hex()})
    with pytest.raises(Exception, match="Accepted signatures do not match threshold"):
        Envelope.from_dict(json.loads(envelope)).verify([stranger], 1)


def test_openssl_reads_the_key_file_and_verifies_the_order(tmp_path: Path) -> None:
    key = keys.create_key(tmp_path / "k", b"secret")
    read = dsse.read(keys.sign("order", keys.canonical(ORDER), [key]))
    (tmp_path / "signed").write_bytes(dsse.signed_bytes(read.kind, read.payload))
    (tmp_path / "sig").write_bytes(read.signatures[0][1])
    public = [
        needed("openssl"),
        "pkey",
        "-in",
        "k",
        "-passin",
        "pass:secret",
        "-pubout",
        "-out",
        "k.pem",
    ]
    subprocess.run(public, cwd=tmp_path, check=True)
    assert (tmp_path / "k.pem").read_bytes() == keys.public_pem(key.public)
    assert _openssl_verifies(tmp_path)
    (tmp_path / "signed").write_bytes((tmp_path / "signed").read_bytes() + b" ")
    assert not _openssl_verifies(tmp_path)


def _openssl_verifies(folder: Path) -> bool:
    command = "openssl pkeyutl -verify -pubin -inkey k.pem -rawin -in signed -sigfile sig"
    done = subprocess.run(command.split(), cwd=folder, capture_output=True, check=False)
    return done.returncode == 0


def test_order_key_opens_with_the_service_passphrase_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELWAVE_ORDER_PASSPHRASE", "service")
    home = make_home(tmp_path / "home", monkeypatch)
    assert home.order_key().keyid in home.root.roles.order.keyids
    monkeypatch.setenv("MODELWAVE_ORDER_PASSPHRASE", "other")
    with pytest.raises(OperatorError, match="passphrase is wrong"):
        home.order_key()
    monkeypatch.delenv("MODELWAVE_ORDER_PASSPHRASE")
    with pytest.raises(OperatorError, match=r"set it in MODELWAVE_ORDER_PASSPHRASE"):
        home.order_key()
