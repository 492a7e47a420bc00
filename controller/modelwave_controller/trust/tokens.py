"""Signs with an Ed25519 key on a PKCS #11 token: an HSM, a YubiKey (PIV), SoftHSM.

A token counts wrong PINs and locks after a few, so a wrong PIN is never given to it twice by one
process, and none from a file when it says that the next wrong one locks it.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from weakref import WeakValueDictionary

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from modelwave_controller import disk
from modelwave_controller.errors import KeyAwayError, OperatorError
from modelwave_controller.trust import token_uri
from modelwave_controller.trust.keys import Ask
from modelwave_controller.trust.token_uri import TokenUri

MAX_PIN_BYTES = 255  # of the protocol's own
_refused: set[bytes] = set()  # hashes of (token's serial, PIN): PINs that were wrong


class _Login:
    """A session with a token in which its user is logged in. A process has one login to a token, so
    the keys of one token share it."""

    def __init__(self, module: str, session: Any) -> None:
        self.module = module
        self.session = session


# By (module, token's label, serial): the logins that a key still uses.
_logins: WeakValueDictionary[tuple[str, str, bytes], _Login] = WeakValueDictionary()


class TokenKey:
    """A key on a token whose user is logged in."""

    def __init__(self, uri: TokenUri, login: _Login) -> None:
        pkcs11 = _library()
        self.public = _public(uri, login.session)
        self._private = _object(uri, login.session, pkcs11.ObjectClass.PRIVATE_KEY)
        self._uri = uri
        self._login = login

    def sign(self, message: bytes) -> bytes:
        """Raises KeyAwayError."""
        pkcs11 = _library()
        with _told(self._uri):
            return bytes(self._private.sign(message, mechanism=pkcs11.Mechanism.EDDSA))


def check(text: str) -> None:
    """Raises OperatorError if a URI, or what is installed, cannot be used."""
    token_uri.read(text)
    _library()


def open_key(text: str, ask: Ask, base: Path, unattended: bool) -> TokenKey:
    """Opens the key that a URI names; `ask` returns the PIN, unless the URI names a file, whose
    path is relative to `base`. `unattended`: no person gives the PIN. Raises OperatorError, or
    KeyAwayError if the token is not there."""
    uri = token_uri.read(text)
    place = _place(uri)
    with _told(uri):
        login = _logins.get(place)
        if login is None:
            login = _Login(uri.module, _opened(uri, ask, base, unattended))
            _logins[place] = login
        return TokenKey(uri, login)


def _place(uri: TokenUri) -> tuple[str, str, bytes]:
    return (uri.module, uri.token, uri.serial)


def _opened(uri: TokenUri, ask: Ask, base: Path, unattended: bool) -> Any:
    pkcs11 = _library()
    token = _token(_module(uri), uri)
    last_try = token.flags & pkcs11.TokenFlag.USER_PIN_FINAL_TRY
    if last_try and (unattended or uri.pin_file):
        raise KeyAwayError(
            "pkcs11: the next wrong PIN locks the token, so the one in its file is not tried: log "
            "in once by hand with the right one, such as with pkcs11-tool --login"
        )
    return _logged_in(uri, token, _pin(uri, ask, base))


def _library() -> ModuleType:
    try:
        import pkcs11
    except ImportError as error:
        raise OperatorError(
            f"{token_uri.PREFIX} needs a package: pip install 'modelwave[pkcs11]'"
        ) from error
    return pkcs11


def _module(uri: TokenUri) -> Any:
    """Loads the module. It is begun anew if no key of this process uses it: many modules find a
    token that was put in later only then."""
    pkcs11 = _library()
    try:
        module = pkcs11.lib(uri.module)
    except (pkcs11.exceptions.PKCS11Error, RuntimeError, OSError) as error:
        raise OperatorError(
            f"pkcs11: cannot load the module {uri.module}: name the one of your token, such as "
            "?module-path=/usr/lib/softhsm/libsofthsm2.so"
        ) from error
    if all(one.module != uri.module for one in _logins.values()):
        module.reinitialize()
    return module


def _token(module: Any, uri: TokenUri) -> Any:
    found, labels = [], []
    for slot in module.get_slots(token_present=True):
        token = slot.get_token()
        labels.append(token.label)
        if uri.token in ("", token.label) and uri.serial in (b"", token.serial):
            found.append(token)
    name = uri.token or uri.serial.decode("ascii", "replace")
    if len(found) > 1:
        raise OperatorError(f"pkcs11: {len(found)} tokens are named {name}: give serial= too")
    if not found:
        has = ", ".join(sorted(filter(None, labels))[:10]) or "none"
        raise KeyAwayError(f"pkcs11: the token {name} is not there: put it in (there is: {has})")
    return found[0]


def _pin(uri: TokenUri, ask: Ask, base: Path) -> str:
    if not uri.pin_file:
        given = ask()
    else:
        given = disk.read_input(base / uri.pin_file, "pin-source", MAX_PIN_BYTES).rstrip(b"\r\n")
    try:
        pin = given.decode()
    except UnicodeDecodeError as error:
        raise OperatorError("pkcs11: the PIN is not UTF-8") from error
    if not pin or "\0" in pin:
        raise OperatorError("pkcs11: the PIN is empty, or has a NUL")
    return pin


def _logged_in(uri: TokenUri, token: Any, pin: str) -> Any:
    pkcs11 = _library()
    mark = hashlib.sha256(b"\0".join([token.serial, uri.token.encode(), pin.encode()])).digest()
    wrong = OperatorError(
        "pkcs11: the PIN is wrong; it is not tried a second time, as a token locks after a few: "
        + (f"correct it in {uri.pin_file}" if uri.pin_file else "run the command again")
    )
    if mark in _refused:
        raise wrong
    try:
        return token.open(user_pin=pin)
    except (pkcs11.exceptions.PinIncorrect, pkcs11.exceptions.PinLenRange) as error:
        _refused.add(mark)
        raise wrong from error
    except pkcs11.exceptions.UserAlreadyLoggedIn:  # by a key that is no longer used
        return token.open()
    except pkcs11.exceptions.PinLocked as error:
        raise OperatorError(
            "pkcs11: the token is locked after wrong PINs: unlock it with its PUK or its security "
            "officer's PIN"
        ) from error


def _object(uri: TokenUri, session: Any, kind: Any) -> Any:
    pkcs11 = _library()
    wanted: dict[Any, Any] = {pkcs11.Attribute.CLASS: kind}
    if uri.label:
        wanted[pkcs11.Attribute.LABEL] = uri.label
    if uri.key_id:
        wanted[pkcs11.Attribute.ID] = uri.key_id
    found = list(session.get_objects(wanted))
    if len(found) > 1:
        raise OperatorError(f"pkcs11: {len(found)} keys have this name: give object= and id=")
    if not found:
        raise OperatorError("pkcs11: the token has no key of this name: see pkcs11-tool --login -O")
    return found[0]


def _public(uri: TokenUri, session: Any) -> bytes:
    """Returns the raw public key: of the public key's object, else of its certificate."""
    pkcs11 = _library()
    try:
        point = _object(uri, session, pkcs11.ObjectClass.PUBLIC_KEY)[pkcs11.Attribute.EC_POINT]
    except OperatorError:
        from cryptography import x509  # slow to import, and few tokens need it

        certificate = _object(uri, session, pkcs11.ObjectClass.CERTIFICATE)
        read = x509.load_der_x509_certificate(certificate[pkcs11.Attribute.VALUE]).public_key()
        point = read.public_bytes_raw() if isinstance(read, Ed25519PublicKey) else b""
    # An OCTET STRING (PKCS #11 2.40) or the bytes themselves (3.0).
    raw = bytes(point).removeprefix(b"\x04\x20") if len(point) == 34 else bytes(point)
    if len(raw) != 32:
        raise OperatorError("pkcs11: the key is not an Ed25519 key; make one of that kind")
    return raw


@contextmanager
def _told(uri: TokenUri) -> Iterator[None]:
    pkcs11 = _library()
    try:
        yield
    except pkcs11.exceptions.MechanismInvalid as error:
        raise OperatorError("pkcs11: the token cannot sign with Ed25519 (CKM_EDDSA)") from error
    except pkcs11.exceptions.PKCS11Error as error:
        _logins.pop(_place(uri), None)  # the next try logs in anew
        raise KeyAwayError(
            f"pkcs11: the token {uri.token} does not work: {type(error).__name__}; put it in again"
        ) from error
