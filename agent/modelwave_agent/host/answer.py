"""Reads a server's answer in HTTP/1.1: its head, and its body in the three forms that RFC 9112
has: of a length that the head tells, in chunks, or up to the end of the connection.

All that a server can send is bounded: the head, the lines between chunks, and the body by what the
caller takes. Trailers, and whatever comes after the bytes that are taken, are not read. The caller
sets the socket's timeout, and stops a server that sends too slowly (http.py).
"""

import re
from dataclasses import dataclass
from typing import BinaryIO

from modelwave_agent.ports import FetchError

MAX_HEAD_BYTES = 65536  # with interim answers (1xx) before it
MAX_CHUNK_LINE_BYTES = 1024  # a chunk's size with its extensions
# A server may send so many bytes of lines between chunks, and so many more for each of the data.
MAX_LINES_BYTES, LINES_SHARE = 65536, 8

_SPACE = " \t"  # around a value; Python's own strip takes more
_LINE_ENDS = (b"\r\n", b"\n")
_STATUS = re.compile(r"HTTP/1\.\d (\d{3})(?: .*)?", re.ASCII)
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):(.*)", re.ASCII)
_LENGTH = re.compile(r"\d{1,15}", re.ASCII)
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")


@dataclass(frozen=True)
class Head:
    """The head of an answer. `fields`: the values by names in lower case; the values of fields
    with the same name are joined with commas."""

    status: int
    fields: dict[str, str]

    def get(self, name: str) -> str:
        return self.fields.get(name, "")

    def length(self) -> int | None:
        """Returns the length of the body; None if the head does not tell it. Raises FetchError."""
        length = self.get("content-length")
        if self.is_chunked() or "content-length" not in self.fields:
            return None
        if not _LENGTH.fullmatch(length):
            raise FetchError("Content-Length is not a number")
        return int(length)

    def is_chunked(self) -> bool:
        """Raises FetchError if the body is encoded in another way."""
        encoding = self.get("transfer-encoding").lower()
        if encoding not in ("", "identity", "chunked"):
            raise FetchError("the body has a Transfer-Encoding that is not read here")
        return encoding == "chunked"


class Body:
    """The bytes of an answer up to the end of its connection."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream

    def read(self, most: int) -> bytes:
        """Returns up to `most` bytes, as soon as there are some; b"" at the end of the body.
        Raises FetchError and OSError."""
        # One recv per call, so that received bytes are written even if the rest is slow.
        return self.stream.read1(most)  # type: ignore[attr-defined, no-any-return]


class ChunkedBody(Body):
    """The bytes of an answer in chunks."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream)
        self.left = 0  # bytes of the current chunk
        self.lines = MAX_LINES_BYTES  # bytes that further lines may have
        self.began = False
        self.ended = False

    def read(self, most: int) -> bytes:
        if not self.left and not self.ended:
            self.left = self._next_size()
            self.ended = not self.left
        if self.ended:
            return b""
        piece = super().read(min(most, self.left))
        if not piece:
            raise FetchError("the connection ended within a chunk")
        self.left -= len(piece)
        self.lines += LINES_SHARE * len(piece)
        return piece

    def _next_size(self) -> int:
        if self.began and self._line() != b"\r\n":
            raise FetchError("a chunk has no end of line (CRLF) where the server said it ends")
        self.began = True
        size, _, _extensions = self._line().partition(b";")
        size = size.strip(b" \t\r\n")
        if not _CHUNK_SIZE.fullmatch(size):
            raise FetchError("a chunk has no size")
        return int(size, 16)

    def _line(self) -> bytes:
        line = self.stream.readline(MAX_CHUNK_LINE_BYTES)
        if not line.endswith(b"\n"):
            raise FetchError(
                "the connection ended between two chunks"
                if len(line) < MAX_CHUNK_LINE_BYTES
                else f"the line before a chunk is longer than {MAX_CHUNK_LINE_BYTES} bytes"
            )
        self.lines -= len(line)
        if self.lines < 0:
            raise FetchError("the chunks have much less data than lines between them")
        return line


def read_head(stream: BinaryIO) -> Head:
    """Reads the head of the final answer. Raises FetchError and OSError."""
    left = MAX_HEAD_BYTES
    while True:
        lines = []
        while True:
            line = stream.readline(left)
            left -= len(line)
            if not line.endswith(b"\n"):
                raise FetchError(
                    "the connection ended within the answer's head"
                    if left
                    else f"the answer's head has no end within {MAX_HEAD_BYTES} bytes"
                )
            if line in _LINE_ENDS:
                break
            lines.append(line.decode("latin-1").rstrip("\r\n" + _SPACE))
        head = _head_of(lines)
        if head.status // 100 != 1 or head.status == 101:
            return head


def body_of(head: Head, stream: BinaryIO) -> Body:
    """Returns the body that follows `head`. Raises FetchError if it is encoded."""
    return ChunkedBody(stream) if head.is_chunked() else Body(stream)


def _head_of(lines: list[str]) -> Head:
    found = _STATUS.fullmatch(lines[0]) if lines else None
    if not found:
        raise FetchError("the server does not answer in HTTP/1.1")
    fields: dict[str, str] = {}
    for line in lines[1:]:
        field = _FIELD.fullmatch(line)
        if not field:
            raise FetchError("the answer's head has a line that is no field")
        name, value = field[1].lower(), field[2].strip(_SPACE)
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return Head(int(found[1]), fields)
