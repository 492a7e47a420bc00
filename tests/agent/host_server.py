"""A web server for tests that sends exactly the bytes that the test gives."""

import asyncio
import contextlib
import re

# How an answer may end before it is whole; asyncio would log a cancelled one as a fault.
ENDED = (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError)


class Request:
    """One request. `offset`: the start in the Range header, 0 without one; `writer`: for the
    answer."""

    def __init__(self, head, writer):
        self.head = head
        self.writer = writer
        found = re.search(r"\r\nRange: bytes=(\d+)-\r\n", head)
        self.has_range = found is not None
        self.offset = int(found[1]) if found else 0

    def say(self, data):
        self.writer.write(data)

    def head_of(self, status, *fields):
        self.say("\r\n".join((f"HTTP/1.1 {status}", *fields, "", "")).encode())


@contextlib.asynccontextmanager
async def serving(answer, tls=None):
    """Yields the server's port; `answer` is awaited for each Request. When the test leaves the
    block, unfinished answers are cancelled."""
    running = set()

    async def connected(reader, writer):
        running.add(asyncio.current_task())
        with contextlib.suppress(*ENDED):
            head = await reader.readuntil(b"\r\n\r\n")
            await answer(Request(head.decode(), writer))
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def answering(data):
    """Returns the answer of a correct server of `data`, with ranges."""

    async def answer(request):
        rest = data[request.offset :]
        if request.has_range:
            last = len(data) - 1
            request.head_of(
                "206 Partial Content",
                f"Content-Range: bytes {request.offset}-{last}/{len(data)}",
                f"Content-Length: {len(rest)}",
            )
        else:
            request.head_of("200 OK", f"Content-Length: {len(rest)}")
        request.say(rest)

    return answer
