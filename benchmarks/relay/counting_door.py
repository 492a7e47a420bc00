"""A door before a file server, which passes all on and remembers which files were asked for."""

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Iterator

MAX_HEAD_BYTES = 65536


class Door:
    def __init__(self) -> None:
        self.port = 0
        self.target = 0
        self.asked: Counter[str] = Counter()  # {last part of the path: requests}

    async def open(self) -> asyncio.Server:
        server = await asyncio.start_server(self._enter, "127.0.0.1", 0, limit=MAX_HEAD_BYTES)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there: asyncio.StreamWriter | None = None
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.asked[head.split(b" ")[1].rsplit(b"/")[-1].decode()] += 1
            answers, there = await asyncio.open_connection("127.0.0.1", self.target)
            there.write(head)
            while data := await answers.read(65536):
                writer.write(data)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # one of both has gone
        finally:
            writer.close()
            if there:
                there.close()


@contextlib.contextmanager
def door() -> Iterator[Door]:
    """Yields one that is open, and runs in a thread of its own; set `target`, the port of the
    file server."""
    made, loop = Door(), asyncio.new_event_loop()
    server = loop.run_until_complete(made.open())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
