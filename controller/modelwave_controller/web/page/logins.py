"""Finds the session of a request: of who signed on at a proxy, or by its cookie."""

import time
from collections.abc import Callable

from aiohttp import web

from modelwave_controller.errors import ModelwaveError
from modelwave_controller.web.page.sessions import Session, Sessions
from modelwave_controller.web.signed_on import SignedOn


class Logins:
    """Those who are logged in at the page of a fleet."""

    def __init__(
        self,
        fleet: str,
        signs: SignedOn | None = None,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """`signs` finds who signed on at a proxy; `steady` returns seconds of a clock that nobody
        can set."""
        # Cookies do not know ports: the service of another fleet on this host has its own.
        self.cookie = f"modelwave_{fleet}"
        self._signs = signs or SignedOn()
        self._steady = steady
        self._sessions = Sessions()

    @property
    def log_out(self) -> str:
        """Where who signed on at a proxy logs out, "" if that is not known."""
        return self._signs.log_out

    def session(self, request: web.Request) -> Session | None:
        try:
            person = self._signs.person(request)
        except ModelwaveError:  # the doorman says so
            return None
        if person is None:
            return self._by_cookie(request)
        csrf = self._signs.csrf(person.name)
        return Session("", self._steady(), person, csrf=csrf, signed_on=True)

    def _by_cookie(self, request: web.Request) -> Session | None:
        return self._sessions.find(request.cookies.get(self.cookie, ""), self._steady())

    def token_of(self, request: web.Request) -> str | None:
        """Returns the access token of who is logged in and reads, such as the page's script; None
        for what changes something: that is for forms, which show that they are the page's own."""
        if request.method != "GET" or request.headers.get("Sec-Fetch-Site") == "cross-site":
            return None
        session = self._by_cookie(request)
        return session.token if session else None

    def begin(self, request: web.Request, token: str, response: web.Response) -> None:
        """Begins a session, in place of the one that the request has."""
        self.end(request)
        response.set_cookie(
            self.cookie,
            self._sessions.begin(token, self._steady()).id,
            path="",  # the folder of this path, also behind a reverse proxy
            httponly=True,
            samesite="Strict",
            secure=request.secure or request.headers.get("X-Forwarded-Proto") == "https",
        )

    def end(self, request: web.Request) -> None:
        self._sessions.end(request.cookies.get(self.cookie, ""))
