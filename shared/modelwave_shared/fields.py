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
LETTERS = LOWER + "ABCDEFGHIJKLMNOPQRSTUVWXYZ_.-+/="


def check(spec: "Spec", value: "Any", where: str) -> None:
    """Raises DocumentError unless `value` is what `spec`, as above, asks for."""
    kind = type(spec)
    if kind is dict:
        _check_object(spec, value, where)
    elif kind is list:
        _check_many(spec, value, where)
    elif kind is not tuple:
        spec(value, where)
    elif type(spec[0]) is str:
        if type(value) is not str or value not in spec:
            raise DocumentError(where, "one of " + ", ".join(spec))
    elif type(value) is not int or not spec[0] <= value <= spec[1]:
        raise DocumentError(where, "an integer from %d to %d" % spec)


def _check_object(spec: "dict[str, Spec]", value: "Any", where: str) -> None:
    """An unknown field is refused: it may be a condition that this reader cannot keep."""
    if type(value) is not dict:
        raise DocumentError(where, "an object")
    for key in value:
        # No field's own name ends in a question mark.
        if key.endswith("?") or (key not in spec and key + "?" not in spec):
            shown = "?" if key.strip(LETTERS) else key[:MAX_NAME]  # a stranger's words
            raise DocumentError("%s.%s" % (where, shown), "an unknown field")
    for key in spec:
        field = key.rstrip("?")
        if field in value:
            check(spec[key], value[field], "%s.%s" % (where, field))
        elif field == key:
            raise DocumentError("%s.%s" % (where, key), "missing")


def _check_many(spec: "list[Any]", value: "Any", where: str) -> None:
    """A list, or, where the spec begins with one for the keys, an object as a map."""
    is_map = len(spec) == 4
    entry, least, most = spec[-3:]
    if type(value) is not (dict if is_map else list) or not least <= len(value) <= most:
        what = "an object" if is_map else "a list"
        raise DocumentError(where, "%s of %d to %d entries" % (what, least, most))
    for key in value if is_map else range(len(value)):
        if is_map:
            spec[0](key, where)
        check(entry, value[key], ("%s.%s" if is_map else "%s[%d]") % (where, key))


def boolean(value: object, where: str) -> None:
    if type(value) is not bool:
        raise DocumentError(where, "true or false")


def name(value: "Any", where: str) -> None:
    """fleet, model, target, device id."""
    _spelt(value, where, "name", 1, MAX_NAME, LOWER + "-_")
    if value[0] in "-_":
        raise DocumentError(where, "a name of a-z 0-9 _ - with a-z 0-9 first")


def text(value: "Any", where: str) -> None:
    """A person's words on one line, perhaps none."""
    if type(value) is not str or len(value) > MAX_TEXT:
        raise DocumentError(where, "text of at most %d characters" % MAX_TEXT)
    # MicroPython keeps a character that was once taken from a text for ever, so plain texts
    # are not looked at one by one.
    for character in value.strip(bytes(range(0x20, 0x7F)).decode()):
        code = ord(character)
        ends_line_or_turns_it = 0x2028 <= code <= 0x202E or 0x2066 <= code <= 0x2069
        if ends_line_or_turns_it or not (
            0x20 <= code < 0x7F or 0xA0 <= code < 0xD800 or 0xE000 <= code < 0xFFFE
        ):
            raise DocumentError(where, "text on one line, without U+%04X" % code)


def sha256(value: object, where: str) -> None:
    _spelt(value, where, "sha256", 64, 64, HEX)


def keyid(value: object, where: str) -> None:
    _spelt(value, where, "keyid", 8, 8, HEX)


def token(value: object, where: str) -> None:
    """A word of a technical vocabulary: CONV_2D, tflite>=2.14, edgetpu, digits/labels."""
    _spelt(value, where, "word", 1, MAX_NAME, LETTERS + ">")


def url(value: "Any", where: str) -> None:
    """http or https, a host, no user:password, nothing that a header could break on, no query.
    Which hosts may be asked is the fetcher's to decide, once the name is resolved."""
    _spelt(value, where, "URL", 1, MAX_URL_CHARACTERS, LETTERS + "!$%&'()*,:;@[]~")
    scheme, _, rest = value.partition("://")
    host = rest.split("/")[0]
    if scheme not in ("http", "https") or host[:1] in ("", ":") or "@" in host:
        raise DocumentError(where, "http:// or https://, a host, no user")


def _spelt(value: "Any", where: str, what: str, least: int, most: int, letters: str) -> None:
    # What strip() leaves begins with another character.
    if type(value) is not str or not least <= len(value) <= most or value.strip(letters):
        raise DocumentError(where, "a %s of %d to %d characters %s" % (what, least, most, letters))
