"""People who sign on at a reverse proxy: whom the service believes that, what they may do, and that
another site's page cannot do it for them."""

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from pydantic import ValidationError

from modelwave_controller.errors import OperatorError, UnknownPersonError
from modelwave_controller.home import ApiSettings
from modelwave_controller.operations import history
from modelwave_controller.people import tokens
from modelwave_controller.people.roles import ROLES, Person
from modelwave_controller.sign_on import SignOn, name_of
from modelwave_controller.web import doorman
from modelwave_controller.web.doorman import Doorman
from modelwave_controller.web.proxy import Proxies
from modelwave_controller.web.signed_on import SignedOn
from tests.controller.rollout_world import World, newest
from tests.web.asking import ask
from tests.web.nginx import free_port, nginx
from tests.web.page_reader import PageReader
from tests.web.served import as_set

DOCS = Path(__file__).parents[2] / "docs"
SECRET = "0123456789abcdef" * 4
PUBLIC = "https://fleet.example"
SIGN_ON = """
[api.sign_on]
user_header = "X-Forwarded-Email"
groups_header = "X-Forwarded-Groups"
secret_file = "proxy.secret"
log_out = "/oauth2/sign_out"
[api.sign_on.users]
"Ada@example.org" = "admin"
[api.sign_on.groups]
fleet = "operator"
reviewers = "approver"
"""
ADA = {"X_Forwarded_Email": "ada@example.org", "X_Modelwave_Secret": SECRET}
OTTO = {
    "X_Forwarded_Email": "otto@example.org",
    "X_Forwarded_Groups": "staff, fleet",
    "X_Modelwave_Secret": SECRET,
}
PAUSE, RESUME, ABORT = (f"/rollouts/1/{act}" for act in ("pause", "resume", "abort"))
DEVICES = "/api/v1/devices"
FOREIGN: list[dict[str, str]] = [
    {"Origin": "https://elsewhere.example"},
    {"Origin": "null"},
    {"Sec_Fetch_Site": "cross-site"},
    {"Sec_Fetch_Site": "same-site"},
]


def write_settings(world: World, api: str = f'url = "{PUBLIC}"', sign_on: str = SIGN_ON) -> None:
    (world.home.path / "proxy.secret").write_text(SECRET + "\n")
    settings = world.home.path / "controller.toml"
    text = settings.read_text().replace("[api]\n", f"[api]\n{api}\n")
    settings.write_text(text + sign_on)


@pytest.fixture(scope="module")
def url(shared_world: World) -> Iterator[str]:
    write_settings(shared_world)
    with as_set(shared_world) as found:
        yield found


@pytest.fixture
def reader(url: str) -> PageReader:
    return PageReader(url)


def csrf(reader: PageReader, **headers: str) -> str:
    return reader.get("/rollouts/1", **headers).text.split('name="csrf" value="')[1].split('"')[0]


def actors(url: str) -> list[str]:
    found = ask(url, "GET", "/api/v1/log?rollout=1", token="", **ADA).json["entries"]
    return [one["actor"] for one in found]


# Who is believed.


def test_whom_the_proxy_names_is_let_in_as_what_the_settings_say(reader: PageReader) -> None:
    for headers, word in ((ADA, "admin"), (OTTO, "operator")):
        page = reader.get("/", **headers).text
        assert f"{headers['X_Forwarded_Email']} <small>{word}</small>" in page
        assert '<a href="/oauth2/sign_out">Log out</a>' in page
    assert reader.get("/login", **ADA).headers["Location"] == "./"
    assert not reader.cookies


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X_Forwarded_Email": "ada@example.org"},  # another program of the proxy's machine
        {"X_Modelwave_Secret": SECRET},
        {"X_Forwarded_Email": " ", "X_Modelwave_Secret": SECRET},
        {"X_Forwarded_User": "ada@example.org", "X_Modelwave_Secret": SECRET},
    ],
)
def test_without_the_name_or_the_secret_nobody_is_signed_on(
    reader: PageReader, headers: dict[str, str]
) -> None:
    assert reader.get("/", **headers).headers["Location"] == "login"
    assert reader.get(DEVICES, **headers).status == 401


def test_a_wrong_secret_is_refused_and_cannot_be_guessed_at(
    shared_world: World, url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doorman, "WRONG_A_SECOND", 0.001)
    wrong = ADA | {"X_Modelwave_Secret": "f" * 64}
    with as_set(shared_world) as url:
        reader = PageReader(url)
        assert reader.get("/", **wrong).status == 303
        answers = [reader.get(DEVICES, **wrong).status for _ in range(20)]
    assert answers == [401] * 19 + [429]
    assert "X-Modelwave-Secret is not what" in caplog.text
    assert "f" * 64 not in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({"X_Forwarded_Email": "eve@example.org"}, "eve@example.org has signed on, and has no"),
        ({"X_Forwarded_Email": "local"}, "the proxy has to name one"),
        ({"X_Forwarded_Email": "a b"}, "the proxy has to name one"),
        ({"X_Forwarded_Email": "x" * 101}, "the proxy has to name one"),
        ({"X_Forwarded_Email": "<script>"}, "the proxy has to name one"),
    ],
)
def test_who_has_no_role_or_no_name_is_refused(
    reader: PageReader, headers: dict[str, str], problem: str
) -> None:
    given = headers | {"X_Modelwave_Secret": SECRET}
    for path in ("/", DEVICES):
        answer = reader.get(path, **given)
        assert answer.status == 403
        assert problem in answer.text


def test_headers_from_elsewhere_than_the_proxy_are_as_if_they_were_not_there(
    world: World,
) -> None:
    write_settings(world, 'proxies = ["192.0.2.7"]')
    with as_set(world) as url:
        assert PageReader(url).get("/", **ADA).headers["Location"] == "login"
        assert PageReader(url).get(DEVICES, **ADA).status == 401
    signs = SignedOn(
        SignOn(secret_file="x", others="viewer"), SECRET.encode(), Proxies(True, ["192.0.2.7"])
    )
    headers = {"X-Forwarded-User": "Eve", "X-Modelwave-Secret": SECRET}
    for remote, found in (("192.0.2.7", Person("eve", "viewer")), ("192.0.2.8", None)):
        request = make_mocked_request("GET", "/", headers).clone(remote=remote)
        assert signs.person(request) == found


def test_a_program_s_token_counts_where_the_proxy_names_nobody(
    shared_world: World, url: str
) -> None:
    with shared_world.store.write() as connection:
        made = tokens.make(connection, "ci", "viewer", 3600, shared_world.now, "eve@desk")
    assert ask(url, "GET", DEVICES, token=made.secret.text).status == 200
    assert ask(url, "GET", DEVICES, token="", **OTTO).status == 200


# What they do, and what is done in their name.


def test_they_act_in_their_own_name_on_the_page_and_by_the_api(
    url: str, reader: PageReader
) -> None:
    fields = {"csrf": csrf(reader, **OTTO), "reason": "lunch"}
    assert reader.post(PAUSE, fields, Origin=PUBLIC, **OTTO).status == 303
    assert ask(url, "POST", f"/api/v1{RESUME}", {}, "", **ADA).status == 200
    assert ask(url, "POST", f"/api/v1{PAUSE}", {}, "", Origin=PUBLIC, **ADA).status == 200
    assert ask(url, "POST", f"/api/v1{RESUME}", {}, "", **ADA).status == 200
    assert ask(url, "POST", "/api/v1/rollouts/1/approve", {}, "", **OTTO).status == 403
    assert actors(url)[-4:] == ["otto@example.org", *["ada@example.org"] * 3]


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_page_of_another_origin_cannot_act_for_who_signed_on(
    shared_world: World, url: str, reader: PageReader, headers: dict[str, str]
) -> None:
    """The browser sends the proxy's cookie with it, and the proxy its headers."""
    before = history.newest_id(shared_world.store)
    fields = {"csrf": csrf(reader, **OTTO)}
    assert reader.post(PAUSE, fields, **OTTO | headers).status == 403
    for body in (None, b"", {}):
        assert ask(url, "POST", f"/api/v1{PAUSE}", body, "", **OTTO | headers).status == 403
    assert ask(url, "DELETE", f"{DEVICES}/d0", None, "", **OTTO | headers).status == 403
    assert history.newest_id(shared_world.store) == before


def test_nor_can_one_in_a_browser_that_does_not_say_where_it_is_from(
    shared_world: World, url: str, reader: PageReader
) -> None:
    before = history.newest_id(shared_world.store)
    fields = {"csrf": csrf(reader, **OTTO)}
    assert reader.post(PAUSE, fields, **OTTO, Origin="").status == 403
    for kind in ("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        found = ask(url, "POST", f"/api/v1{PAUSE}", b"", "", **OTTO, Content_Type=kind)
        assert found.status == 403
    assert ask(url, "GET", DEVICES, token="", Sec_Fetch_Site="cross-site", **OTTO).status == 403
    assert history.newest_id(shared_world.store) == before


def test_a_form_needs_what_stands_in_the_pages_of_who_sends_it(reader: PageReader) -> None:
    for fields in ({"csrf": csrf(reader, **ADA)}, {"csrf": ""}, {}):
        assert reader.post(PAUSE, fields, **OTTO).status == 403


def test_who_follows_the_log_begins_anew_now_and_then() -> None:
    """So that the proxy is asked again, which may have logged them out."""
    signs = SignedOn(SignOn(secret_file="x", others="viewer"), SECRET.encode(), Proxies(True))
    door = Doorman(None, lambda: 0.0, signs=signs)  # type: ignore[arg-type]
    headers = {"X-Forwarded-User": "eve", "X-Modelwave-Secret": SECRET}
    request = make_mocked_request("GET", "/", headers).clone(remote="127.0.0.1")
    assert door.still(request, doorman.SIGNED_ON_SECONDS - 1).name == "eve"
    with pytest.raises(UnknownPersonError):
        door.still(request, doorman.SIGNED_ON_SECONDS)


# The settings.


def test_roles_are_those_of_people_and_the_first_group_counts() -> None:
    made = SignOn(
        secret_file="x",
        groups_header="X-Groups",
        users={"ada": "viewer"},
        groups={"b": "approver", "a": "admin"},
    )
    assert set(ROLES) == {"viewer", "operator", "approver", "admin"}
    assert [made.role_of(*who) for who in (("ada", "a"), ("eve", "a,b"), ("eve", "a"))] == [
        "viewer",
        "approver",
        "admin",
    ]
    assert made.role_of("eve", "") == made.role_of("eve", "c") == ""


@pytest.mark.parametrize(
    "name", ["mi\u212ae", "mike\u00a0", "\u2003mike", "m\u0131ke", "mike\udca0"]
)
def test_a_name_with_another_letter_is_not_that_of_somebody_else(name: str) -> None:
    """The Kelvin sign is a k in small letters."""
    assert name_of(" Mike\t") == "mike"
    assert name_of(name) == ""
    made = SignOn(secret_file="x", groups_header="X-Groups", groups={"mike": "admin"})
    assert made.role_of("eve", name) == ""


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"secret_file": ""}, "secret_file"),
        ({"user_header": "Cookie"}, "user_header"),
        ({"user_header": "X Y"}, "user_header"),
        ({"users": {"a b": "viewer"}}, "users"),
        ({"users": {"ada": "viewer", "Ada": "admin"}}, "users"),
        ({"users": {"ada": "root"}}, "users.ada"),
        ({"users": {}}, "users, groups or others"),
        ({"groups": {"a": "viewer"}}, "groups_header"),
        ({"log_out": "//elsewhere.example"}, "log_out"),
        ({"log_out": "javascript:alert(1)"}, "log_out"),
    ],
)
def test_wrong_settings_are_refused_by_name(settings: dict[str, Any], problem: str) -> None:
    right = {"secret_file": "x", "users": {"ada": "viewer"}}
    with pytest.raises(ValidationError, match=problem):
        SignOn.model_validate(right | settings)


def test_without_a_proxy_nobody_signs_on_and_a_short_secret_is_refused(world: World) -> None:
    with pytest.raises(ValidationError, match="no proxy is believed"):
        ApiSettings(sign_on=SignOn(secret_file="x", others="viewer"))
    write_settings(world)
    (world.home.path / "proxy.secret").write_text("short\n")
    problem = r"api\.sign_on\.secret_file: give at least"
    with pytest.raises(OperatorError, match=problem), as_set(world):
        pass


# With nginx, as docs/page.md has it.


class SignsOn(http.server.BaseHTTPRequestHandler):
    """Stands for oauth2-proxy: who has the cookie `session=NAME` has signed on."""

    def do_GET(self) -> None:
        name = (self.headers["Cookie"] or "").partition("session=")[2].partition(";")[0]
        self.send_response(202 if name else 401)
        if name:
            self.send_header("X-Auth-Request-Email", f"{name}@example.org")
            self.send_header("X-Auth-Request-Groups", "fleet" if name == "otto" else "")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def signing_on() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), SignsOn) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def documented() -> str:
    """Returns the lines for nginx of the docs."""
    text = (DOCS / "page.md").read_text()
    return text.partition("```nginx\n")[2].partition("```")[0]


def test_nginx_asks_the_sign_on_and_lets_nobody_say_who_they_are(
    world: World, tmp_path: Path
) -> None:
    port = free_port()
    public = f"http://127.0.0.1:{port}/modelwave"
    (tmp_path / "secret.conf").write_text(f'proxy_set_header X-Modelwave-Secret "{SECRET}";\n')
    with world.store.write() as connection:
        token = tokens.make(connection, "ci", "viewer", 3600, world.now, "eve@desk").secret.text
    write_settings(world, f'url = "{public}"')
    with as_set(world) as url, signing_on() as sign_on:
        lines = documented().replace("127.0.0.1:8181", url.removeprefix("http://"))
        lines = lines.replace("127.0.0.1:4180", sign_on)
        lines = lines.replace("/etc/nginx/modelwave-secret.conf", str(tmp_path / "secret.conf"))
        with nginx(tmp_path, port, lines):
            reader = PageReader(public)
            forged = {"X_Forwarded_Email": "ada@example.org", "X_Modelwave_Secret": "x"}
            for headers in ({}, forged, forged | {"X_Forwarded_Groups": "fleet"}):
                for path in ("/", DEVICES):
                    answer = reader.get(path, **headers)
                    sign_on = f"/oauth2/start?rd=/modelwave{path}"
                    assert answer.headers["Location"].endswith(sign_on), answer
            assert reader.get(DEVICES, Authorization=f"Bearer {token}", **forged).status == 200
            assert reader.get(DEVICES, Authorization="Bearer mw_wrong", **forged).status == 401
            otto = {"Cookie": "session=otto"}
            assert "otto@example.org <small>operator</small>" in reader.get("/", **otto).text
            page = reader.get("/rollouts/1", **forged, **otto)
            assert "otto@example.org <small>operator</small>" in page.text
            fields = {"csrf": csrf(reader, **otto), "reason": "lunch"}
            assert reader.post(ABORT, fields, **otto, Origin="http://127.0.0.1:1").status == 403
            assert reader.post(ABORT, fields, **otto).status == 303
            assert reader.get("/", Cookie="session=eve").status == 403
            log = reader.get("/api/v1/log?rollout=1", Authorization=f"Bearer {token}").text
            assert json.loads(log)["entries"][-1]["actor"] == "otto@example.org"
    assert newest(world).status == "ABORTED"
