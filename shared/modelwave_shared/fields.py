"""Checks of fields, by a spec that says what is allowed (schema.py has those of documents):

    (0, 9)                an integer in that range
    ("idle", "trial")     one of these words
    {field: spec, …}      an object of exactly these fields; a field that is written "x?"
                          may be absent
    [spec, 1, 4]          a list of 1 to 4 entries
    [key, spec, 1, 4]     an object as a map of 1 to 4 entries; `key` checks each key
    a function            called with the value and its path, as those below

A value is out of strict_json; DocumentError names the field's path ("order.seq") and what
is allowed there. Types are exact: a bool is no integer.
"""

from modelwave_shared.errors import DocumentError
from modelwave_shared.limits import (
    MAX_NAME,
    MAX_TEXT,
    MAX_URL_CHARACTERS,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Spec = Any  # as above
    Document = dict[str, Any]  # a parsed document, or an object in one

HEX = "0123456789abcdef"
LOWER = "abcdefghijklmnopqrstuvwxyz0123456789"


def check(spec: "Spec", value: "Any", where: str) -> None:
    """Raises DocumentError unless `value` is what `spec`, as above, asks for."""
    if type(spec) is tuple:
        _check_choice(spec, value, where)
    elif type(spec) is dict:
        _check_object(spec, value, where)
    elif type(spec) is list:
        _check_many(spec, value, where)
    else:
        spec(value, where)


def _check_choice(spec: "tuple[Any, ...]", value: object, where: str) -> None:
    if type(spec[0]) is str:
        if type(value) is not str or value not in spec:
            raise DocumentError(where, "one of " + ", ".join(spec))
    elif type(value) is not int or not spec[0] <= value <= spec[1]:
        raise DocumentError(where, "an integer from %d to %d" % spec)


def _check_object(spec: "dict[str, Spec]", value: "Any", where: str) -> None:
    """An unknown field is refused: it may be a condition that this reader cannot keep."""
    if type(value) is not dict:
        raise DocumentError(where, "an object")
    known = [key.rstrip("?") for key in spec]
    for key in value:
        if key not in known:
            raise DocumentError("%s.%s" % (where, _shown(key)), "an unknown field")
    for key in spec:
        field = key.rstrip("?")
        if field in value:
            check(spec[key], value[field], "%s.%s" % (where, field))
        elif field == key:
            raise DocumentError("%s.%s" % (where, key), "missing")


def _check_many(spec: "list[Any]", value: "Any", where: str) -> None:
    """A list, or, where the spec begins with one for the keys, an object as a map."""
    kind = dict if len(spec) == 4 else list
    if type(value) is not kind or not spec[-2] <= len(value) <= spec[-1]:
        what = "an object" if kind is dict else "a list"
        raise DocumentError(where, "%s of %d to %d entries" % (what, spec[-2], spec[-1]))
    if kind is dict:
        for key in value:
            spec[0](key, where)
            check(spec[1], value[key], "%s.%s" % (where, key))
    else:
        for index, entry in enumerate(value):
            check(spec[0], entry, "%s[%d]" % (where, index))


def boolean(value: object, where: str) -> None:
    if type(value) is not bool:
        raise DocumentError(where, "true or false")


def name(value: "Any", where: str) -> None:
    """fleet, model, target, device id."""
    if not _spelt(value, 1, MAX_NAME, LOWER + "-_") or value[0] in "-_":
        raise DocumentError(where, "a name of 1 to %d characters a-z 0-9 _ -" % MAX_NAME)


def text(value: object, where: str) -> None:
    """A person's words on one line, perhaps none."""
    if type(value) is not str or len(value) > MAX_TEXT or not all(_printable(c) for c in value):
        raise DocumentError(where, "text on one line, at most %d characters" % MAX_TEXT)


def sha256(value: object, where: str) -> None:
    if not _spelt(value, 64, 64, HEX):
        raise DocumentError(where, "a sha256 in 64 lower-case hex digits")


def keyid(value: object, where: str) -> None:
    if not _spelt(value, 8, 8, HEX):
        raise DocumentError(where, "a keyid of 8 lower-case hex digits")


def token(value: object, where: str) -> None:
    """A word of a technical vocabulary: CONV_2D, tflite>=2.14, edgetpu, digits/labels."""
    if not _spelt(value, 1, MAX_NAME, LOWER + "ABCDEFGHIJKLMNOPQRSTUVWXYZ_.-+/>="):
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


def _spelt(value: "Any", least: int, most: int, letters: str) -> bool:
    if type(value) is not str or not least <= len(value) <= most:
        return False
    return all(c in letters for c in value)


def _printable(character: str) -> bool:
    code = ord(character)
    if 0x2028 <= code <= 0x202E or 0x2066 <= code <= 0x2069:
        return False  # ends a line, or turns its direction
    return 0x20 <= code < 0x7F or 0xA0 <= code < 0xD800 or 0xE000 <= code < 0xFFFE


def _shown(key: str) -> str:
    """A stranger's key, fit for an error message."""
    return "".join(c if 0x21 <= ord(c) <= 0x7E else "?" for c in key[:40])
