"""Finds out who sends a request, by what a proxy says of who signed on there, or by its access
token, and bounds how often somebody may ask.

Who sends wrong tokens is told to wait before one is looked at, so that nobody can try many; the
bucket is that of the address. Who is known has a bucket of their own.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web

from modelwave_controller.api.call import Call
from modelwave_controller.connections import group_of
from modelwave_controller.errors import BusyError, ForbiddenError, UnknownPersonError
from modelwave_controller.people import tokens
from modelwave_controller.people.roles import Person
from modelwave_controller.people.uses import Uses
from modelwave_controller.storage.store import Transactions
from modelwave_controller.web.buckets import Buckets
from modelwave_controller.web.own_requests import require_not_foreign
from modelwave_controller.web.proxy import NO_PROXIES, Proxies
from modelwave_controller.web.public_url import HERE, PublicUrl
from modelwave_controller.web.signed_on import SignedOn

SCHEME = "Bearer "
A_SECOND, AT_ONCE = 50.0, 200.0  # requests of a person
WRONG_A_SECOND, WRONG_AT_ONCE = 1.0, 20.0  # wrong tokens from an address
# After which who follows the log begins anew, through the proxy where they signed on: it may have
# logged them out.
SIGNED_ON_SECONDS = 600.0

logger = logging.getLogger(__name__)


class Doorman:
    """Its event loop asks how often somebody may ask; its threads read the database."""

    def __init__(
        self,
        store: Transactions,
        clock: Callable[[], float],
        logged_in: Callable[[web.Request], str | None] = lambda _request: None,
        steady: Callable[[], float] = time.monotonic,
        proxies: Proxies = NO_PROXIES,
        signs: SignedOn | None = None,
        public: PublicUrl = HERE,
    ) -> None:
        """`clock` returns Unix seconds, `steady` those of a clock that nobody can set; `logged_in`
        the token of a request that has none itself, if it may do without. `proxies` are believed
        the address of who asks, and `signs` finds who signed on there."""
        self._signs = signs or SignedOn()
        self._public = public
        self._proxies = proxies
        self._store = store
        self._clock = clock
        self._logged_in = logged_in
        self._steady = steady
        self._uses = Uses(store)
        self._known = Buckets(A_SECOND, AT_ONCE)
        self._wrong = Buckets(WRONG_A_SECOND, WRONG_AT_ONCE)

    def still(self, request: web.Request, seconds: float) -> Person:
        """Returns who sends the request, who was known when it began, `seconds` ago. Raises
        UnknownPersonError, and ForbiddenError for who has signed on."""
        if signed := self._signs.person(request):
            if seconds >= SIGNED_ON_SECONDS:
                raise UnknownPersonError("begin anew, through the proxy where you signed on")
            return signed
        with self._store.read() as connection:
            return tokens.verify(connection, self._token_of(request), self._clock())

    def person(self, request: web.Request) -> Person:
        """Returns who sends a request to the API. Raises UnknownPersonError, ForbiddenError or
        BusyError."""
        if signed := self.signed_on(request):
            require_not_foreign(request.method, request.headers, request.host, self._public.origin)
            return signed
        return self.holder(lambda: self._token_of(request), self.address(request))

    def signed_on(self, request: web.Request) -> Person | None:
        """Returns whom a proxy has let in; None if it is no proxy that asks, or it says nothing.
        Raises UnknownPersonError, ForbiddenError or BusyError."""
        address = self.address(request)
        self._require_few_wrong(address)
        try:
            found = self._signs.person(request)
        except UnknownPersonError as error:
            self._refused(address, error)
            raise
        if found:
            self._require_few(found)
        return found

    def address(self, request: web.Request) -> str:
        """Returns what stands for the address of who asks."""
        return group_of(self._proxies.address(request))

    def holder(self, token: Callable[[], str], address: str) -> Person:
        """Returns whose the token is that `token` returns; it raises UnknownPersonError if there is
        none. Raises UnknownPersonError or BusyError."""
        self._require_few_wrong(address)
        try:
            text = token()
            with self._store.read() as connection:
                found = tokens.verify(connection, text, self._clock())
        except UnknownPersonError as error:
            self._refused(address, error)
            raise
        self._require_few(found)
        self._uses.note(text, self._clock())
        return found

    def _require_few_wrong(self, address: str) -> None:
        if wait := self._wrong.look(address, self._steady()):
            raise BusyError(f"too many wrong access tokens from {address}", wait)

    def _refused(self, address: str, error: UnknownPersonError) -> None:
        self._wrong.take(address, self._steady())
        if error.reason:
            logger.warning("a request from %s was refused: %s", address, error.reason)

    def _require_few(self, person: Person) -> None:
        if wait := self._known.take(person.name, self._steady()):
            raise BusyError(f"{person.name} asks more than {A_SECOND:g} times a second", wait)

    def _token_of(self, request: web.Request) -> str:
        given = request.headers.getall("Authorization", [])
        if not given and (token := self._logged_in(request)):
            return token
        if len(given) == 1 and given[0].startswith(SCHEME):
            return given[0].removeprefix(SCHEME).strip()
        raise UnknownPersonError(
            "no access token: send the header `Authorization: Bearer TOKEN`; `modelwave token "
            "create` makes one"
        )


def require(person: Person, call: Call[Any, Any]) -> None:
    """Raises ForbiddenError if the person's role does not allow the call."""
    if not person.may(call.needs):
        raise ForbiddenError(
            f"{person.name}, with the role {person.role}, may not {call.needs}: ask an admin for "
            "a token with another role (`modelwave token create`)"
        )
