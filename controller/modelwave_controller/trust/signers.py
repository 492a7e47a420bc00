"""Opens the keys that commands and settings name, wherever they are. A key is named by a text:

    FILE                    a key file (keys.py)
    ssh-agent:KEYID         a key that ssh-agent holds; @SOCKET names another agent than that of
                            $SSH_AUTH_SOCK
    pkcs11:token=…;object=… a key of a token (an HSM, a YubiKey, SoftHSM), by its URI (RFC 7512)

Agents and tokens never give the private key away: they sign. What they sign is verified before it
is used, because a broken token, or another program in the place of the agent, would sign wrongly.
"""

import stat
from collections.abc import Callable
from pathlib import Path

from modelwave_controller import disk
from modelwave_controller.errors import KeyAwayError
from modelwave_controller.trust import keys, ssh_agent, token_uri, tokens
from modelwave_controller.trust.keys import MAX_KEY_FILE_BYTES, Ask, Signer
from modelwave_shared import dsse, ed25519

WAIT_SECONDS = 120  # for a person who is asked to confirm a signature, or to touch the token
SOON_SECONDS = 2  # where nobody is asked


class HeldKey:
    """A key that an agent or a token holds under `name`; `ask_for` has it sign a message."""

    def __init__(self, name: str, public: bytes, ask_for: Callable[[bytes], bytes]) -> None:
        self.name = name
        self.public = public
        self._ask_for = ask_for

    @property
    def keyid(self) -> str:
        return str(dsse.keyid(self.public))

    def look(self) -> str:
        return ""

    def sign(self, message: bytes) -> bytes:
        signature = self._ask_for(message)
        if not ed25519.verify(self.public, message, signature):
            raise KeyAwayError(
                f"{self.name}: what it signed does not verify with its public key: it is broken, "
                "or another program is in its place; nothing was signed"
            )
        return signature


def is_file(text: str) -> bool:
    """Returns whether the text names a key file."""
    return not text.startswith((ssh_agent.PREFIX, token_uri.PREFIX))


def shown(text: str) -> str:
    """Returns the text as it may be shown: without the places of a token's module and PIN."""
    return text if is_file(text) else token_uri.shown(text)


def open_signer(text: str, ask: Ask, base: Path | None = None, unattended: bool = False) -> Signer:
    """Opens a key. `ask` returns the passphrase of an encrypted file, or the PIN of a token; paths
    are relative to the folder `base`. `unattended`: nobody is there to confirm a signature. Raises
    OperatorError if the text or what it names is wrong, KeyAwayError if the agent or the token is
    not there."""
    base = base or Path()
    if text.startswith(ssh_agent.PREFIX):
        agent, keyid = ssh_agent.named(text, base, SOON_SECONDS if unattended else WAIT_SECONDS)
        public = agent.find(keyid)
        return HeldKey(text, public, lambda message: agent.sign(public, message))
    if text.startswith(token_uri.PREFIX):
        token = tokens.open_key(text, ask, base, unattended)
        return HeldKey(shown(text), token.public, token.sign)
    return keys.load_key(base / text, ask)


def open_public(text: str, ask: Ask, base: Path | None = None) -> bytes:
    """Returns the raw public key of a key, or of a file with a public key. Raises as
    `open_signer`."""
    if is_file(text):
        return keys.load_public((base or Path()) / text, ask)
    return open_signer(text, ask, base).public


def exposed(path: Path) -> str:
    """Returns how others may get at a private key's file, and what to do; "" if they cannot, or if
    it holds none."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return ""
    others = mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP)
    if not others or not keys.is_private(disk.read_input(path, "key", MAX_KEY_FILE_BYTES)):
        return ""
    can = "read" if mode & stat.S_IROTH else "replace"
    return f"{path}: others may {can} this private key: chmod 600 {path}"
