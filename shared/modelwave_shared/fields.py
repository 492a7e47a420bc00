"""The rules (rules.py) for texts, names and other values in documents."""

from modelwave_shared.errors import DocumentError
from modelwave_shared.limits import (
    MAX_EXTRA_CHARACTERS,
    MAX_EXTRA_ENTRIES,
    MAX_EXTRA_NESTING,
    MAX_NAME,
    MAX_SEQ,
    MAX_TEXT,
    MAX_URL_CHARACTERS,
)
from modelwave_shared.rules import PRINTABLE, Integer, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Document = dict[str, Any]  # a parsed document, or an object in one

HEX = "0123456789abcdef"
LOWER = "abcdefghijklmnopqrstuvwxyz0123456789"
TOKEN_LETTERS = LOWER + "ABCDEFGHIJKLMNOPQRSTUVWXYZ_.-+/=>"
URL_LETTERS = TOKEN_LETTERS.replace(">", "!$%&'()*,:;@[]~")
NUMBER_CHARACTERS = 16  # of the longest integer in a document

integer = Integer(-MAX_SEQ, MAX_SEQ)


def boolean(value: "Any", where: str) -> None:
    if type(value) is not bool:
        raise DocumentError(where, "%s is neither true nor false" % shown(value))


def name(value: "Any", where: str) -> None:
    """The name of a fleet, model, target or device."""
    if not _is_spelt(value, 1, MAX_NAME, LOWER + "-_") or value[0] in "-_":
        allowed = "1 to %d characters of a-z 0-9 _ - with a-z 0-9 first" % MAX_NAME
        raise DocumentError(where, "%s is no name: %s" % (shown(value), allowed))


def text(value: "Any", where: str) -> None:
    """A free text on one line; it may be empty."""
    if type(value) is not str:
        raise DocumentError(where, "%s is no text" % shown(value))
    if len(value) > MAX_TEXT:
        raise DocumentError(where, "%d characters, allowed are %d" % (len(value), MAX_TEXT))
    # Printable ASCII at both ends is skipped, which is all of most texts.
    for code in _codes(value.strip(PRINTABLE)):
        ends_line_or_turns_it = 0x2028 <= code <= 0x202E or 0x2066 <= code <= 0x2069
        if ends_line_or_turns_it or not (
            0x20 <= code < 0x7F or 0xA0 <= code < 0xD800 or 0xE000 <= code < 0xFFFE
        ):
            raise DocumentError(where, "has U+%04X, which is not allowed in a text" % code)


def _codes(text: str) -> list[int]:
    """Returns the codes of the characters. They are read from the text's UTF-8, as MicroPython
    never frees a one-character string once it is made: texts with ever new characters would fill
    its heap."""
    found: list[int] = []
    for byte in text.encode("utf-8", "surrogatepass"):
        if byte & 0xC0 == 0x80:
            found[-1] = found[-1] << 6 | byte & 0x3F
        elif byte < 0x80:
            found.append(byte)
        else:
            found.append(byte & (0x1F if byte < 0xE0 else 0x0F if byte < 0xF0 else 0x07))
    return found


def sha256(value: "Any", where: str) -> None:
    if not _is_spelt(value, 64, 64, HEX):
        raise DocumentError(where, "%s is no sha256: 64 digits of 0-9 a-f" % shown(value))


def keyid(value: "Any", where: str) -> None:
    if not _is_spelt(value, 8, 8, HEX):
        raise DocumentError(where, "%s is no key id: 8 digits of 0-9 a-f" % shown(value))


def nonce(value: "Any", where: str) -> None:
    """The random number that a device asks with."""
    if not _is_spelt(value, 16, 16, HEX):
        raise DocumentError(where, "%s is no nonce: 16 digits of 0-9 a-f" % shown(value))


def token(value: "Any", where: str) -> None:
    """A technical word, such as CONV_2D, tflite>=2.14, edgetpu, digits/labels."""
    if not _is_spelt(value, 1, MAX_NAME, TOKEN_LETTERS):
        allowed = "1 to %d characters of A-Z a-z 0-9 _ . - + / = >" % MAX_NAME
        raise DocumentError(where, "%s is no word: %s" % (shown(value), allowed))


def url(value: "Any", where: str) -> None:
    """An http or https URL with a host, without user:password and query, and without characters
    that could break an HTTP header. The fetcher decides which hosts are allowed, after it has
    resolved the name."""
    if not _is_spelt(value, 1, MAX_URL_CHARACTERS, URL_LETTERS):
        allowed = "at most %d characters, no space, ? or #" % MAX_URL_CHARACTERS
        raise DocumentError(where, "%s is no URL: %s" % (shown(value), allowed))
    scheme, _, rest = value.partition("://")
    host = rest.split("/")[0]
    if scheme not in ("http", "https") or host[:1] in ("", ":") or "@" in host:
        allowed = "http:// or https://, a host, no user"
        raise DocumentError(where, "%s is no URL: %s" % (shown(value), allowed))


def file_host(value: "Any", where: str) -> None:
    """An entry of a list of hosts that files may come from (file_hosts.py)."""
    from modelwave_shared.file_hosts import is_entry

    if type(value) is not str or not is_entry(value):
        allowed = "HOST or HOST:PORT in lower case, [ADDRESS] for IPv6; no scheme, path or *"
        raise DocumentError(where, "%s is no host of files: %s" % (shown(value), allowed))


def _is_spelt(value: "Any", least: int, most: int, letters: str) -> bool:
    # strip() leaves "" exactly if all characters are in `letters`.
    return type(value) is str and least <= len(value) <= most and not value.strip(letters)


def extra(value: "Any", where: str) -> None:
    """The field `extra`: values that a reader may safely ignore. This version ignores all, and
    checks only size and shape: an object of integers, booleans, texts, and of lists and
    objects of these, which are not nested further."""
    if type(value) is not dict:
        raise DocumentError(where, "%s is no object" % shown(value))
    characters = _characters(value, where, 0)
    if characters > MAX_EXTRA_CHARACTERS:
        allowed = "%d characters in all, allowed are %d" % (characters, MAX_EXTRA_CHARACTERS)
        raise DocumentError(where, allowed)


def _characters(value: "Any", where: str, depth: int) -> int:
    """Returns the characters of a value in `extra`, with its keys. Raises DocumentError if the
    value is not allowed there."""
    kind = type(value)
    if kind is dict or kind is list:
        if depth == MAX_EXTRA_NESTING:
            raise DocumentError(where, "%s is nested too deeply" % shown(value))
        if len(value) > MAX_EXTRA_ENTRIES:
            allowed = "%d entries, allowed are %d" % (len(value), MAX_EXTRA_ENTRIES)
            raise DocumentError(where, allowed)
        found = 0
        keys: "Any" = value if kind is dict else range(len(value))
        for key in keys:
            if kind is dict:
                token(key, where)
                found += len(key)
            found += _characters(value[key], "%s.%s" % (where, key), depth + 1)
        return found
    if kind is str:
        text(value, where)
        length: int = len(value)
        return length
    if kind is not bool:
        integer(value, where)
    return NUMBER_CHARACTERS
