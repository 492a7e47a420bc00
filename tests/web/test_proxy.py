"""Tests the listener behind a reverse proxy: whom it believes, and nginx with a path prefix."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request

from modelwave_controller.operations import rollouts
from modelwave_controller.web.proxy import Proxies
from tests.controller.rollout_world import World
from tests.web.asking import ask
from tests.web.following import Follower
from tests.web.served import served

PREFIX = "/modelwave"
CONFIGURATION = """
daemon off; worker_processes 1; pid {folder}/pid; error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location /modelwave/ {{
      proxy_pass {url};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_read_timeout 60s;
    }}
  }}
}}
"""


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
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(nginx).exists():
        pytest.skip("nginx is not installed")
    with served(world, prefix=PREFIX) as url, ExitStack() as stack:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        file = tmp_path / "nginx.conf"
        file.write_text(CONFIGURATION.format(folder=tmp_path, port=port, url=url))
        command = [nginx, "-p", str(tmp_path), "-c", str(file), "-e", "stderr"]
        process = stack.enter_context(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        stack.callback(process.terminate)
        while process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=20).close()
                break
            except ConnectionRefusedError:
                continue
        yield f"http://127.0.0.1:{port}{PREFIX}"


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
