"""Who signed on at a reverse proxy, by the headers in which it says so.

They are believed of a proxy alone (proxy.py), and only with the secret that it shares with the
service: another program of the proxy's machine has its address too. From anybody else they are as
if they were not there. What the proxy has of a browser is a cookie, which other sites' requests may
have as well; so own_requests.py decides whether a request is our own page's.
"""

import hashlib
import hmac
import secrets

from aiohttp import web

from modelwave_controller.errors import ForbiddenError, UnknownPersonError
from modelwave_controller.people.roles import Person
from modelwave_controller.people.tokens import RESERVED
from modelwave_controller.sign_on import NAME, SECRET_HEADER, SignOn, name_of
from modelwave_controller.web.proxy import NO_PROXIES, Proxies

WRONG_SECRET = f"the proxy's {SECRET_HEADER} is not what [api.sign_on] secret_file has"


class SignedOn:
    """Threads may share it."""

    def __init__(
        self, settings: SignOn | None = None, secret: bytes = b"", proxies: Proxies = NO_PROXIES
    ) -> None:
        """`settings` None: nobody is signed on. `secret`: that of the proxy, not empty."""
        self._settings = settings
        self._secret = secret
        self._proxies = proxies
        self._key = secrets.token_bytes(32)

    @property
    def log_out(self) -> str:
        return self._settings.log_out if self._settings else ""

    def person(self, request: web.Request) -> Person | None:
        """Returns whom the proxy has let in; None if it says nothing, or no proxy does. Raises
        UnknownPersonError for a wrong secret, ForbiddenError for who has no role."""
        settings = self._settings
        if settings is None or not self._proxies.has(request.remote or ""):
            return None
        shown = request.headers.getall(SECRET_HEADER, [])
        if not shown:
            return None
        if not hmac.compare_digest("\n".join(shown).encode("utf-8", "replace"), self._secret):
            raise UnknownPersonError(WRONG_SECRET, WRONG_SECRET)
        given = request.headers.getall(settings.user_header, [])
        if not "".join(given).strip():
            return None
        name = name_of(given[0]) if len(given) == 1 else ""
        if not name or name in RESERVED:
            raise ForbiddenError(f"{settings.user_header}: the proxy has to name one, by {NAME}")
        groups = request.headers.getall(settings.groups_header, []) if settings.groups else []
        role = settings.role_of(name, ",".join(groups))
        if not role:
            raise ForbiddenError(
                f"{name} has signed on, and has no role here: an admin gives one under "
                "[api.sign_on] in controller.toml"
            )
        return Person(name, role)

    def csrf(self, name: str) -> str:
        """Returns what stands in the forms of this person's pages."""
        return hmac.new(self._key, name.encode(), hashlib.sha256).hexdigest()
