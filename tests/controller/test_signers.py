"""Tests keys that are in a file, in a real ssh-agent, and on a token of SoftHSM."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from key_holders import PIN, SoftToken, soft_token, ssh_agent

from modelwave_controller.errors import KeyAwayError, OperatorError
from modelwave_controller.trust import keys, pkcs8, signers, token_uri, tokens
from modelwave_controller.trust.ssh_agent import Agent
from modelwave_shared import ed25519


def never() -> bytes:
    raise AssertionError("asked for a passphrase or PIN that is not needed")


@pytest.fixture(autouse=True)
def _few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pkcs8, "PBKDF2_ROUNDS", 1000)


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with ssh_agent(tmp_path) as place:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(place))
        yield place


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SoftToken:
    return soft_token(tmp_path / "soft", monkeypatch)


def lend(place: Path, key: keys.SigningKey, comment: str = "release") -> None:
    Agent(str(place), 5).add(key.private.private_bytes_raw(), key.public, comment, 0, False)


def signs(signer: keys.Signer) -> bool:
    return bool(ed25519.verify(signer.public, b"a message", signer.sign(b"a message")))


def test_file_is_opened_with_its_passphrase_relative_to_the_base(tmp_path: Path) -> None:
    made = keys.create_key(tmp_path / "release.key", b"secret")
    opened = signers.open_signer("release.key", lambda: b"secret", tmp_path)
    assert (opened.public, opened.look(), signs(opened)) == (made.public, "", True)


def test_key_in_an_agent_signs_what_the_key_file_would(agent: Path) -> None:
    key = keys.generate()
    lend(agent, key)
    lend(agent, keys.generate(), "another")
    held = signers.open_signer(f"ssh-agent:{key.keyid}", never)
    assert (held.public, held.keyid) == (key.public, key.keyid)
    assert held.sign(b"a message") == key.sign(b"a message")


def test_agent_may_be_named_by_its_socket(agent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = keys.generate()
    lend(agent, key)
    monkeypatch.delenv("SSH_AUTH_SOCK")
    with pytest.raises(KeyAwayError, match="SSH_AUTH_SOCK is not set"):
        signers.open_signer(f"ssh-agent:{key.keyid}", never)
    assert signs(signers.open_signer(f"ssh-agent:{key.keyid}@{agent.name}", never, agent.parent))


def test_key_that_an_agent_does_not_hold_is_away_and_those_that_it_holds_are_named(
    agent: Path,
) -> None:
    key, other = keys.generate(), keys.generate()
    with pytest.raises(KeyAwayError, match=r"does not hold this key.*it holds no Ed25519 key"):
        signers.open_signer(f"ssh-agent:{key.keyid}", never)
    lend(agent, other)
    with pytest.raises(KeyAwayError, match=rf"it holds {other.keyid} \(release\)"):
        signers.open_signer(f"ssh-agent:{key.keyid}", never)
    with pytest.raises(OperatorError, match=rf"name the key.*{other.keyid}"):
        signers.open_signer("ssh-agent:", never)


def test_key_that_was_removed_from_the_agent_is_away(tmp_path: Path) -> None:
    key = keys.generate()
    with ssh_agent(tmp_path) as place:
        lend(place, key)
        held = signers.open_signer(f"ssh-agent:{key.keyid}@{place}", never)
    with pytest.raises(KeyAwayError, match="there is no agent at"):
        held.sign(b"a message")
    with ssh_agent(tmp_path) as place:
        with pytest.raises(KeyAwayError, match="refused: the key was removed"):
            held.sign(b"a message")
        lend(place, key)
        assert signs(held)


@pytest.mark.parametrize("text", ["x", "1A2B3C4D", "1a2b3c4d5", "1a2b3c4d@", "\u0661a2b3c4d"])
def test_bad_key_id_is_refused(text: str) -> None:
    with pytest.raises(OperatorError, match="8 hex digits"):
        signers.open_signer(f"ssh-agent:{text}", never)


REPLIES = {
    "nothing": b"",
    "an empty message": bytes(4),
    "too long": b"\xff\xff\xff\xff\x0c",
    "cut short": b"\x00\x00\x00\x05\x0c\x00",
    "another type": b"\x00\x00\x00\x01\x06",
    "keys that are not there": b"\x00\x00\x00\x05\x0c\x00\x00\x00\x02",
    "too many keys": b"\x00\x00\x00\x05\x0c\xff\xff\xff\xff",
    "a string beyond the end": b"\x00\x00\x00\x09\x0c\x00\x00\x00\x01\xff\xff\xff\xff",
}


@pytest.mark.parametrize("reply", REPLIES)
def test_what_is_no_agent_is_named_and_never_believed(tmp_path: Path, reply: str) -> None:
    place = tmp_path / "sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place))
        listening.listen()

        def answer() -> None:
            link, _ = listening.accept()
            with link:
                link.recv(100)
                link.sendall(REPLIES[reply])

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(KeyAwayError, match="is no ssh-agent"):
            Agent(str(place), 5).identities()
        thread.join()


def test_agent_that_does_not_answer_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    place = tmp_path / "sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place))
        listening.listen()
        with pytest.raises(KeyAwayError, match="has not answered"):
            Agent(str(place), 0.05).identities()


def test_signature_of_another_key_is_never_used() -> None:
    key, other = keys.generate(), keys.generate()
    held = signers.HeldKey("ssh-agent:x", key.public, other.sign)
    with pytest.raises(KeyAwayError, match="does not verify"):
        held.sign(b"a message")


def test_key_on_a_token_signs_with_its_pin_from_a_file_or_asked_for(token: SoftToken) -> None:
    token.make_key("release")
    with_file = signers.open_signer(token.uri("release"), never)
    asked = signers.open_signer(token.uri("release", pin_file=False), PIN.encode)
    assert with_file.public == asked.public
    assert signs(with_file)
    assert signs(asked)
    assert PIN not in repr(vars(with_file))


def test_two_keys_of_one_token_sign_in_one_command(token: SoftToken) -> None:
    for name in ("root-1", "root-2"):
        token.make_key(name)
    both = [signers.open_signer(token.uri(name), never) for name in ("root-1", "root-2")]
    assert both[0].public != both[1].public
    assert all(signs(one) for one in both)


class CountedToken:
    """A token that counts how often somebody tries to log in."""

    tries = 0

    def __init__(self, token: Any) -> None:
        self.token = token

    def __getattr__(self, name: str) -> Any:
        return getattr(self.token, name)

    def open(self, **how: Any) -> Any:
        CountedToken.tries += 1
        return self.token.open(**how)


def test_wrong_pin_is_never_given_to_a_token_twice(
    token: SoftToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    token.make_key("release")
    find = tokens._token
    monkeypatch.setattr(tokens, "_token", lambda *args: CountedToken(find(*args)))
    monkeypatch.setattr(CountedToken, "tries", 0)
    for _ in range(20):  # a token locks after far fewer
        with pytest.raises(OperatorError, match="the PIN is wrong") as caught:
            signers.open_signer(token.uri("release", pin_file=False), lambda: b"111111")
        assert "111111" not in str(caught.value)
    assert CountedToken.tries == 1
    assert signs(signers.open_signer(token.uri("release"), never))


def test_missing_token_and_key_are_told_apart(token: SoftToken) -> None:
    with pytest.raises(OperatorError, match="no key of this name"):
        signers.open_signer(token.uri("release"), never)
    token.take_out()
    with pytest.raises(KeyAwayError, match="the token fleet is not there"):
        signers.open_signer(token.uri("release"), never)
    token.put_in()
    token.make_key("release")
    assert signs(signers.open_signer(token.uri("release"), never))


def test_module_that_is_none_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pkcs11")
    with pytest.raises(OperatorError, match="cannot load the module"):
        signers.open_signer(f"pkcs11:token=a;object=b?module-path={tmp_path}/no.so", never)


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("", "name the token"),
        ("token=a", "name the key"),
        ("object=a", "name the token"),
        ("token=a;object=b;object=c", "object: give it once"),
        ("token=a;object", "object: give it once"),
        ("token=a;object=b c", "object: give it once"),
        ("token=a;object=%zz", "object: give it once"),
        ("token=a;object=%ff", "object: not UTF-8"),
        ("token=a;object=%0a", "not printable"),
        ("token=a;object=b;slot-id=1", "'slot-id' is not understood"),
        ("token=a;object=b;type=cert", "type: a key that signs"),
        ("token=a;object=b?pin-value=1234", "pin-value: other users"),
        ("token=a;object=b?module-name=x", "is not understood"),
        ("token=a;object=" + "b" * 1000, "longer than"),
    ],
)
def test_bad_uri_is_refused_by_attribute(uri: str, problem: str) -> None:
    with pytest.raises(OperatorError, match=problem) as caught:
        token_uri.read(f"pkcs11:{uri}")
    assert "1234" not in str(caught.value)


def test_uri_is_read_as_rfc_7512_says() -> None:
    text = "pkcs11:token=my%20fleet;id=%01%ff;type=private?pin-source=file:/a/pin&module-path=/m.so"
    assert token_uri.read(text) == token_uri.TokenUri(
        "my fleet", b"", "", b"\x01\xff", "/m.so", "/a/pin"
    )


def test_key_file_that_others_may_read_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "k"
    key = keys.create_key(path, None)
    assert signers.exposed(path) == ""
    for mode, word in ((0o604, "read"), (0o644, "read"), (0o620, "replace"), (0o602, "replace")):
        path.chmod(mode)
        assert f"others may {word} this private key: chmod 600 {path}" in signers.exposed(path)
    path.chmod(0o640)  # of the service's group
    assert signers.exposed(path) == ""
    (tmp_path / "k.pem").write_bytes(keys.public_pem(key.public))
    (tmp_path / "k.pem").chmod(0o644)
    assert signers.exposed(tmp_path / "k.pem") == signers.exposed(tmp_path / "no") == ""
