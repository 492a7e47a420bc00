"""Decides whether a request was sent by our own page, and not by another site's. Pure.

The cookie is SameSite=Strict, so that no browser sends it with another site's request. Another port
of the same host is the same site, though, and a browser may be old; so a form also has to

    come from our origin   by Origin, or where a browser sends that, by Sec-Fetch-Site; ours is
                           where the request was sent, or that of the public URL, as a reverse
                           proxy may pass on another Host
    have the token         that stands in the forms of the session's pages, which nobody else reads

Who signed on at a proxy has a cookie of the proxy's, of which we know nothing. So what they ask of
the API is to be from our origin as well; a program sends neither header, and has to send JSON, a
file, or DELETE, which no browser does for another site without asking us first.
"""

import hmac
from collections.abc import Mapping

from modelwave_controller.api.call import OCTETS
from modelwave_controller.errors import ForbiddenError

FOREIGN = "this form was not sent by the page itself: open the page, and send it from there"
ELSEWHERE = "this was sent by another site's page"
NO_PAGE = (
    "Content-Type: send application/json, also without a body, as this may be another site's page "
    "else; or send an access token"
)
READS = ("GET", "HEAD")
NO_FORM = ("application/json", OCTETS)


def require_own_origin(headers: Mapping[str, str], host: str, public: str = "") -> None:
    """`host`: that of the request, with its port; `public`: the origin of the public URL, "" if
    there is none. Raises ForbiddenError."""
    site = headers.get("Sec-Fetch-Site")
    origin = headers.get("Origin")
    if site is not None and site != "same-origin":
        raise ForbiddenError(FOREIGN)
    if origin is None:
        if site is None:
            raise ForbiddenError(FOREIGN)
        return
    if site is None and origin != public and origin.partition("://")[2] != host:
        raise ForbiddenError(FOREIGN)


def require_not_foreign(
    method: str, headers: Mapping[str, str], host: str, public: str = ""
) -> None:
    """Raises ForbiddenError for a request to the API by who signed on at a proxy, if it may be
    another site's; the arguments are as above."""
    if method in READS:
        if headers.get("Sec-Fetch-Site") == "cross-site":
            raise ForbiddenError(ELSEWHERE)
    elif "Sec-Fetch-Site" in headers or "Origin" in headers:
        require_own_origin(headers, host, public)
    elif method != "DELETE" and _kind(headers) not in NO_FORM:
        raise ForbiddenError(NO_PAGE)


def _kind(headers: Mapping[str, str]) -> str:
    return headers.get("Content-Type", "").partition(";")[0].strip().lower()


def require_token(given: str, csrf: str) -> None:
    """Raises ForbiddenError unless the form's token is that of the session."""
    if not hmac.compare_digest(given.encode(), csrf.encode()):
        raise ForbiddenError(FOREIGN)
