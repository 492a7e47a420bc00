"""Decides whether a form was sent by our own page. Pure.

The cookie is SameSite=Strict, so that no browser sends it with another site's request. Another port
of the same host is the same site, though, and a browser may be old; so a form also has to

    come from our origin   by Origin, or where a browser sends that, by Sec-Fetch-Site; ours is
                           where the request was sent, or that of the public URL, as a reverse
                           proxy may pass on another Host
    have the token         that stands in the forms of the session's pages, which nobody else reads
"""

import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

from modelwave_controller.errors import ForbiddenError

FOREIGN = "this form was not sent by the page itself: open the page, and send it from there"


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
    if site is None and origin != public and urlsplit(origin).netloc != host:
        raise ForbiddenError(FOREIGN)


def require_token(given: str, csrf: str) -> None:
    """Raises ForbiddenError unless the form's token is that of the session."""
    if not hmac.compare_digest(given.encode(), csrf.encode()):
        raise ForbiddenError(FOREIGN)
