"""Reads the URI of a key on a PKCS #11 token (RFC 7512):

pkcs11:token=fleet;object=release?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=pin.txt

It names the token by `token` (its label) or `serial`, and the key by `object` (its label) or `id`.
The PIN is in the file `pin-source`, else somebody is asked for it; `pin-value` is refused, as a
command line can be read by every user of the machine.
"""

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from modelwave_controller.errors import OperatorError

PREFIX = "pkcs11:"
MAX_URI = 1000  # characters
DEFAULT_MODULE = "p11-kit-proxy.so"  # all modules that the system knows
_PATH, _QUERY = ("token", "serial", "object", "id", "type"), ("module-path", "pin-source")
# RFC 7512, 2.3, and the slash and colon that its query may have.
_VALUE = re.compile(r"(?:[A-Za-z0-9._~:@!$'()*+,=/?|\[\]-]|%[0-9A-Fa-f]{2})*", re.ASCII)


class TokenUri(NamedTuple):
    """`key_id` is the attribute CKA_ID, `label` CKA_LABEL."""

    token: str
    serial: bytes
    label: str
    key_id: bytes
    module: str
    pin_file: str  # "": ask


def read(text: str) -> TokenUri:
    """Raises OperatorError, which never shows a PIN."""
    if len(text) > MAX_URI or not text.isprintable():
        raise OperatorError(f"{PREFIX} longer than {MAX_URI} characters, or not printable")
    path, _, query = text.removeprefix(PREFIX).partition("?")
    found = _attributes(path, ";", _PATH) | _attributes(query, "&", _QUERY)
    if found.get("type", b"private") != b"private":
        raise OperatorError(f"{PREFIX} type: a key that signs is type=private; leave it out")
    uri = TokenUri(
        token=_text("token", found),
        serial=found.get("serial", b""),
        label=_text("object", found),
        key_id=found.get("id", b""),
        module=_text("module-path", found) or DEFAULT_MODULE,
        pin_file=_text("pin-source", found).removeprefix("file:"),
    )
    if not (uri.token or uri.serial):
        raise OperatorError(f"{PREFIX} name the token, as in {PREFIX}token=fleet;object=release")
    if not (uri.label or uri.key_id):
        raise OperatorError(f"{PREFIX} name the key, as in {PREFIX}token=fleet;object=release")
    return uri


def shown(text: str) -> str:
    """Returns the URI without what follows "?": the places of the module and of the PIN."""
    return text.partition("?")[0]


def _attributes(part: str, separator: str, known: tuple[str, ...]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for attribute in filter(None, part.split(separator)):
        name, equals, value = attribute.partition("=")
        if name == "pin-value":
            raise OperatorError(
                f"{PREFIX} pin-value: other users of the machine can read a command line: put the "
                "PIN into a file of mode 0600 and name that with pin-source=, or let it ask"
            )
        if name not in known:
            raise OperatorError(
                f"{PREFIX} {name[:40]!r} is not understood; give token, serial, object, id, and "
                "after ? module-path, pin-source"
            )
        if not equals or not value or name in found or not _VALUE.fullmatch(value):
            raise OperatorError(
                f"{PREFIX} {name}: give it once, with a value, in which other characters than "
                "A-Z a-z 0-9 . _ - are written as %20"
            )
        found[name] = unquote_to_bytes(value)
    return found


def _text(name: str, found: dict[str, bytes]) -> str:
    try:
        text = found.get(name, b"").decode()
    except UnicodeDecodeError as error:
        raise OperatorError(f"{PREFIX} {name}: not UTF-8") from error
    if not text.isprintable():
        raise OperatorError(f"{PREFIX} {name}: has a character that is not printable")
    return text
