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
ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
WORDS = (("true", True), ("false", False), ("null", None))


def loads(data: bytes) -> "Any":
    """The value in `data` (bytes). Raises JsonError."""
    for at, byte in enumerate(data):
        if not 0x20 <= byte <= 0x7E:
            raise JsonError("byte 0x%02x at %d is not printable ASCII" % (byte, at))
    reader = _Reader(bytes(data).decode())
    value = reader.value(0)
    if reader.peek():
        raise JsonError("text after the end at byte %d" % reader.at)
    return value


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def peek(self) -> str:
        """The next character that is not a space, "" at the end."""
        while self.text[self.at : self.at + 1] == " ":
            self.at += 1
        return self.text[self.at : self.at + 1]

    def expect(self, character: str) -> None:
        if self.peek() != character:
            raise JsonError("expected %s at byte %d" % (character, self.at))
        self.at += 1

    def value(self, depth: int) -> "Any":
        first = self.peek()
        if first == '"':
            return self.string()
        if depth == MAX_NESTING and first in ("{", "["):
            raise JsonError("nested deeper than %d" % MAX_NESTING)
        if first == "{":
            return self.object(depth + 1)
        if first == "[":
            return self.array(depth + 1)
        for word, value in WORDS:
            if first and self.text.startswith(word, self.at):
                self.at += len(word)
                return value
        return self.integer()

    def integer(self) -> int:
        start = self.at
        if self.text[start : start + 1] == "-":
            self.at += 1
        digits = self.at
        # One digit at a time: isdigit() of "" is False, and the end is met at once.
        while self.text[self.at : self.at + 1].isdigit():
            self.at += 1
        found = self.text[digits : self.at]
        zero = found.startswith("0") and (len(found) > 1 or digits > start)
        fraction = self.text[self.at : self.at + 1] in (".", "e", "E")
        if not found or zero or fraction or len(found) > MAX_DIGITS:
            raise JsonError("expected a value (numbers are integers) at byte %d" % start)
        return int(self.text[start : self.at])

    def string(self) -> str:
        self.expect('"')
        parts = []
        start = self.at
        while True:
            character = self.text[self.at : self.at + 1]
            if not character:
                raise JsonError("a string without an end")
            self.at += 1
            if character == '"':
                parts.append(self.text[start : self.at - 1])
                return "".join(parts)
            if character == "\\":
                parts.append(self.text[start : self.at - 1])
                parts.append(self.escape())
                start = self.at

    def escape(self) -> str:
        letter = self.text[self.at : self.at + 1]
        self.at += 1
        if letter in ESCAPES:
            return ESCAPES[letter]
        digits = self.text[self.at : self.at + 4]
        if letter != "u" or len(digits) != 4 or not _is_hex(digits):
            raise JsonError("unknown escape at byte %d" % (self.at - 1))
        code = int(digits, 16)
        if 0xD800 <= code <= 0xDFFF:
            raise JsonError("a surrogate at byte %d" % self.at)
        self.at += 4
        return chr(code)

    def object(self, depth: int) -> "dict[str, Any]":
        self.expect("{")
        found: "dict[str, Any]" = {}
        if self.peek() == "}":
            self.at += 1
            return found
        while True:
            if self.peek() != '"':
                raise JsonError("expected a key at byte %d" % self.at)
            key = self.string()
            if key in found:
                raise JsonError("a key stands twice, at byte %d" % self.at)
            self.expect(":")
            found[key] = self.value(depth)
            if not self.more("}"):
                return found

    def array(self, depth: int) -> "list[Any]":
        self.expect("[")
        found: "list[Any]" = []
        if self.peek() == "]":
            self.at += 1
            return found
        while True:
            found.append(self.value(depth))
            if not self.more("]"):
                return found

    def more(self, end: str) -> bool:
        """After an entry: a comma (True) or the end (False)."""
        if self.peek() == end:
            self.at += 1
            return False
        self.expect(",")
        return True


def _is_hex(text: str) -> bool:
    return all(c in "0123456789abcdefABCDEF" for c in text)
