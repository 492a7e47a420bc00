"""The home's own access token, in the file `api-token`: by it the local command line, and the first
visitor of the page, are let in before anybody has made a token.

It is an admin's, and named `local`. Only the file's owner may read it, as only they may read the
keys beside it. It is made anew when the file is missing, and when its token was revoked or is about
to expire; what it had is revoked then. Services on several machines with one database have a home
each, and so several such tokens; the oldest go when there are too many.
"""

import os
import stat
from pathlib import Path

from sqlalchemy import Connection

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError
from modelwave_controller.home import Home
from modelwave_controller.people import token_text, tokens
from modelwave_controller.people.lifetimes import DEFAULT_SECONDS
from modelwave_controller.people.roles import ADMIN
from modelwave_controller.rollout.events import LOCAL
from modelwave_controller.storage import access_tokens
from modelwave_controller.storage.access_tokens import AccessToken
from modelwave_controller.storage.store import Transactions

NAME = "api-token"
RENEWED_SECONDS = 7 * 86400  # before it expires
MAX_LOCAL = 16
_MAX_BYTES = 256
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def local_token(home: Home, store: Transactions, now: float, actor: str) -> str:
    """Returns the text of the home's own token; makes it if that is due. `now` is in Unix seconds;
    `actor` is who asks. Raises OperatorError if others may read the file, or own it."""
    path = home.path / NAME
    with store.read() as connection:
        if text := _valid(connection, path, now):
            return text
    with store.write() as connection:
        # Another process may have made it meanwhile; only one is in here.
        if text := _valid(connection, path, now):
            return text
        _make_room(connection, path, now, actor)
        made = tokens.draw(connection, LOCAL, ADMIN, DEFAULT_SECONDS, now, actor)
        # Before the commit: a file without its token is made anew, a token without a file would
        # stay valid for nobody.
        disk.replace(path, f"{made.secret.text}\n".encode(), 0o600)
        return made.secret.text


def _valid(connection: Connection, path: Path, now: float) -> str:
    """Returns the file's token if it holds for some time yet, else ""."""
    stored, text = _in_file(connection, path)
    if stored is None or not stored.live(now + RENEWED_SECONDS):
        return ""
    return text


def _make_room(connection: Connection, path: Path, now: float, actor: str) -> None:
    its, _ = _in_file(connection, path)
    others = [
        one
        for one in access_tokens.every(connection)
        if one.name == LOCAL and one.live(now) and one != its
    ]
    ended = others[MAX_LOCAL - 1 :]
    if its is not None and its.live(now):
        ended.append(its)
    tokens.end(connection, ended, now, actor, "another one takes its place")


def _in_file(connection: Connection, path: Path) -> tuple[AccessToken | None, str]:
    """Returns the token that the file holds, and its text; None if it holds none of ours."""
    text = _read(path)
    try:
        given = token_text.parse(text)
    except ValueError:
        return None, ""
    stored = access_tokens.get(connection, given.id)
    if stored is None or stored.digest != given.digest or stored.name != LOCAL:
        return None, ""
    return stored, text


def _read(path: Path) -> str:
    """Returns what the file holds, "" if there is none."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        return ""
    except OSError as error:  # a link, too
        raise OperatorError(f"{path}: {error.strerror}; delete it, and it is made anew") from error
    with open(descriptor, "rb") as file:
        _require_private(path, os.fstat(descriptor))
        return file.read(_MAX_BYTES).decode("ascii", "replace").rstrip("\n")


def _require_private(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OperatorError(f"{path} is no plain file; delete it, and it is made anew")
    if found.st_uid != os.geteuid():
        raise OperatorError(
            f"{path} belongs to another user (uid {found.st_uid}): run this as that user, or make "
            "a token of your own with `modelwave token create`"
        )
    if found.st_mode & _OTHERS:
        raise OperatorError(
            f"{path}: others may read it, so its token may be known: `modelwave token revoke "
            f"{LOCAL}`, and delete the file; it is made anew"
        )
