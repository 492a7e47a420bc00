"""Answers of servers that put a secret wherever one can stand: a service of the local network that
an order makes a device ask, whose banners, headers and tokens must not get into the device's
report."""

import asyncio
import contextlib

SECRET = "S3cr3tT0ken"
NUMBER = "31337271828"  # where only digits can stand

_HEAD = "HTTP/1.1 200 OK\r\n"
_RANGE = "HTTP/1.1 206 Partial Content\r\nContent-Range: "
_TEXTS = [
    f"SSH-2.0-OpenSSH_9.2p1 {SECRET}\r\n",
    f"220 {SECRET} ESMTP\r\n",
    f"-ERR {SECRET}\r\n",
    f"{SECRET}\r\n\r\n",
    f"HTTP/1.1 {SECRET}\r\n\r\n",
    f"HTTP/1.1 403 {SECRET}\r\n\r\n",
    f"HTTP/1.1 403 Forbidden\r\nX-{SECRET}: {SECRET}\r\n\r\n{SECRET}",
    f"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm={SECRET}\r\n\r\n",
    f"HTTP/1.1 503 Busy\r\nRetry-After: {SECRET}\r\n\r\n",
    f"HTTP/1.1 302 Found\r\nLocation: https://{SECRET}/{SECRET}\r\n\r\n",
    f"HTTP/1.1 302 Found\r\nLocation: {SECRET}\r\n\r\n",
    f"HTTP/1.1 302 {SECRET}\r\n\r\n",
    f"{_HEAD}{SECRET}\r\n\r\n",
    f"{_HEAD}{SECRET} {SECRET}: x\r\n\r\n",
    f"{_HEAD}Content-Length: {SECRET}\r\n\r\n",
    f"{_HEAD}Content-Length: {NUMBER}\r\n\r\n",
    f"{_HEAD}Content-Encoding: {SECRET}\r\n\r\n",
    f"{_HEAD}Transfer-Encoding: {SECRET}\r\n\r\n",
    f"{_HEAD}Transfer-Encoding: chunked\r\n\r\n{SECRET}\r\n",
    f"{_HEAD}Transfer-Encoding: chunked\r\n\r\n1;{SECRET}\r\nx{SECRET}\r\n",
    f"{_HEAD}Content-Length: 10240\r\n\r\n",
    f"{_RANGE}{SECRET}\r\n\r\n",
    f"{_RANGE}bytes 0-9/{NUMBER}\r\n\r\n",
    f"{_RANGE}bytes {NUMBER}-{NUMBER}/*\r\n\r\n",
    f"HTTP/1.1 100 {SECRET}\r\n\r\nHTTP/1.1 404 {SECRET}\r\n\r\n",
]
ANSWERS = [text.encode() for text in _TEXTS]
# In TLS: a record of an unknown type, and an alert of a number that does not exist.
ANSWERS_IN_TLS = [SECRET.encode() * 4, b"\x15\x03\x03\x00\x02\x02\xc8" + SECRET.encode()]


def telling(answer):
    """A server's answer, whatever is asked; then it closes."""

    async def tell(request):
        request.say(answer)

    return tell


@contextlib.asynccontextmanager
async def greeting(banner):
    """Yields the port of a server that sends `banner` at once, as SSH and SMTP do."""

    async def connected(_, writer):
        with contextlib.suppress(OSError):
            writer.write(banner)
            await writer.drain()
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
