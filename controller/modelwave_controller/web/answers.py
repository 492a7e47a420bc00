"""What every answer of the listener has: errors as problems (api/problem.py), and headers that keep
browsers and caches from doing more with it than is meant."""

import asyncio
import errno
import json
import logging
from collections.abc import Awaitable, Callable
from math import ceil
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from modelwave_controller.api.call import PREFIX
from modelwave_controller.api.problem import MEDIA_TYPE, problem_of
from modelwave_controller.errors import (
    BusyError,
    ContentTypeError,
    MalformedError,
    MethodError,
    ModelwaveError,
    NotFoundError,
    OperatorError,
    StorageError,
    TooLargeError,
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# An answer that says otherwise keeps what it says.
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
SERVER = "modelwave"  # without a version

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

FAILED = "the service failed: its log says how; try again"

logger = logging.getLogger(__name__)


async def add_headers(_request: web.BaseRequest, answer: web.StreamResponse) -> None:
    answer.headers["Server"] = SERVER
    for name, value in HEADERS.items():
        answer.headers.setdefault(name, value)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answers errors as problems."""
    try:
        return await handler(request)
    except ModelwaveError as error:
        return told(error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return told(_of_http(error, request), allowed=error.headers.get("Allow", ""))
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _FULL:
            logger.error("a request to %s failed: %s", request.path[:200], error.strerror)
            return told(StorageError(f"the service's disk: {error.strerror}: make room"))
        logger.exception("a request to %s failed", request.path[:200])
        return told(ModelwaveError(FAILED))


def told(error: ModelwaveError, allowed: str = "") -> web.Response:
    """`allowed`: the methods that the path has, if the error is that it has not this one."""
    problem = problem_of(error)
    headers = {"Allow": allowed} if allowed else {}
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, BusyError):
        headers["Retry-After"] = str(ceil(error.seconds))
    return web.Response(
        status=problem.status,
        body=json.dumps(problem.model_dump()).encode(),
        content_type=MEDIA_TYPE,
        headers=headers,
    )


class Protocol(RequestHandler):
    """A connection. What aiohttp itself answers, as what came is no request of HTTP, is a problem
    too."""

    __slots__ = ()

    def handle_error(self, request: Any, status: int = 500, *rest: Any) -> web.StreamResponse:
        error = rest[0] if rest else None
        if isinstance(error, ConnectionError) or (status < 500 and request.writer.output_size):
            raise ConnectionResetError("who asked has left, or was answered already")
        if status >= 500:
            super().handle_error(request, status, *rest)  # it logs
            answer = told(ModelwaveError(FAILED))
        else:  # its text has what came, which may be a token
            self.logger.warning(
                "what %s sent is no request of HTTP: %s", request.remote, type(error).__name__
            )
            answer = told(MalformedError("this is no request of HTTP, or one with too much"))
        answer.headers.update(HEADERS | {"Server": SERVER})
        answer.force_close()
        return answer


def with_own_errors(make: Callable[[], Any]) -> Callable[[], Any]:
    """`make` makes the connections of a server; returns what makes them Protocols."""

    def made() -> Any:
        protocol = make()
        protocol.__class__ = Protocol
        return protocol

    return made


def require_readable(request: web.Request) -> None:
    """Raises ContentTypeError if the request has a body that is no JSON by its own words."""
    if not request.can_read_body:
        return
    if request.content_type != "application/json":
        raise ContentTypeError("Content-Type: send application/json")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise ContentTypeError("Content-Encoding: send the body as it is")


def _of_http(error: web.HTTPException, request: web.Request) -> ModelwaveError:
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return MethodError(f"{request.method[:20]}: this path has {allowed}")
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return TooLargeError(f"the body: send at most {request.client_max_size} bytes")
    if error.status == 404:
        return NotFoundError(f"no such path; {PREFIX}/openapi.json has all that there are")
    return OperatorError(error.reason)
