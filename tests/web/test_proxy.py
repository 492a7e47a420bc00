"""Tests the listener behind a reverse proxy: whom it believes, and nginx with a path prefix."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from aiohttp.test_utils import make_mocked_request

from modelwave_controller.operations import rollouts
from modelwave_controller.web.proxy import Proxies
from tests.controller.rollout_world import World, newest
from tests.web.asking import ask
from tests.web.following import Follower
from tests.web.nginx import LOCATION, free_port, nginx
from tests.web.page_reader import PageReader
from tests.web.served import served

PREFIX = "/modelwave"
LINKS = re.compile(r'(href|src|action|data-stream)="([^"#]+)"')


@pytest.mark.parametrize(
    ("remote", "given", "believed"),
    [
        ("127.0.0.1", "192.0.2.7", "192.0.2.7"),
        ("127.0.0.1", "198.51.100.1, 192.0.2.7", "192.0.2.7"),  # the first is what they said
        ("127.0.0.1", "192.0.2.7, 10.0.0.2", "192.0.2.7"),  # of two proxies
        ("127.0.0.1", "192.0.2.7, nonsense", "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("203.0.113.5", "192.0.2.7", "203.0.113.5"),  # no proxy
        ("::1", "2001:db8::1", "2001:db8::1"),
    ],
)
def test_only_a_proxy_is_believed_who_asks(remote: str, given: str, believed: str) -> None:
    headers = {"X-Forwarded-For": given} if given else {}
    request = make_mocked_request("GET", "/", headers).clone(remote=remote)
    assert Proxies(True, ["10.0.0.2"]).address(request) == believed
    assert Proxies().address(request) == remote


@pytest.fixture
def behind_nginx(world: World, tmp_path: Path) -> Iterator[str]:
    port = free_port()
    found = f"http://127.0.0.1:{port}{PREFIX}"
    with (
        served(world, public_url=found) as url,
        nginx(tmp_path, port, LOCATION.format(path=f"{PREFIX}/", url=url)),
    ):
        yield found


@pytest.mark.slow
def test_nginx_puts_it_below_a_path_and_keeps_no_event_back(
    world: World, behind_nginx: str
) -> None:
    document = ask(behind_nginx, "GET", "/api/v1/openapi.json").json
    assert document["servers"] == [{"url": PREFIX}]
    assert ask(behind_nginx, "GET", "/api/v1/devices").status == 200
    assert ask(behind_nginx, "POST", "/api/v1/rollouts/1/pause", {}, "viewer").status == 403
    with ExitStack() as stack:
        readers = [stack.enter_context(Follower(behind_nginx, "viewer")) for _ in range(200)]
        for reader in readers:
            reader.block()
        rollouts.pause(world.store, "1", "lunch", world.now, "eve@desk")
        assert {reader.event()["reason"] for reader in readers} == {"lunch"}


@pytest.mark.parametrize("takes_away", [False, True])
def test_below_a_path_no_link_of_the_page_leads_elsewhere_and_its_forms_act(
    world: World, tmp_path: Path, takes_away: bool
) -> None:
    """Whether the proxy takes the path away or not. It passes on a Host of its own."""
    world.shelve(1)
    port = free_port()
    public = f"http://127.0.0.1:{port}{PREFIX}"
    with served(world, public_url=public) as url:
        location = LOCATION.format(path=f"{PREFIX}/", url=url + "/" * takes_away)
        with nginx(tmp_path, port, location):
            reader = PageReader(public)
            sent_away = reader.get("/rollouts/1").headers["Location"]
            assert urljoin(f"{public}/rollouts/1", sent_away) == f"{public}/login"
            reader.log_in("operator")
            found = links_from(reader, public)
            assert {"/", "/rollouts/1", "/devices/d1", "/log", "/api/v1/log/stream"} <= found
            assert "Aborted." in reader.act("/rollouts/1/abort", reason="lunch").text
            elsewhere = reader.post("/logout", {"csrf": reader.csrf()}, Origin="http://127.0.0.1:1")
            assert elsewhere.status == 403
            assert reader.post("/logout", {"csrf": reader.csrf()}).status == 303
    assert newest(world).status == "ABORTED"


def links_from(reader: PageReader, public: str) -> set[str]:
    """Opens each link from the first page on; returns all paths to which pages lead, which are
    below the public URL, as those of their forms."""
    found, opened = {"/"}, {"/api/v1/log/stream"}
    while new := found - opened:
        for path in new:
            answer = reader.get(path)
            assert answer.status == 200, path
            for kind, link in LINKS.findall(answer.text):
                leads = urljoin(public + path, link)
                assert leads.startswith(public + "/"), (path, link)
                if kind != "action":
                    found.add(urlsplit(leads).path.removeprefix(PREFIX))
        opened |= new
    return found
