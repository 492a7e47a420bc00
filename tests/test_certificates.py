"""Tests that Python 3.13 accepts the certificates of the tests, and those made as the docs say."""

import re
import ssl
import subprocess
from pathlib import Path

import pytest

from tests.certificates import SERVER, Authority, shake_hands, strict_context
from tests.tools import needed

PAGE = Path(__file__).resolve().parents[1] / "docs" / "operations.md"
SECONDS = 60


def test_python_3_13_takes_the_authority_of_the_tests(tmp_path: Path) -> None:
    made = Authority(tmp_path)
    shake_hands(strict_context(made.ca_file), made.server_context(), SERVER)


def test_python_3_13_takes_the_authority_that_the_docs_tell_to_make(tmp_path: Path) -> None:
    _follow(tmp_path, _commands())
    strict = strict_context(str(tmp_path / "ca.pem"))
    shake_hands(strict, _server(tmp_path), "broker.example")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(strict, _server(tmp_path), "other.example")
    in_der = ssl.create_default_context(cadata=(tmp_path / "ca.der").read_bytes())  # a board's
    shake_hands(in_der, _server(tmp_path), "broker.example")


@pytest.mark.parametrize(
    ("told", "instead"),
    [
        ("authorityKeyIdentifier = keyid", "authorityKeyIdentifier = none"),
        ("-addext keyUsage=critical,keyCertSign,cRLSign ", ""),
    ],
)
def test_python_3_13_refuses_it_without_what_the_docs_say(
    tmp_path: Path, told: str, instead: str
) -> None:
    commands = _commands()
    assert told in commands
    _follow(tmp_path, commands.replace(told, instead))
    with pytest.raises(ssl.SSLCertVerificationError, match=r"(?i)key (identifier|usage)"):
        shake_hands(strict_context(str(tmp_path / "ca.pem")), _server(tmp_path), "broker.example")


def _commands() -> str:
    """Returns the block of commands in the page's section about TLS."""
    part = PAGE.read_text("utf-8").split("### TLS\n")[1]
    block = re.search(r"^    .*\n(?:^    .*\n|^\n)*", part, re.MULTILINE)
    assert block is not None
    return re.sub("^    ", "", block[0], flags=re.MULTILINE)


def _follow(folder: Path, commands: str) -> None:
    needed("openssl")
    done = subprocess.run(
        ["sh", "-ec", commands], cwd=folder, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr


def _server(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "broker.pem", folder / "broker.key")
    return context
