"""Talks to an ssh-agent: finds an Ed25519 key that it holds, has it sign, and gives it one.

The protocol is draft-ietf-sshm-ssh-agent: a message is its length (4 bytes), its type (1 byte) and
its fields; a string is its length (4 bytes) and its bytes. Each request has a connection of its
own, so an agent that was started again is found. A whole exchange takes at most `seconds`.
"""

import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from modelwave_controller.errors import KeyAwayError, OperatorError
from modelwave_controller.phrases import listed
from modelwave_shared import dsse

PREFIX = "ssh-agent:"
MAX_MESSAGE_BYTES = 256 * 1024  # as OpenSSH's agent
MAX_KEYS = 2048  # as OpenSSH's agent
_KIND = b"ssh-ed25519"
_FAILURE, _SUCCESS = 5, 6
_LIST, _LISTED, _SIGN, _SIGNED, _ADD, _ADD_LIMITED = 11, 12, 13, 14, 17, 25
_LIFETIME, _CONFIRM = 1, 2
_NAMED = re.compile(r"([0-9a-f]{8})?(?:@(.+))?", re.ASCII)


class _Malformed(Exception):
    """The agent's answer is not what the protocol says."""


class Identity(NamedTuple):
    public: bytes  # raw
    comment: str


class Agent:
    """The agent at the socket `place`."""

    def __init__(self, place: str, seconds: float) -> None:
        self.place = place
        self.seconds = seconds

    def find(self, keyid: str) -> bytes:
        """Returns the raw public key with this id. Raises KeyAwayError if the agent does not hold
        it, OperatorError if `keyid` is ""."""
        held = self.identities()
        for one in held:
            if dsse.keyid(one.public) == keyid:
                return one.public
        names = [f"{dsse.keyid(one.public)} ({one.comment})" for one in held]
        has = f"it holds {listed(names)}" if names else "it holds no Ed25519 key, or is locked"
        if not keyid:
            raise OperatorError(f"{PREFIX} name the key, as in {PREFIX}1a2b3c4d; {has}")
        raise KeyAwayError(
            f"{PREFIX}{keyid}: the agent at {self.place} does not hold this key: add it with "
            f"ssh-add, or `modelwave key to-agent FILE`; {has}"
        )

    def identities(self) -> list[Identity]:
        """Returns the Ed25519 keys that the agent holds. Those of security keys (sk-ssh-ed25519)
        are left out, as they sign something else than the message."""
        reply = self._exchange(bytes([_LIST]), _LISTED)
        try:
            return list(_identities(reply))
        except _Malformed as error:
            raise self._wrong() from error

    def sign(self, public: bytes, message: bytes) -> bytes:
        """Returns the signature of the message. Raises KeyAwayError."""
        request = bytes([_SIGN]) + _string(_blob(public)) + _string(message) + bytes(4)
        reply = self._exchange(request, _SIGNED)
        try:
            given, rest = _taken(reply)
            kind, after = _taken(given)
            signature, left = _taken(after)
            if rest or left or kind != _KIND:
                raise _Malformed
        except _Malformed as error:
            raise self._wrong() from error
        return signature

    def add(self, seed: bytes, public: bytes, comment: str, lifetime: int, confirm: bool) -> None:
        """Gives the agent a private key, for `lifetime` seconds (0: until it ends). `confirm`: it
        asks a person before each signature. Raises KeyAwayError."""
        limits = b"" if not lifetime else bytes([_LIFETIME]) + lifetime.to_bytes(4, "big")
        limits += bytes([_CONFIRM]) if confirm else b""
        body = _string(_KIND) + _string(public) + _string(seed + public) + _string(comment.encode())
        self._exchange(bytes([_ADD_LIMITED if limits else _ADD]) + body + limits, _SUCCESS)

    def _exchange(self, request: bytes, wanted: int) -> bytes:
        """Sends a request, and returns the fields of the answer of the type `wanted`."""
        until = time.monotonic() + self.seconds
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
                link.settimeout(self.seconds)
                link.connect(self.place)
                link.sendall(_string(request))
                size = int.from_bytes(_received(link, 4, until), "big")
                if not 1 <= size <= MAX_MESSAGE_BYTES:
                    raise _Malformed
                reply = _received(link, size, until)
        except TimeoutError as error:
            raise KeyAwayError(
                f"ssh-agent: the agent at {self.place} has not answered for {self.seconds:g} "
                "seconds: confirm the signature if it asks for that, or start it again"
            ) from error
        except _Malformed as error:
            raise self._wrong() from error
        except (OSError, ValueError) as error:  # ValueError: a path that is too long, or has a NUL
            why = getattr(error, "strerror", None) or str(error)
            raise KeyAwayError(
                f"ssh-agent: there is no agent at {self.place} ({why}): start it, "
                f"`ssh-agent -a {self.place}`, and give it the key, `modelwave key to-agent FILE "
                f"--socket {self.place}`"
            ) from error
        if reply[0] == _FAILURE:
            raise KeyAwayError(
                f"ssh-agent: the agent at {self.place} refused: the key was removed, the agent is "
                "locked, or the signature was not confirmed"
            )
        if reply[0] != wanted:
            raise self._wrong()
        return reply[1:]

    def _wrong(self) -> KeyAwayError:
        return KeyAwayError(f"ssh-agent: what answers at {self.place} is no ssh-agent")


def named(text: str, base: Path, seconds: float) -> tuple[Agent, str]:
    """Returns the agent and the key id that a text names, the id "" if it names none; a socket's
    path is relative to `base`. Raises OperatorError, KeyAwayError if no agent is named."""
    keyid, place = _parts(text)
    place = str(base / place) if place else os.environ.get("SSH_AUTH_SOCK", "")
    if not place:
        raise KeyAwayError(
            f"ssh-agent: SSH_AUTH_SOCK is not set: start ssh-agent, or name its socket, as in "
            f"{PREFIX}KEYID@/run/agent.sock"
        )
    return Agent(place, seconds), keyid


def named_keyid(text: str) -> str:
    """Returns the key id that a text names. Raises OperatorError if it names none."""
    keyid, _ = _parts(text)
    if not keyid:
        raise OperatorError(f"{PREFIX} name the key, as in {PREFIX}1a2b3c4d")
    return keyid


def _parts(text: str) -> tuple[str, str]:
    found = _NAMED.fullmatch(text.removeprefix(PREFIX))
    if not found:
        raise OperatorError(
            f"{text[:100]}: after {PREFIX} comes the key's id, 8 hex digits (`ssh-add -l` does not "
            f"show it, `modelwave key show {PREFIX}` does), and if need be @SOCKET"
        )
    return found.group(1) or "", found.group(2) or ""


def _identities(reply: bytes) -> Iterator[Identity]:
    number, rest = int.from_bytes(reply[:4], "big"), reply[4:]
    if len(reply) < 4 or number > MAX_KEYS:
        raise _Malformed
    for _ in range(number):
        blob, rest = _taken(rest)
        comment, rest = _taken(rest)
        kind, after = _taken(blob)
        if kind == _KIND:
            public, left = _taken(after)
            if left or len(public) != 32:
                raise _Malformed
            yield Identity(public, comment[:100].decode("ascii", "replace"))
    if rest:
        raise _Malformed


def _blob(public: bytes) -> bytes:
    return _string(_KIND) + _string(public)


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _taken(data: bytes) -> tuple[bytes, bytes]:
    """Returns the string at the beginning of `data`, and the rest."""
    size = int.from_bytes(data[:4], "big")
    if len(data) < 4 or len(data) - 4 < size:
        raise _Malformed
    return data[4 : 4 + size], data[4 + size :]


def _received(link: socket.socket, size: int, until: float) -> bytes:
    found = b""
    while len(found) < size:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        link.settimeout(left)
        chunk = link.recv(size - len(found))
        if not chunk:
            raise _Malformed
        found += chunk
    return found
