"""Runs the listener of a service for its operators (listener.py), by the settings under [api]."""

import asyncio
import contextlib
import errno
import logging
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from modelwave_controller import disk
from modelwave_controller.connections import Bounds
from modelwave_controller.desk.desk import desks
from modelwave_controller.errors import OperatorError
from modelwave_controller.home import ApiSettings, Home
from modelwave_controller.metrics.handlers import Watched
from modelwave_controller.service.vitals import Vitals
from modelwave_controller.storage.store import Store
from modelwave_controller.trust.file_places import bracketed
from modelwave_controller.web import own_token
from modelwave_controller.web.doorman import Doorman
from modelwave_controller.web.listener import BOUNDS, Listener
from modelwave_controller.web.page.logins import Logins
from modelwave_controller.web.page.page import Page
from modelwave_controller.web.proxy import Proxies
from modelwave_controller.web.public_url import PublicUrl
from modelwave_controller.web.signed_on import SignedOn

AGAIN_SECONDS = 5.0  # between two tries to listen
LEAST_SECRET = 32

logger = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def listening(
    home: Home, store: Store, vitals: Vitals, clock: Callable[[], float] = time.time
) -> AsyncIterator[str]:
    """Listens until the end of the block. Yields the URL; "" if the settings want no listener,
    or if it listens later, as another program has the address. Raises OperatorError if it cannot
    listen."""
    settings = home.config.api
    if not settings.listen:
        yield ""
        return

    desk_of = desks(home, store, clock)
    tls, secret = _tls(home, settings), _secret(home, settings)
    host, port = settings.address

    async def begin() -> tuple[Listener, str]:
        public, proxies = PublicUrl(settings.url), Proxies(bool(settings.url), settings.proxies)
        signs = SignedOn(settings.sign_on, secret, proxies)
        logins = Logins(home.config.fleet, signs)
        doorman = Doorman(
            store, clock, logins.token_of, proxies=proxies, signs=signs, public=public
        )
        # All that a proxy brings comes from its address.
        bounds = Bounds(BOUNDS.all, BOUNDS.all, BOUNDS.all) if settings.url else BOUNDS
        listener = Listener(
            doorman.person, desk_of, bounds, still=doorman.still, prefix=public.prefix
        )
        page = Page(home.config.fleet, doorman, desk_of, logins, public)
        page.add_routes(listener.add)
        Watched(vitals, store, clock).add_routes(listener.application)
        try:
            bound = await listener.start(host, port, tls)
        except OSError:
            await listener.stop()
            raise
        return listener, f"{'https' if tls else 'http'}://{bracketed(host)}:{bound}"

    async with own_token.kept(home, store, clock), contextlib.AsyncExitStack() as stack:
        try:
            listener, url = await begin()
            stack.push_async_callback(listener.stop)
            yield url
            return
        except OSError as error:
            problem = error
        if problem.errno != errno.EADDRINUSE:
            raise OperatorError(
                f"api.listen: cannot listen on {host}:{port}: {problem.strerror or problem}; "
                "choose another in controller.toml"
            ) from problem
        # Such as another service of this home, which this one stands by for.
        logger.warning(
            "api.listen: another program listens on %s:%d: operators are answered here when it "
            "has ended",
            host,
            port,
        )
        later = asyncio.create_task(_later(begin, stack))
        stack.callback(later.cancel)
        yield ""


async def _later(
    begin: Callable[[], Awaitable[tuple[Listener, str]]], stack: contextlib.AsyncExitStack
) -> None:
    while True:
        await asyncio.sleep(AGAIN_SECONDS)
        with contextlib.suppress(OSError):
            listener, url = await begin()
            stack.push_async_callback(listener.stop)
            logger.info("operators are answered at %s", url)
            return


def _secret(home: Home, settings: ApiSettings) -> bytes:
    """Returns the secret of the proxy where people sign on, b"" if they do not. Raises
    OperatorError."""
    if settings.sign_on is None:
        return b""
    what = "api.sign_on.secret_file"
    found = disk.read_secret(home.within(settings.sign_on.secret_file), what)
    if len(found) < LEAST_SECRET or not found.isascii():
        raise OperatorError(
            f"{what}: give at least {LEAST_SECRET} characters of ASCII on one line, as `openssl "
            "rand -hex 32` prints"
        )
    return found


def _tls(home: Home, settings: ApiSettings) -> ssl.SSLContext | None:
    """Returns the context of the settings' certificate. Raises OperatorError."""
    if not settings.certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(home.path / settings.certificate, home.path / settings.key)
    except (OSError, ssl.SSLError) as error:
        raise OperatorError(
            f"api.certificate, api.key: {error.strerror or error}; give two PEM files"
        ) from error
    return context
