"""A receiver of webhooks on 127.0.0.1, which verifies signatures with nothing of ours."""

import base64
import contextlib
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


class Receiver:
    """`answers`: the status of each further request; 200 when there are no more."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.headers = {"Location": "/elsewhere"}
        self.text = ""
        self.taken: list[dict[str, Any]] = []
        self.asked: list[tuple[str, dict[str, str], bytes]] = []  # path, headers, body
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.asked.append((request.path, dict(request.headers), body))
        status = self.answers.pop(0) if self.answers else 200
        if status == 200:
            self.taken.append(json.loads(body))
        return web.Response(status=status, headers=self.headers, text=self.text)

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for _, headers, _ in self.asked]

    @property
    def statuses(self) -> list[str]:
        return [taken["data"]["status"] for taken in self.taken]


def is_signed(headers: dict[str, str], body: bytes, secret: str = SECRET) -> bool:
    """As the specification says that a receiver does it."""
    key = base64.b64decode(secret.split("_", 1)[1])
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body.decode()}"
    mac = base64.b64encode(hmac.digest(key, signed.encode(), hashlib.sha256)).decode()
    given = [one.split(",", 1) for one in headers["webhook-signature"].split(" ")]
    return any(v == "v1" and hmac.compare_digest(its, mac) for v, its in given)


@contextlib.asynccontextmanager
async def receiving(*answers: int) -> AsyncIterator[Receiver]:
    receiver = Receiver(*answers)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", receiver.take)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = runner.addresses[0][1]
        receiver.url = f"http://127.0.0.1:{port}/hooks/a-secret-path"
        yield receiver
    finally:
        await runner.cleanup()
