"""Tests what a listener does with requests that nobody means well, and what its answers have."""

import asyncio
import gzip
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from modelwave_controller.api.problem import MEDIA_TYPE, Problem
from modelwave_controller.connections import Bounds
from modelwave_controller.people import tokens
from modelwave_controller.people.roles import Person
from modelwave_controller.service import guard
from modelwave_controller.web import listener, said
from tests.controller.rollout_world import World
from tests.web.asking import Answer, ask
from tests.web.served import served, served_to_tokens

PAUSE, DEVICES, LOG = "/api/v1/rollouts/1/pause", "/api/v1/devices", "/api/v1/log"
OPENAPI = "/api/v1/openapi.json"


@pytest.fixture(scope="module")
def url(shared_url: str) -> str:
    return shared_url


def require_problem(answer: Answer, status: int) -> str:
    assert answer.status == status, answer
    assert answer.headers["content-type"].partition(";")[0] == MEDIA_TYPE
    found = Problem.model_validate_json(answer.body)
    assert found.status == status
    assert len(answer.body) < 2000
    return found.detail


@pytest.mark.parametrize(
    "body",
    [
        b'{"reason": "a", "reason": "b"}',
        b'{"reason": NaN}',
        b'{"reason": 1e999}',
        b'{"reason": "\\ud800"}',
        b'{"reason": "\\u0000"}',
        b'{"reason": "\xed\xa0\x80"}',
        b"\xff\xfe{}",
        b"[" * 100_000,
        b'{"reason":' * 50_000,
        b'{"reason": ' + b"9" * 100_000 + b"}",
        b'{"reason": ' + b"9" * 4000 + b"}",
        b'{"reason": null}',
        b'{"other": 1}',
        b'{"rollout": "2"}',
        b"[]",
        b'"x"',
        b"{",
        b'{"reason": "' + b"x" * 201 + b'"}',
        b'{"reason": "a\\nb"}',
    ],
    ids=lambda body: repr(body[:24]),
)
def test_a_body_that_is_none_is_refused(url: str, body: bytes) -> None:
    require_problem(ask(url, "POST", PAUSE, body), 422)


@pytest.mark.parametrize(
    "path",
    [
        f"{DEVICES}?other=1",
        f"{DEVICES}?limit=1&limit=2",
        f"{DEVICES}?limit={'9' * 5000}",
        f"{DEVICES}?limit=-1",
        f"{DEVICES}?limit=1.5",
        f"{DEVICES}?tag=%00",
        f"{DEVICES}?tag=%ED%A0%80",
        f"{DEVICES}?offline=perhaps",
        f"{LOG}?since=nan",
        f"{LOG}?since=inf",
        f"{LOG}?since=-1",
        f"{LOG}?cursor=1-2-3",
        f"{DEVICES}/a%2Fb",
        f"{DEVICES}/..%2F..%2Fetc",
        f"{DEVICES}/%00",
        f"{DEVICES}/%ED%A0%80",
        f"{DEVICES}/{'x' * 2000}",
    ],
    ids=lambda path: path[:40],
)
def test_a_path_or_query_that_is_none_is_refused(url: str, path: str) -> None:
    require_problem(ask(url, "GET", path), 422)


@pytest.mark.parametrize(
    "path", ["/api/v1/rollouts/%ED%A0%80", "/api/v1/rollouts/a%2Fb", "/api/v1/%2e%2e/x", "/x", "//"]
)
def test_what_there_is_not_is_not_found(url: str, path: str) -> None:
    require_problem(ask(url, "GET", path), 404)


def test_what_anybody_may_ask_for_is_made_once(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ask(url, "GET", OPENAPI, token="")
    monkeypatch.setattr(listener.openapi, "document", None)
    again = ask(url, "GET", OPENAPI, token="", If_None_Match=found.headers["etag"])
    assert (again.status, again.body) == (304, b"")


def test_a_body_that_is_too_long_is_refused(url: str) -> None:
    body = b" " * (listener.MAX_BODY_BYTES + 1)
    assert "1048576 bytes" in require_problem(ask(url, "POST", PAUSE, body), 413)


@contextmanager
def half_forms(url: str, number: int) -> Iterator[list[socket.socket]]:
    """Opens connections that have sent the first letters of a form, as anybody may."""
    said = (
        "POST /login HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        "Content-Length: 100\r\n\r\ntoken="
    )
    held = []
    for _ in range(number):
        one = socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=5)
        one.sendall(said.encode())
        held.append(one)
    yield held
    for one in held:
        one.close()


def test_forms_that_do_not_come_hold_up_nobody_and_are_ended(
    shared_world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(guard, "WANTED_BODY_SECONDS", 0.5)
    with served(shared_world) as url, half_forms(url, 20) as held:
        for path in ("/login", "/", DEVICES):
            assert ask(url, "GET", path).status in (200, 303)
        for one in held:
            assert one.recv(1) == b""
    assert "Traceback" not in caplog.text


def test_a_form_that_does_not_come_makes_place_for_who_asks(shared_world: World) -> None:
    with served(shared_world, bounds=Bounds(4, 4, 4)) as url, half_forms(url, 4):
        assert ask(url, "GET", DEVICES).status == 200


def test_who_asks_for_much_at_once_holds_up_nobody_else(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, goes_on = listener.Listener._answer, threading.Event()

    def slow(self: listener.Listener, call: Any, asked: Any, person: Person, sent: Any) -> bytes:
        if person.role == "viewer":
            goes_on.wait(20)
        return answer(self, call, asked, person, sent)

    monkeypatch.setattr(listener.Listener, "_answer", slow)
    with ThreadPoolExecutor(10) as many:
        asked = [many.submit(ask, url, "GET", DEVICES, token="viewer") for _ in range(10)]
        try:
            time.sleep(0.3)
            assert ask(url, "GET", DEVICES).status == 200
            assert not any(one.done() for one in asked)
        finally:
            goes_on.set()
        assert {one.result().status for one in asked} == {200}


def test_a_long_body_is_read_beside_what_else_the_service_does(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = said.read

    def seen(*asked: Any) -> Any:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return read(*asked)

    monkeypatch.setattr(said, "read", seen)
    plan = {"stages": [{}] * 100_000}
    assert "stages.0" in ask(url, "POST", "/api/v1/plans/lint", {"plan": plan}).json["detail"]


@pytest.mark.parametrize("length", ["8193", ""])
def test_a_form_that_is_too_long_is_refused(url: str, length: str) -> None:
    said = {"Content_Type": "application/x-www-form-urlencoded"}
    said |= {"Content_Length": length} if length else {"Transfer_Encoding": "chunked"}
    body = b"2001\r\n" + b"a" * 8193 + b"\r\n0\r\n\r\n"
    answer = ask(url, "POST", "/login", b"a" * 8193 if length else body, **said)
    assert answer.status == 422
    assert b"at most 8192 bytes" in answer.body


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Type": "text/plain"},
        {"Content_Type": "application/x-www-form-urlencoded"},
        {"Content_Type": "multipart/form-data; boundary=x"},
        {"Content_Encoding": "gzip"},
    ],
)
def test_a_body_of_another_type_is_refused(url: str, headers: dict[str, str]) -> None:
    body = gzip.compress(b"{}") if "Content_Encoding" in headers else b"{}"
    require_problem(ask(url, "POST", PAUSE, body, **headers), 415)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "DELETE", "TRACE"])
def test_a_method_that_a_path_has_not_is_refused(url: str, method: str) -> None:
    answer = ask(url, method, PAUSE)
    require_problem(answer, 405)
    assert answer.headers["allow"] == "POST"
    assert "access-control-allow-origin" not in answer.headers


def test_head_is_get_without_its_body(url: str) -> None:
    head, get = ask(url, "HEAD", DEVICES), ask(url, "GET", DEVICES)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["etag"] == get.headers["etag"]
    assert ask(url, "HEAD", DEVICES, token="").status == 401


@pytest.mark.parametrize(
    "text",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"\x16\x03\x01\x02\x00 what a TLS client says",
        b"GE\x00T / HTTP/1.1\r\n\r\n",
    ],
    ids=lambda text: repr(text[:30]),
)
def test_what_is_no_request_is_refused(url: str, text: bytes) -> None:
    found = spoken(url, text)
    head, _, body = found.partition(b"\r\n\r\n")
    assert head.split()[1] == b"400"
    assert b"aiohttp" not in found
    assert Problem.model_validate_json(body).status == 400


def spoken(url: str, text: bytes) -> bytes:
    """Sends this text; returns all that is answered until the end of the connection."""
    host, port = urlsplit(url).hostname, urlsplit(url).port
    with socket.create_connection((host, port), timeout=20) as connection:
        connection.sendall(text)
        found = b""
        while part := connection.recv(65536):
            found += part
    return found


@pytest.mark.parametrize("end", [b"\r", b"\x01", b"x" * 10_000])
def test_a_token_of_what_is_no_request_is_neither_logged_nor_answered(
    url: str, end: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as one from a file whose line ends as on Windows."""
    caplog.set_level(logging.DEBUG)
    text = b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer mw_secret" + end + b"\r\n\r\n"
    assert b"mw_secret" not in spoken(url, text)
    assert "no request of HTTP" in caplog.text
    assert "mw_secret" not in caplog.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", DEVICES),
        ("GET", "/x"),
        ("POST", PAUSE),
        ("PUT", PAUSE),
        ("GET", "/api/v1/openapi.json"),
    ],
)
@pytest.mark.parametrize("token", ["viewer", ""])
def test_each_answer_has_the_headers_that_keep_browsers_from_more(
    url: str, method: str, path: str, token: str
) -> None:
    found = ask(url, method, path, token=token).headers
    assert found["x-content-type-options"] == "nosniff"
    assert found["x-frame-options"] == "DENY"
    assert found["referrer-policy"] == "no-referrer"
    assert found["content-security-policy"].startswith("default-src 'none'")
    assert found["cache-control"] in ("no-store", "private, no-cache")
    assert found["server"] == "modelwave"


def test_no_log_has_a_token(
    shared_world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("a bug")

    with shared_world.store.write() as connection:
        made = tokens.make(connection, "ci", "operator", 3600, shared_world.now, "eve@desk")
    text = made.secret.text
    wrong = text[:-8] + "00000000"
    caplog.set_level(logging.DEBUG)
    with served_to_tokens(shared_world) as url:
        assert ask(url, "GET", DEVICES, token=text).status == 200
        assert ask(url, "GET", f"{DEVICES}?token={text}", token=text).status == 422
        assert ask(url, "GET", f"/{text}", token=wrong).status == 404
        assert ask(url, "GET", DEVICES, token=wrong).status == 401
        refused = ask(url, "GET", DEVICES, token=f"{text}\t{text}")
        assert refused.status == 401
        assert ask(url, "POST", PAUSE, {"reason": 1}, token=text).status == 422
        with monkeypatch.context() as patched:
            patched.setattr("modelwave_controller.desk.devices.DeviceList", fails)
            assert ask(url, "GET", DEVICES, token=text).status == 500
    assert "a bug" in caplog.text
    said = caplog.text + json.dumps([str(r.args) for r in caplog.records]) + str(refused)
    assert text.split("_")[-1] not in said
    assert wrong.split("_")[-1] not in said
