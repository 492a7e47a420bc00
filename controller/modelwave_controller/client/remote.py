"""Asks calls of a service over HTTP."""

import contextlib
import http.client
import json
import secrets
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from pydantic import ValidationError

from modelwave_controller.api.call import OCTETS, POST, PREFIX, AnswerT, AskedT, Call
from modelwave_controller.api.problem import MEDIA_TYPE, Problem, error_of
from modelwave_controller.client import addresses
from modelwave_controller.errors import OperatorError, ServerError
from modelwave_controller.people.roles import VIEW

if TYPE_CHECKING:
    from modelwave_controller.client.parcels import Parcel

MAX_ANSWER_BYTES = 64 << 20
TRIES = 2  # of a call: what creates has a key, so that it is done once


class Remote:
    """The service at `url`, such as https://fleet.example/modelwave. Safe to use in one thread."""

    def __init__(self, url: str, token: str, ca: str = "") -> None:
        """`ca`: a PEM file with the authorities to trust; "": those of the system. Raises
        OperatorError for a wrong URL, or a token that is none."""
        parts = addresses.checked(url)
        if not (token.isascii() and token.isprintable() and token) or " " in token:
            raise OperatorError(
                "the access token: empty, or not one word: give it as `modelwave token create` "
                "printed it"
            )
        self.url = url.rstrip("/")
        self._token = token
        self._ca = ca
        self._parts = parts
        self._prefix = parts.path.rstrip("/")
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, call: Call[AskedT, AnswerT], asked: AskedT, sent: Path | None = None) -> AnswerT:
        """Returns the answer; `sent`: the file that the call sends, if it does. Raises the error
        that the service had, ServerError if it is not reached."""
        said = asked.model_dump(mode="json", exclude_defaults=True)
        in_path = {name: quote(str(said.pop(name)), safe="") for name in call.in_path}
        path = PREFIX + call.path.format(**in_path)
        if call.has_body:
            body = self._exchange(call, path, json.dumps(said).encode())
        else:
            path = f"{path}?{urlencode(said)}" if said else path
            body = self._exchange(call, path, _parcel(call, sent) if sent else b"")
        try:
            return call.answer.validate_json(body)
        except ValidationError as error:
            raise ServerError(
                f"{self.url}: an answer that this modelwave does not understand: is it the same "
                "version as the service?"
            ) from error

    @contextlib.contextmanager
    def streaming(
        self, call: Call[AskedT, Any], asked: AskedT, seconds: float, last: int | None
    ) -> Iterator[http.client.HTTPResponse]:
        """Yields an answer that has no end, on a connection of its own, which may be silent for so
        many `seconds`. `last`: the id of the event after which it is to begin. Raises OSError or
        HTTPException if it is cut off, and the error that the service had."""
        said = asked.model_dump(mode="json", exclude_defaults=True)
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "text/event-stream"}
        if last is not None:
            headers["Last-Event-ID"] = str(last)
        with contextlib.closing(self._new_connection()) as connection:
            connection.timeout = seconds
            path = f"{self._prefix}{PREFIX}{call.path}?{urlencode(said)}"
            connection.request(call.method, path, headers=headers)
            answer = connection.getresponse()
            if answer.status != http.client.OK:
                raise self._refused(answer, answer.read(MAX_ANSWER_BYTES))
            yield answer

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> "Remote":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _exchange(self, call: Call[Any, Any], path: str, body: "bytes | Parcel") -> bytes:
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        if call.method == POST and call.needs != VIEW:
            headers["Idempotency-Key"] = secrets.token_hex(16)
        if call.has_body:
            headers["Content-Type"] = "application/json"
        elif not isinstance(body, bytes):
            headers |= {"Content-Type": OCTETS, "Content-Length": str(body.size)}
        for left in reversed(range(TRIES)):
            try:
                connection = self._connected(call.seconds)
                return self._once(connection, call.method, self._prefix + path, body, headers)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if not left:
                    raise not_reached(self.url, error) from error
        raise AssertionError

    def _once(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: "bytes | Parcel",
        headers: dict[str, str],
    ) -> bytes:
        given = (body or None) if isinstance(body, bytes) else body.chunks()
        try:
            connection.request(method, path, given, headers)
        except ConnectionError:
            # Who refuses a long body does not wait for its end.
            if isinstance(body, bytes) or connection.sock is None:
                raise
        answer = connection.getresponse()
        found = answer.read(MAX_ANSWER_BYTES + 1)
        if len(found) > MAX_ANSWER_BYTES:
            self.close()
            raise ServerError(f"{self.url}: an answer of more than {MAX_ANSWER_BYTES} bytes")
        if answer.status == http.client.OK:
            return found
        raise self._refused(answer, found)

    def _refused(self, answer: http.client.HTTPResponse, body: bytes) -> Exception:
        kind = answer.headers.get_content_type()
        if kind == MEDIA_TYPE:
            try:
                return error_of(Problem.model_validate_json(body))
            except ValidationError:
                pass
        return ServerError(
            f"{self.url}: answered {answer.status} {answer.reason}, which no modelwave says: is "
            "the address right?"
        )

    def _connected(self, seconds: float) -> http.client.HTTPConnection:
        """Returns the connection; `seconds`: how long it may be silent from now on."""
        if self._connection is None:
            self._connection = self._new_connection()
        self._connection.timeout = seconds
        if self._connection.sock is not None:
            self._connection.sock.settimeout(seconds)
        return self._connection

    def _new_connection(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "http":
            return http.client.HTTPConnection(host, port)
        try:
            context = ssl.create_default_context(cafile=self._ca or None)
        except ssl.SSLError as error:
            raise OperatorError(f"--ca {self._ca}: no PEM file with certificates") from error
        except OSError as error:
            raise OperatorError(f"--ca {self._ca}: {error.strerror or error}") from error
        return http.client.HTTPSConnection(host, port, context=context)


def not_reached(url: str, error: Exception) -> ServerError:
    if isinstance(error, ssl.SSLCertVerificationError):
        mend = "name its certificate's authorities, by --ca or, of a context, `context add --ca`"
    else:
        mend = "does `modelwave serve` run there?"
    return ServerError(f"{url}: not reached ({_words(error)}): {mend}")


def _parcel(call: Call[Any, Any], sent: Path) -> "Parcel":
    # What a bundle is made of takes long to import.
    from modelwave_controller.client.parcels import parcel_of

    assert call.sends is not None
    return parcel_of(sent, call.sends)


def _words(error: Any) -> str:
    return str(getattr(error, "strerror", None) or error) or type(error).__name__
