"""Checks of single fields, from which documents.py builds its tables.

A check is called with a value out of strict_json and the field's path ("order.seq") and
raises DocumentError, which names the path and what is allowed. Types are exact: a bool
is no integer.
"""

from modelwave_shared.limits import (
    MAX_NAME,
    MAX_TEXT,
    MAX_URL_CHARACTERS,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from typing import Any

    Check = Callable[[object, str], None]
    Document = dict[str, Any]  # a parsed document, or an object in one

HEX = "0123456789abcdef"
LOWER = "abcdefghijklmnopqrstuvwxyz0123456789"


class DocumentError(ValueError):
    """A field is not as agreed; the message starts with the field's path."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__("%s: %s" % (where, problem))
        self.where = where
        self.problem = problem


def integer(low: int, high: int) -> "Check":
    def check(value: object, where: str) -> None:
        if type(value) is not int or not low <= value <= high:
            raise DocumentError(where, "an integer from %d to %d" % (low, high))

    return check


def boolean(value: object, where: str) -> None:
    if type(value) is not bool:
        raise DocumentError(where, "true or false")


def one_of(*words: str) -> "Check":
    def check(value: object, where: str) -> None:
        if type(value) is not str or value not in words:
            raise DocumentError(where, "one of " + ", ".join(words))

    return check


def name(value: object, where: str) -> None:
    """fleet, model, target, device id."""
    if (
        type(value) is not str
        or not 1 <= len(value) <= MAX_NAME
        or value[0] in "-_"
        or not all(c in LOWER or c in "-_" for c in value)
    ):
        raise DocumentError(where, "a name of 1 to %d characters a-z 0-9 _ -" % MAX_NAME)


def text(value: object, where: str) -> None:
    """A person's words on one line, perhaps none."""
    if type(value) is not str or len(value) > MAX_TEXT or not all(_printable(c) for c in value):
        raise DocumentError(where, "text on one line, at most %d characters" % MAX_TEXT)


def sha256(value: object, where: str) -> None:
    if type(value) is not str or len(value) != 64 or not all(c in HEX for c in value):
        raise DocumentError(where, "a sha256 in 64 lower-case hex digits")


def token(value: object, where: str) -> None:
    """A word of a technical vocabulary: CONV_2D, tflite>=2.14, edgetpu, digits/labels."""
    allowed = LOWER + "ABCDEFGHIJKLMNOPQRSTUVWXYZ_.-+/>="
    if (
        type(value) is not str
        or not 1 <= len(value) <= MAX_NAME
        or not all(c in allowed for c in value)
    ):
        raise DocumentError(where, "1 to %d characters A-Z a-z 0-9 _ . - + / > =" % MAX_NAME)


def url(value: object, where: str) -> None:
    """http or https, a host, no user:password, nothing that a header could break on.
    Which hosts may be asked is the fetcher's to decide, once the name is resolved."""
    if type(value) is not str or len(value) > MAX_URL_CHARACTERS:
        raise DocumentError(where, "a URL of at most %d characters" % MAX_URL_CHARACTERS)
    scheme, separator, rest = value.partition("://")
    host = rest.split("/")[0]
    if scheme not in ("http", "https") or not separator or not host or host[0] == ":":
        raise DocumentError(where, "an http:// or https:// URL with a host")
    if "@" in host:
        raise DocumentError(where, "no user or password in a URL")
    if not all(0x21 <= ord(c) <= 0x7E and c not in '"<>\\^`{|}?#' for c in value):
        raise DocumentError(where, "printable ASCII without spaces, query or fragment")


def list_of(check: "Check", low: int, high: int) -> "Check":
    def check_list(value: object, where: str) -> None:
        if type(value) is not list or not low <= len(value) <= high:
            raise DocumentError(where, "a list of %d to %d entries" % (low, high))
        for index, entry in enumerate(value):
            check(entry, "%s[%d]" % (where, index))

    return check_list


def map_of(check_key: "Check", check_value: "Check", low: int, high: int) -> "Check":
    def check_map(value: object, where: str) -> None:
        if type(value) is not dict or not low <= len(value) <= high:
            raise DocumentError(where, "an object of %d to %d entries" % (low, high))
        for key in value:
            check_key(key, where)
            check_value(value[key], "%s.%s" % (where, key))

    return check_map


def record(table: "dict[str, Check]", optional: "Container[str]" = ()) -> "Check":
    """An object with exactly these fields; those in `optional` may be absent. An unknown
    field is refused: it may be a condition that this reader does not know how to keep."""

    def check_record(value: object, where: str) -> None:
        if type(value) is not dict:
            raise DocumentError(where, "an object")
        for key in value:
            if key not in table:
                raise DocumentError("%s.%s" % (where, _shown(key)), "an unknown field")
        for key in table:
            if key in value:
                table[key](value[key], "%s.%s" % (where, key))
            elif key not in optional:
                raise DocumentError("%s.%s" % (where, key), "missing")

    return check_record


def _printable(character: str) -> bool:
    code = ord(character)
    if 0x2028 <= code <= 0x202E or 0x2066 <= code <= 0x2069:
        return False  # ends a line, or turns its direction
    return 0x20 <= code < 0x7F or 0xA0 <= code < 0xD800 or 0xE000 <= code < 0xFFFE


def _shown(key: str) -> str:
    """A stranger's key, fit for an error message."""
    return "".join(c if 0x21 <= ord(c) <= 0x7E else "?" for c in key[:40])
