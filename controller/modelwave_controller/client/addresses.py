"""Checks the address of a service."""

import ipaddress
from urllib.parse import SplitResult, urlsplit

from modelwave_controller.errors import OperatorError


def checked(url: str, what: str = "--server") -> SplitResult:
    """Returns the parts of the URL. Raises OperatorError, which names `what`, also for a token that
    would be sent in clear text to another machine."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise OperatorError(f"{what}: no URL: give https://HOST") from error
    plain = url.isascii() and url.isprintable() and " " not in url
    if not plain or parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise OperatorError(f"{what}: give https://HOST, with :PORT and a path where needed")
    if parts.username is not None or parts.password is not None:
        raise OperatorError(f"{what}: no user or password in the URL: a token says who asks")
    if parts.query or parts.fragment:
        raise OperatorError(f"{what}: leave out what follows the path")
    if parts.scheme == "http" and not _is_here(parts.hostname):
        raise OperatorError(
            f"{what}: http:// would send the access token in clear text to {parts.hostname}: give "
            "https://; http:// is for this machine alone"
        )
    return parts


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
