"""The reader of HTTP answers against random damage: it returns bytes or raises FetchError, and it
never takes more from the connection than its bounds."""

import io

from hypothesis import given, settings
from hypothesis import strategies as st

from modelwave_agent.host import answer
from modelwave_agent.host.answer import MAX_HEAD_BYTES, body_of, read_head
from modelwave_agent.ports import FetchError

BUFFER = 8192  # of the reader below the parser
EXAMPLES = settings(max_examples=150, deadline=None, derandomize=True)


class Connection(io.RawIOBase):
    """A connection that brings `data` in pieces of the given sizes, and counts what was taken. At
    the end of `data` it begins anew with `more`, if there is some: a server without an end."""

    def __init__(self, data, sizes, more=b""):
        self.data, self.sizes, self.more = data, sizes, more
        self.taken = 0

    def readable(self):
        return True

    def readinto(self, buffer):
        if not self.data:
            self.data = self.more
        size = min(len(buffer), self.sizes[self.taken % len(self.sizes)], len(self.data))
        buffer[:size] = self.data[:size]
        self.data = self.data[size:]
        self.taken += size
        return size


def read(connection, wanted):
    """(status, up to `wanted` bytes of the body), as http.py reads them."""
    with io.BufferedReader(connection, BUFFER) as stream:
        head = read_head(stream)
        head.length()
        body, found = body_of(head, stream), b""
        while len(found) < wanted:
            piece = body.read(wanted - len(found))
            if not piece:
                break
            found += piece
        return head.status, found


@st.composite
def chunked(draw):
    """(data, the answer that has it in chunks)."""
    pieces = draw(st.lists(st.binary(min_size=1, max_size=300), max_size=8))
    words = st.binary(max_size=30).map(lambda raw: raw.replace(b"\n", b""))
    said = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    for piece in pieces:
        extension = draw(st.just(b"") | words.map(lambda word: b";" + word))
        said += b"%x%s\r\n%s\r\n" % (len(piece), extension, piece)
    trailers = draw(st.lists(words, max_size=3))
    return b"".join(pieces), said + b"0\r\n" + b"\r\n".join(trailers) + b"\r\n\r\n"


SIZES = st.lists(st.integers(1, 5000), min_size=1, max_size=5)


@EXAMPLES
@given(chunked(), SIZES)
def test_chunks_of_any_size_are_read(made, sizes):
    data, said = made
    assert read(Connection(said, sizes), len(data)) == (200, data)
    assert read(Connection(said, sizes), len(data) + 1) == (200, data)


@EXAMPLES
@given(chunked(), SIZES, st.data())
def test_damaged_answer_gives_bytes_or_a_fetch_error(made, sizes, source):
    _, said = made
    said = bytearray(said)
    for _ in range(source.draw(st.integers(1, 6))):
        at = source.draw(st.integers(0, len(said)))
        until = source.draw(st.integers(at, min(len(said), at + 8)))
        said[at:until] = source.draw(st.binary(max_size=12))
    connection = Connection(bytes(said), sizes)
    try:
        _, found = read(connection, 2000)
    except FetchError:
        return
    assert len(found) <= 2000


@settings(EXAMPLES, max_examples=60)
@given(st.binary(min_size=1, max_size=200))
def test_server_without_an_end_is_left_within_the_bounds(garbage):
    """It repeats its garbage for ever, in the head or between chunks."""
    start = b"HTTP/1.1 200 OK\r\n"
    for said in (b"", start, start + b"Transfer-Encoding: chunked\r\n\r\n"):
        connection = Connection(said, [BUFFER], garbage * 100)
        try:
            _, found = read(connection, 2000)
        except FetchError:
            found = b""
        assert len(found) <= 2000
        lines = answer.MAX_LINES_BYTES + 2000 * answer.LINES_SHARE + answer.MAX_CHUNK_LINE_BYTES
        assert connection.taken <= MAX_HEAD_BYTES + lines + 2000 + BUFFER
