"""The JSON that modelwave's documents are written in, read strictly on both Pythons.

MicroPython's own parser takes `{"a" 1}`, duplicate keys and `007`, and deep nesting
exhausts its heap. Documents need little, so this reader takes little:

    bytes    printable ASCII (0x20…0x7e); other characters are written \\uXXXX
    numbers  integers of at most 16 digits, no leading zero, no "-0", no fraction
    strings  the escapes of RFC 8259, but no surrogates
    objects  no key twice
    nesting  at most MAX_NESTING deep

There are no floating-point numbers in a document: they have no one spelling, and boards
read them with 30 bits. Shares are written in parts per million instead.
"""

from modelwave_shared.errors import JsonError
from modelwave_shared.limits import MAX_NESTING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_DIGITS = 16
# The letter after a backslash, and what it stands for there.
ESCAPES = b'"\\/bfnrt'
ESCAPED = '"\\/\b\f\n\r\t'
WORDS = {b"true": True, b"false": False, b"null": None}


def loads(data: bytes) -> "Any":
    """The value in `data` (bytes). Raises JsonError."""
    data = bytes(data)
    for byte in data:
        if not 0x20 <= byte <= 0x7E:
            raise JsonError("byte 0x%02x is not printable ASCII" % byte)
    try:
        value, at = _value(data, 0, MAX_NESTING)
    except IndexError:  # data[at] is how everything below looks ahead
        raise JsonError("cut off")
    if data[at:].strip():
        raise JsonError("text after the end")
    return value


def _value(data: bytes, at: int, depth: int) -> "tuple[Any, int]":
    """The value at `at`, or after spaces there, and where it ends; `depth`: how many objects
    and lists in each other it may be."""
    at = _next(data, at)
    first = data[at]
    if first == 0x22:
        return _string(data, at + 1)
    if first not in b"{[":
        return _word(data, at)
    if not depth:
        raise JsonError("nested deeper than %d" % MAX_NESTING)
    found: "Any" = {} if first == 0x7B else []
    at = _next(data, at + 1)
    while data[at] != first + 2:  # in ASCII, ] and } are the second after [ and {
        if found:
            at = _after(data, at, ",")
        value, at = _value(data, at, depth - 1)
        if first == 0x7B:
            if type(value) is not str or value in found:
                raise JsonError("a key stands twice, or is no string, at byte %d" % at)
            found[value], at = _value(data, _after(data, at, ":"), depth - 1)
        else:
            found.append(value)
        at = _next(data, at)
    return found, at + 1


def _next(data: bytes, at: int) -> int:
    """Where the spaces at `at` end."""
    while data[at] == 0x20:
        at += 1
    return at


def _after(data: bytes, at: int, mark: str) -> int:
    """The place after `mark`, which must come next."""
    at = _next(data, at)
    if data[at] != ord(mark):
        raise JsonError("expected %s at byte %d" % (mark, at))
    return at + 1


def _word(data: bytes, start: int) -> "tuple[bool | int | None, int]":
    end = start
    while data[end : end + 1] not in b" ,]}":  # which b"" at the end is, too
        end += 1
    word = data[start:end]
    if word in WORDS:
        return WORDS[word], end
    digits = word.lstrip(b"-")
    if digits.isdigit() and len(digits) <= MAX_DIGITS:
        number = int(digits) if word == digits else -int(digits)
        if b"%d" % number == word:  # its one spelling
            return number, end
    raise JsonError("expected a value (numbers are integers) at byte %d" % start)


def _string(data: bytes, at: int) -> "tuple[str, int]":
    """`at`: after its first quotation mark."""
    text = ""
    while True:
        end = data.find(b'"', at)
        if end < 0:
            raise JsonError("cut off")
        escape = data.find(b"\\", at, end)
        if escape < 0:
            return text + data[at:end].decode(), end + 1
        text += data[at:escape].decode()
        at = escape + 2
        letter = data[escape + 1 : at]
        if letter in ESCAPES:
            text += ESCAPED[ESCAPES.find(letter)]
            continue
        digits = data[at : at + 4]
        at += 4
        # The string's end is still to come: these are four, or not all of them are hex.
        is_hex = not digits.strip(b"0123456789abcdefABCDEF")
        code = int(digits, 16) if letter == b"u" and is_hex else 0xD800
        if 0xD800 <= code <= 0xDFFF:
            raise JsonError("unknown escape, or a surrogate, at byte %d" % escape)
        text += chr(code)
