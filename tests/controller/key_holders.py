"""Real holders of keys for tests: an ssh-agent, and a SoftHSM with a token."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakValueDictionary

import pytest
from tests.tools import needed

from modelwave_controller.trust import tokens

PIN = "246810"
SOFTHSM_MISSING = "softhsm2 is not installed: apt install softhsm2"
PKCS11_MISSING = "needs the package python-pkcs11: pip install 'modelwave[pkcs11]'"
MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")

# In a process of its own, as the module keeps a session, and so the login, for the whole process.
_MAKE_KEY = """
import sys, pkcs11
from pkcs11.util.ec import encode_named_curve_parameters
module, token, pin, label = sys.argv[1:]
curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("1.3.101.112")}
with pkcs11.lib(module).get_token(token_label=token).open(user_pin=pin, rw=True) as session:
    made = session.create_domain_parameters(pkcs11.KeyType.EC_EDWARDS, curve, local=True)
    how = pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN
    made.generate_keypair(mechanism=how, label=label, id=label.encode(), store=True)
"""


@contextmanager
def ssh_agent(folder: Path, name: str = "agent.sock") -> Iterator[Path]:
    """Runs an ssh-agent; yields its socket."""
    program = needed("ssh-agent", "openssh-client")
    place = folder / name
    process = subprocess.Popen([program, "-D", "-a", str(place)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()  # it says where it listens when it does
        yield place
    finally:
        process.terminate()
        process.communicate()
        place.unlink(missing_ok=True)


class SoftToken:
    """A token in a folder, with the PIN in a file."""

    def __init__(self, folder: Path, label: str = "fleet") -> None:
        self.folder = folder
        self.label = label
        self.pin_file = folder / "pin.txt"
        self.pin_file.write_text(PIN + "\n")
        (folder / "tokens").mkdir()
        os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
        (folder / "softhsm2.conf").write_text(
            f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n"
            "log.level = ERROR\n"
        )
        util = needed("softhsm2-util", "softhsm2")
        pins = ["--pin", PIN, "--so-pin", "13579"]
        words = [util, "--init-token", "--free", "--label", label, *pins]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)

    def make_key(self, label: str) -> None:
        words = [sys.executable, "-c", _MAKE_KEY, str(MODULE), self.label, PIN, label]
        subprocess.run(words, check=True)

    def uri(self, label: str, pin_file: bool = True) -> str:
        source = f"&pin-source={self.pin_file}" if pin_file else ""
        return f"pkcs11:token={self.label};object={label}?module-path={MODULE}{source}"

    def take_out(self) -> None:
        (self.folder / "tokens").rename(self.folder / "elsewhere")
        (self.folder / "tokens").mkdir()

    def put_in(self) -> None:
        (self.folder / "tokens").rmdir()
        (self.folder / "elsewhere").rename(self.folder / "tokens")


def soft_token(folder: Path, monkeypatch: pytest.MonkeyPatch) -> SoftToken:
    pytest.importorskip("pkcs11", reason=PKCS11_MISSING)
    if not MODULE.exists():
        pytest.skip(SOFTHSM_MISSING)
    folder.mkdir()
    monkeypatch.setenv("SOFTHSM2_CONF", "")
    # As if no key of another test were in use.
    monkeypatch.setattr(tokens, "_logins", WeakValueDictionary())
    return SoftToken(folder)
