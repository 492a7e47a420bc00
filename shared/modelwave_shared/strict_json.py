"""A strict reader for the JSON of modelwave's documents, for both Pythons.

MicroPython's own parser accepts `{"a" 1}`, duplicate keys and `007`, and deep nesting
exhausts its heap. Documents need only a part of JSON, so this reader accepts only that:

    bytes    printable ASCII (0x20…0x7e); other characters are written \\uXXXX
    numbers  integers of at most 16 digits, no leading zero, no "-0", no fraction
    strings  the escapes of RFC 8259, but no surrogates
    objects  no duplicate keys
    nesting  at most MAX_NESTING deep

Documents have no floating-point numbers: one number can be written in several ways, and boards
read them with 30 bits. Shares are in parts per million instead.
"""

from modelwave_shared.errors import JsonError
from modelwave_shared.limits import MAX_NESTING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_DIGITS = 16
WORDS = {b"true": True, b"false": False, b"null": None}
# {character after a backslash: character that the two mean}
ESCAPES = {
    b'"': b'"',
    b"\\": b"\\",
    b"/": b"/",
    b"b": b"\b",
    b"f": b"\f",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
}
HEX_DIGITS = b"0123456789abcdefABCDEF"


def loads(data: bytes) -> "Any":
    """Returns the value in `data` (bytes). Raises JsonError."""
    data = bytes(data)
    for byte in data:
        if not 0x20 <= byte <= 0x7E:
            raise JsonError(
                "byte 0x%02x is not printable ASCII; write other characters as \\uXXXX" % byte
            )
    reader = _JsonReader(data)
    value = reader.value(MAX_NESTING)
    reader.skip_spaces()
    if reader.at < len(data):
        raise JsonError("text after the end of the value, at byte %d" % reader.at)
    return value


def utf8(code: int) -> bytes:
    """Returns the UTF-8 of the character with this code, below 0x10000. MicroPython never frees a
    one-character string once it is made: with chr(), who signs documents could fill its heap."""
    if code < 0x80:
        return bytes([code])
    if code < 0x800:
        return bytes([0xC0 | code >> 6, 0x80 | code & 0x3F])
    return bytes([0xE0 | code >> 12, 0x80 | code >> 6 & 0x3F, 0x80 | code & 0x3F])


class _JsonReader:
    """Reads values from `data` at byte `at`; each method moves `at` behind the bytes that it has
    read."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def value(self, depth: int) -> "Any":
        """Reads any value; objects and lists in it may be nested `depth` deep."""
        self.skip_spaces()
        character = self.peek()
        if character == b'"':
            return self.string()
        if character not in (b"{", b"["):
            return self.word_or_number()
        if depth == 0:
            raise JsonError("objects and lists are nested deeper than %d" % MAX_NESTING)
        return self.object(depth - 1) if character == b"{" else self.list(depth - 1)

    def object(self, depth: int) -> "dict[str, Any]":
        found: "dict[str, Any]" = {}
        self.expect(b"{")
        if self.take(b"}"):
            return found
        while True:
            self.skip_spaces()
            start = self.at
            key = self.string()
            if key in found:
                raise JsonError("the key at byte %d is a duplicate in its object" % start)
            self.expect(b":")
            found[key] = self.value(depth)
            if self.take(b"}"):
                return found
            self.expect(b",")

    def list(self, depth: int) -> "list[Any]":
        found: "list[Any]" = []
        self.expect(b"[")
        if self.take(b"]"):
            return found
        while True:
            found.append(self.value(depth))
            if self.take(b"]"):
                return found
            self.expect(b",")

    def string(self) -> str:
        self.expect(b'"')
        text = b""
        while True:
            end = self.data.find(b'"', self.at)
            if end < 0:
                raise JsonError("the text is cut off in a string")
            backslash = self.data.find(b"\\", self.at, end)
            if backslash < 0:
                text += self.data[self.at : end]
                self.at = end + 1
                return text.decode()
            text += self.data[self.at : backslash]
            self.at = backslash
            text += self.escape()

    def escape(self) -> bytes:
        """Reads an escape; returns the UTF-8 of the character that it means."""
        start = self.at
        character = self.data[start + 1 : start + 2]
        self.at = start + 2
        if character in ESCAPES:
            return ESCAPES[character]
        if character == b"u":
            digits = self.data[self.at : self.at + 4]
            self.at += 4
            if len(digits) == 4 and not digits.strip(HEX_DIGITS):
                code = int(digits, 16)
                if not 0xD800 <= code <= 0xDFFF:
                    return utf8(code)
        raise JsonError("unknown escape, or a surrogate, at byte %d" % start)

    def word_or_number(self) -> "bool | int | None":
        """Reads true, false, null or an integer, up to the character that ends it."""
        start = self.at
        while self.data[self.at : self.at + 1] not in (b"", b" ", b",", b"]", b"}"):
            self.at += 1
        word = self.data[start : self.at]
        if word in WORDS:
            return WORDS[word]
        digits = word[1:] if word.startswith(b"-") else word
        if digits.isdigit() and len(digits) <= MAX_DIGITS:
            number = int(word)
            if b"%d" % number == word:  # no leading zero, no -0
                return number
        raise JsonError(
            "no value at byte %d: expected an object, a list, a string, true, false, null or an "
            "integer (numbers are integers of at most %d digits)" % (start, MAX_DIGITS)
        )

    def peek(self) -> bytes:
        """Returns the next character. Raises JsonError at the end of the text."""
        character = self.data[self.at : self.at + 1]
        if not character:
            raise JsonError("the text is cut off")
        return character

    def take(self, character: bytes) -> bool:
        """Whether `character` comes next, after spaces; if so, moves behind it."""
        self.skip_spaces()
        if self.peek() != character:
            return False
        self.at += 1
        return True

    def expect(self, character: bytes) -> None:
        """Moves behind `character`, which must come next, after spaces."""
        if not self.take(character):
            raise JsonError("expected %s at byte %d" % (character.decode(), self.at))

    def skip_spaces(self) -> None:
        while self.data[self.at : self.at + 1] == b" ":
            self.at += 1
