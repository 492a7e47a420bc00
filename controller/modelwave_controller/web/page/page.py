"""The page at the listener for operators: HTML for people, made from the same calls as the API.

Who is not logged in is sent to the form for an access token. Forms act by calls; what a role may
not do is refused there, and not offered in the first place.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any, Protocol

from aiohttp import web

from modelwave_controller.api.call import GET, POST
from modelwave_controller.api.problem import problem_of
from modelwave_controller.desk.desk import Desk
from modelwave_controller.errors import (
    BusyError,
    ModelwaveError,
    NotFoundError,
    OperatorError,
    TrustError,
    UnknownPersonError,
)
from modelwave_controller.people.roles import Person
from modelwave_controller.service.guard import whole_body
from modelwave_controller.web import own_requests
from modelwave_controller.web.page import forms, views
from modelwave_controller.web.page.asking import Asking
from modelwave_controller.web.page.files import LONG, static_files
from modelwave_controller.web.page.forms import Form
from modelwave_controller.web.page.headers import FRESH, HEADERS
from modelwave_controller.web.page.logins import Logins
from modelwave_controller.web.page.rendering import render
from modelwave_controller.web.page.views import View
from modelwave_controller.web.public_url import HERE, PublicUrl

MAX_FORM_BYTES = 8 << 10
AT_ONCE = 8  # pages that are made; further ones wait
SESSION_ENDED = "you were logged out: your token or your session has ended; log in again"

DeskOf = Callable[[Person], AbstractContextManager[Desk]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Add = Callable[[str, str, Handler], None]

logger = logging.getLogger(__name__)


class Door(Protocol):
    """The doorman, as far as the page asks it. Each raises UnknownPersonError or BusyError."""

    def holder(self, token: Callable[[], str], address: str) -> Person:
        """Returns whose the token is, for an address."""

    def address(self, request: web.Request) -> str:
        """Returns from where a request is, for the bounds on wrong tokens."""

    def signed_on(self, request: web.Request) -> Person | None:
        """Returns whom a proxy has let in, if one has. Raises ForbiddenError too."""


class Page:
    """Use it in one event loop."""

    def __init__(
        self,
        fleet: str,
        door: Door,
        desk_of: DeskOf,
        logins: Logins,
        public: PublicUrl = HERE,
    ) -> None:
        self._fleet = fleet
        self._door = door
        self._desk_of = desk_of
        self._logins = logins
        self._public = public
        self._files = static_files()
        self._at_once = asyncio.Semaphore(AT_ONCE)

    def add_routes(self, add: Add) -> None:
        """`add` is given each method and path, and what answers there."""
        add(GET, "/static/{name}", self._static)
        add(GET, "/login", self._answering(self._login_page))
        add(POST, "/login", self._answering(self._login))
        add(POST, "/logout", self._answering(self._logout))
        for view in views.VIEWS:
            add(GET, view.path, self._answering(self._shows(view)))
        for form in forms.FORMS:
            add(POST, form.path, self._answering(self._takes(form)))

    def _answering(self, handler: Handler) -> Handler:
        """Returns the handler with the page's headers, and errors as pages."""

        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                if request.method == POST:  # before it has one of few places
                    await _require_form(request)
                async with self._at_once:
                    response = await handler(request)
            except UnknownPersonError:
                response = self._to_login(request)
            except ModelwaveError as error:
                response = self._problem(request, error)
            except (asyncio.CancelledError, ConnectionError, web.HTTPException):
                raise
            except Exception:
                logger.exception("the page %s failed", request.path[:200])
                response = self._problem(
                    request, ModelwaveError("the service failed: its log says how; try again")
                )
            response.headers.update(HEADERS | FRESH)
            return response

        return answer

    # Pages.

    def _shows(self, view: View) -> Handler:
        async def show(request: web.Request) -> web.StreamResponse:
            return await asyncio.to_thread(self._shown, view, request)

        return show

    def _shown(
        self,
        view: View,
        request: web.Request,
        problem: str = "",
        form: Mapping[str, str] | None = None,
        more: Mapping[str, Any] = MappingProxyType({}),
    ) -> web.Response:
        """Returns the page. `form`: the fields of its form, in place of the query; if the act was
        refused, `problem` says why, else it may have `more` to show."""
        person = self._known(request)
        query = request.query if form is None else form
        with self._desk_of(person) as desk:
            values = view.values(Asking(desk), request.match_info, query)
        values |= {"problem": problem, "done": request.query.get("done", ""), **more}
        status = 422 if problem else 200
        return self._rendered(request, view.template, values, status)

    def _known(self, request: web.Request) -> Person:
        """Returns who is logged in. Raises UnknownPersonError if nobody is, or their token has
        ended, and ForbiddenError for who signed on and has no role."""
        if signed := self._door.signed_on(request):
            return signed
        session = self._logins.session(request)
        if session is None:
            raise UnknownPersonError(SESSION_ENDED)
        try:
            token = session.token
            person = self._door.holder(lambda: token, self._door.address(request))
        except UnknownPersonError:
            self._logins.end(request)
            raise
        session.person = person
        return person

    def _rendered(
        self,
        request: web.Request,
        template: str,
        values: dict[str, Any],
        status: int = 200,
    ) -> web.Response:
        session = self._logins.session(request)
        versions = {name: one.version for name, one in self._files.items()}
        path = self._public.own(request.path)
        values = {
            "fleet_name": self._fleet,
            "person": session.person if session else None,
            "csrf": session.csrf if session else "",
            "signed_on": session is not None and session.signed_on,
            "log_out": self._logins.log_out,
            "versions": versions,
            "here": path.split("/")[1],
        } | values
        body = render(template, path, values)
        return web.Response(body=body, status=status, content_type="text/html", charset="utf-8")

    def _problem(self, request: web.Request, error: ModelwaveError) -> web.Response:
        told = problem_of(error)
        values = {"title": told.title, "detail": told.detail}
        response = self._rendered(request, "problem.html", values, told.status)
        if isinstance(error, BusyError):
            response.headers["Retry-After"] = str(round(error.seconds + 0.5))
        return response

    def _up(self, request: web.Request) -> str:
        """Returns the way from a page to the page's root, which a link begins with."""
        return "../" * (self._public.own(request.path).count("/") - 1)

    # Who is there.

    def _to_login(self, request: web.Request) -> web.Response:
        return web.Response(status=303, headers={"Location": f"{self._up(request)}login"})

    async def _login_page(self, request: web.Request) -> web.StreamResponse:
        session = self._logins.session(request)
        if session is not None and session.signed_on:
            return web.Response(status=303, headers={"Location": "./"})
        return self._rendered(request, "login.html", {"problem": ""})

    async def _login(self, request: web.Request) -> web.StreamResponse:
        form = await _form(request)
        self._require_own_origin(request)
        text = form.get("token", "").strip()
        address = self._door.address(request)
        try:
            await asyncio.to_thread(self._door.holder, lambda: text, address)
        except (UnknownPersonError, BusyError) as error:
            status = problem_of(error).status
            return self._rendered(request, "login.html", {"problem": str(error)}, status)
        response = web.Response(status=303, headers={"Location": "./"})
        self._logins.begin(request, text, response)
        return response

    async def _logout(self, request: web.Request) -> web.StreamResponse:
        await self._own_form(request)
        self._logins.end(request)
        return web.Response(status=303, headers={"Location": "login"})

    async def _own_form(self, request: web.Request) -> dict[str, str]:
        """Returns the fields of a form of our own page. Raises ForbiddenError for others."""
        form = await _form(request)
        self._require_own_origin(request)
        session = self._logins.session(request)
        if session is None:
            raise UnknownPersonError(SESSION_ENDED)
        own_requests.require_token(form.pop("csrf", ""), session.csrf)
        return form

    def _require_own_origin(self, request: web.Request) -> None:
        own_requests.require_own_origin(request.headers, request.host, self._public.origin)

    # Acts.

    def _takes(self, form: Form) -> Handler:
        async def take(request: web.Request) -> web.StreamResponse:
            fields = await self._own_form(request)
            return await asyncio.to_thread(self._taken, form, request, fields)

        return take

    def _taken(self, form: Form, request: web.Request, fields: dict[str, str]) -> web.Response:
        person = self._known(request)
        try:
            with self._desk_of(person) as desk:
                found = form.does(Asking(desk), request.match_info, fields)
        except NotFoundError:
            raise
        except (OperatorError, TrustError) as error:
            return self._shown(views.BY_PATH[form.view], request, str(error), fields)
        if isinstance(found, str):
            return web.Response(status=303, headers={"Location": self._up(request) + found})
        return self._shown(views.BY_PATH[form.view], request, form=fields, more=found)

    async def _static(self, request: web.Request) -> web.StreamResponse:
        found = self._files.get(request.match_info["name"])
        if found is None:
            raise web.HTTPNotFound
        return web.Response(
            body=found.data,
            content_type=found.content_type,
            charset="utf-8",
            headers=HEADERS | LONG,
        )


async def _require_form(request: web.Request) -> None:
    """Waits for the whole form, of somebody who may be anybody. Raises OperatorError if the body is
    none, and ConnectionError as `whole_body`."""
    kind = "application/x-www-form-urlencoded"
    if request.content_type != kind:
        raise OperatorError(f"Content-Type: a form is {kind}")
    is_long = (request.content_length or 0) > MAX_FORM_BYTES
    if is_long or len(await whole_body(request)) > MAX_FORM_BYTES:
        raise OperatorError(f"the form: at most {MAX_FORM_BYTES} bytes")


async def _form(request: web.Request) -> dict[str, str]:
    """Returns the fields of a form that is there, each given once. Raises OperatorError."""
    found: dict[str, str] = {}
    for name, value in (await request.post()).items():
        if name in found or not isinstance(value, str):
            raise OperatorError(f"{name[:40]}: give it once, as text")
        found[name] = value
    return found
