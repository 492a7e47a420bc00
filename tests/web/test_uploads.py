"""Bundles that are sent to the service: what is taken, what is refused and when, and what stays."""

import http.client
import resource
import shutil
import socket
import subprocess
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from modelwave_controller.api import releases as calls
from modelwave_controller.client import Remote
from modelwave_controller.errors import ForbiddenError, OperatorError, TrustError
from modelwave_controller.people import tokens
from modelwave_controller.releases.catalog import Releases
from modelwave_controller.web import uploads
from tests.controller.rollout_world import World
from tests.web.asking import Answer, ask
from tests.web.bundles import bundle, tar
from tests.web.served import served, served_to_tokens

PATH = "/api/v1/releases"
OCTETS = "application/octet-stream"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=2)) as made:
        yield made


@pytest.fixture
def url(world: World) -> Iterator[str]:
    with served(world) as made:
        yield made


def send(url: str, body: bytes, token: str = "operator", **headers: str) -> Answer:
    return ask(url, "POST", PATH, body, token, Content_Type=OCTETS, **headers)


def kept(world: World) -> set[str]:
    """All files of the home but for its database."""
    found = world.home.path.rglob("*")
    return {str(p) for p in found if p.is_file() and "modelwave.db" not in p.name}


def test_a_bundle_is_added_once_and_the_log_has_who_did_it(
    world: World, url: str, tmp_path: Path
) -> None:
    made = bundle(world, tmp_path / "b")
    answer = send(url, tar(made))
    assert answer.status == 200, answer
    found = answer.json
    assert (found["manifest"]["release"], found["new"], found["unlogged"]) == (7, True, "")
    for file in found["manifest"]["files"]:
        assert (world.home.files / file["sha256"]).stat().st_size == file["size"]
    before = kept(world)
    again = send(url, tar(made))
    assert (again.status, again.json["new"]) == (200, False)
    assert kept(world) == before
    (entry,) = ask(url, "GET", "/api/v1/log").json["entries"]
    assert (entry["kind"], entry["actor"]) == ("release_added", "some-operator")


def test_what_was_added_and_not_noted_before_a_kill_is_noted_when_it_is_sent_again(
    world: World, url: str, tmp_path: Path
) -> None:
    made = bundle(world, tmp_path / "b")
    Releases(world.home).add(made)
    for _ in range(2):
        assert not send(url, tar(made)).json["new"]
        (entry,) = ask(url, "GET", "/api/v1/log").json["entries"]
        assert (entry["kind"], entry["actor"]) == ("release_added", "some-operator")


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_any_plain_tar_of_a_bundle_is_one(
    world: World, url: str, tmp_path: Path, format: int
) -> None:
    assert send(url, tar(bundle(world, tmp_path / "b"), format=format)).status == 200


def test_what_tar_itself_makes_is_one(world: World, url: str, tmp_path: Path) -> None:
    made = bundle(world, tmp_path / "b")
    body = subprocess.run(["tar", "-c", "-C", made, "."], capture_output=True, check=True).stdout
    assert send(url, body).status == 200


def test_a_manifest_alone_is_enough_where_the_home_has_the_files(
    world: World, url: str, tmp_path: Path
) -> None:
    made = bundle(world, tmp_path / "b")
    manifest = (made / "manifest.json").read_bytes()
    refused = send(url, manifest)
    assert refused.status == 422, refused
    assert str(world.home.path) not in refused.json["detail"]
    send(url, tar(made))
    shutil.rmtree(world.home.releases)
    assert send(url, manifest).json["new"]


def entry(name: str, data: bytes = b"", **fields: object) -> bytes:
    """A part of a tar, as no program would make it."""
    made = tarfile.TarInfo(name)
    made.size = len(data)
    for field, value in fields.items():
        setattr(made, field, value)
    return made.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512)


END = bytes(1024)
NAME = "a" * 64
NEEDS = {"flash": 1 << 26, "ram": 1, "kernels": [], "runtime": "tflite", "accelerator": ""}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b"{}", "DSSE"),
        (b"{" * 5000, "longer than 4096 bytes"),
        (b"\x1f\x8b" + bytes(600), "no plain tar"),
        (b"x" * 100, "cut off"),
        (END, "no manifest.json"),
        (entry(NAME) + END, "no manifest.json"),
        (entry("../../root.json", b"x") + END, "is no file of a bundle"),
        (entry("a/b.sh", b"x") + END, "is no file of a bundle"),
        (entry(NAME, type=tarfile.SYMTYPE, linkname="/etc/passwd") + END, "is no plain file"),
        (entry(NAME, type=tarfile.LNKTYPE, linkname="manifest.json") + END, "is no plain file"),
        (entry(NAME, type=tarfile.CHRTYPE) + END, "is no plain file"),
        (entry(NAME, type=tarfile.GNUTYPE_SPARSE) + END, "is no plain file"),
        (entry(NAME, type=tarfile.GNUTYPE_LONGNAME) + END, "is no plain file"),
        (entry("x", b"9" * 70_000, type=tarfile.XHDTYPE) + END, "is no plain file"),
        (entry(NAME, b"x" * 9)[:-10], "cut off"),
        (entry(NAME, size=2**31) + END, "at most 2147483647 bytes"),
        (entry(NAME) * 2 + END, "twice"),
        (b"".join(entry(f"{n:064x}") for n in range(17)) + END, "too many"),
        (entry("d", type=tarfile.DIRTYPE) * 201 + END, "more than 200 entries"),
        (entry("manifest.json", b"x" * 4097) + END, "longer than 4096 bytes"),
        (entry("manifest.json", b"{}") + END, "the bundle/manifest.json: not the DSSE"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_bundle_is_refused_and_leaves_nothing(
    world: World, url: str, body: bytes, words: str
) -> None:
    before = kept(world)
    answer = send(url, body)
    assert answer.status == 422, answer
    assert words in answer.json["detail"], answer.json
    assert str(world.home.path) not in answer.json["detail"]
    assert kept(world) == before


def test_what_is_not_signed_or_not_what_was_signed_is_refused_and_leaves_nothing(
    world: World, url: str, tmp_path: Path
) -> None:
    before = kept(world)
    made = bundle(world, tmp_path / "b")
    for file in [path for path in made.iterdir() if path.name != "manifest.json"]:
        right = file.read_bytes()
        file.write_bytes(b"something else")
        assert "not what was signed" in send(url, tar(made)).json["detail"]
        assert kept(world) == before
        file.write_bytes(right)
    foreign = bundle(world, tmp_path / "f", fleet="another")
    assert "for fleet another" in send(url, tar(foreign)).json["detail"]
    manifest = made / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"sig":"', b'"sig":"A', 1))
    assert send(url, tar(made)).status == 422
    assert kept(world) == before


def test_a_request_with_a_key_is_answered_as_the_first_time(
    world: World, url: str, tmp_path: Path
) -> None:
    body = tar(bundle(world, tmp_path / "b"))
    first = send(url, body, Idempotency_Key="one")
    again = send(url, body, Idempotency_Key="one")
    assert (again.body, again.headers["idempotent-replayed"]) == (first.body, "true")
    assert again.json["new"]
    other = send(url, tar(bundle(world, tmp_path / "c", 8)), Idempotency_Key="one")
    assert "another request" in other.json["detail"]


def spoken(url: str, head: str, body: bytes = b"", token: str = "operator") -> tuple[bytes, int]:
    """Sends a request with these lines and this body. Returns the first line that is answered, and
    the status in the end."""
    parts = urlsplit(url)
    lines = ["Host: a", f"Authorization: Bearer {token}", f"Content-Type: {OCTETS}", head, "", ""]
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        connection.sendall("\r\n".join([f"POST {PATH} HTTP/1.1", *lines]).encode() + body)
        first = connection.recv(25, socket.MSG_PEEK | socket.MSG_WAITALL)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        answer.read()
        return first, answer.status


@pytest.mark.parametrize(
    ("head", "token", "status"),
    [
        (f"Content-Length: {2**40}", "operator", 413),
        ("Content-Length: 9999", "viewer", 403),
        ("Content-Length: 9999", "nobody", 401),
        ("Content-Encoding: gzip\r\nContent-Length: 9999", "operator", 415),
    ],
)
def test_what_is_refused_for_its_head_is_refused_before_its_body_is_sent(
    url: str, head: str, token: str, status: int
) -> None:
    first, _ = spoken(url, f"{head}\r\nExpect: 100-continue", token=token)
    assert first.startswith(f"HTTP/1.1 {status} ".encode())


def test_another_type_is_refused(url: str) -> None:
    assert ask(url, "POST", PATH, b"{}", "operator").status == 415


def test_who_waits_is_told_to_go_on(world: World, url: str, tmp_path: Path) -> None:
    body = tar(bundle(world, tmp_path / "b"))
    head = f"Content-Length: {len(body)}\r\nExpect: 100-continue"
    assert spoken(url, head, body) == (b"HTTP/1.1 100 Continue\r\n\r\n", 200)


def test_a_body_that_does_not_say_its_length_is_bounded_too(
    world: World, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = tar(bundle(world, tmp_path / "b"))
    head = "Transfer-Encoding: chunked"
    chunked = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
    assert spoken(url, head, chunked)[1] == 200
    before = kept(world)
    monkeypatch.setitem(vars(calls.ADD.sends), "most", 1 << 16)
    assert spoken(url, head, b"20000\r\n" + bytes(1 << 17) + b"\r\n")[1] == 413
    assert kept(world) == before


def test_a_connection_that_ends_in_the_body_leaves_nothing(
    world: World, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = kept(world)
    parts = urlsplit(url)
    head = "Authorization: Bearer operator\r\nContent-Length: 100000"
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        text = f"POST {PATH} HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n"
        connection.sendall(text.encode() + b"x" * 50_000)
    assert send(url, END).status == 422
    assert kept(world) == before
    assert "failed" not in caplog.text


def test_who_is_silent_in_the_body_is_ended_and_leaves_nothing(
    world: World, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "SILENT_SECONDS", 0.05)
    before = kept(world)
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        spoken(url, "Content-Length: 100000", b"x" * 50_000)
    assert send(url, END).status == 422
    assert kept(world) == before


def test_what_a_killed_service_had_begun_to_take_is_removed(world: World, url: str) -> None:
    (world.home.path / ".modelwave-upload-abcd1234").mkdir()
    send(url, END)
    assert not list(world.home.path.glob(".modelwave-upload-*"))


def test_of_two_that_are_sent_at_once_with_one_number_one_is_taken(
    world: World, url: str, tmp_path: Path
) -> None:
    bodies = [
        tar(bundle(world, tmp_path / name, model=name.encode(), version=f"v-{name}"))
        for name in ("a", "b")
    ]
    with ThreadPoolExecutor(2) as pool:
        found = [*pool.map(lambda body: send(url, body).status, bodies)]
    assert sorted(found) == [200, 422]


def test_no_more_than_a_few_are_taken_at_once_nor_where_the_disk_has_no_room(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(uploads, "MAX_OF_ONE", 0)
        assert send(url, END).status == 429
    monkeypatch.setattr(uploads, "LEFT_BYTES", 1 << 60)
    assert "make room" in send(url, END).json["detail"]


def test_a_disk_that_is_full_all_the_same_is_said_to_be_and_nothing_stays(
    world: World, url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = kept(world)
    body = tar(bundle(world, tmp_path / "b", model=bytes(1 << 20), needs=NEEDS))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, limits[1]))
    try:
        answer = send(url, body)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert answer.status == 503, answer
    assert "make room" in answer.json["detail"]
    assert kept(world) == before
    assert "Traceback" not in caplog.text
    assert send(url, body).status == 200


def test_there_has_to_be_room_for_all_copies_of_a_bundle(
    world: World, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = tar(bundle(world, tmp_path / "b"))
    monkeypatch.setattr(uploads, "LEFT_BYTES", 1000)
    free = shutil.disk_usage(tmp_path)._replace(free=1000 + 2 * len(body))
    monkeypatch.setattr(uploads.shutil, "disk_usage", lambda _: free)
    for head in (f"Content-Length: {len(body)}", "Transfer-Encoding: chunked"):
        is_chunked = "chunked" in head
        sent = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n" if is_chunked else body
        assert spoken(url, head, sent)[1] == (200 if is_chunked else 503)
    monkeypatch.setattr(uploads, "LEFT_BYTES", 1001)
    assert spoken(url, head, sent)[1] == 503


def test_a_token_that_is_revoked_while_its_file_comes_adds_nothing(
    world: World, tmp_path: Path
) -> None:
    body = tar(bundle(world, tmp_path / "b"))
    with world.store.write() as connection:
        made = tokens.make(connection, "ci", "operator", 3600, world.now, "eve@desk")
    with served_to_tokens(world) as url:
        place = urlsplit(url).hostname, urlsplit(url).port
        with socket.create_connection(place, timeout=20) as connection:
            lines = [f"Authorization: Bearer {made.secret.text}", f"Content-Type: {OCTETS}"]
            lines += [f"Content-Length: {len(body)}", "Expect: 100-continue", "", ""]
            said = "\r\n".join([f"POST {PATH} HTTP/1.1", "Host: a", *lines])
            connection.sendall(said.encode())
            assert b"100 Continue" in connection.recv(25, socket.MSG_WAITALL)
            with world.store.write() as writing:
                tokens.revoke(writing, "ci", world.now, "eve@desk")
            connection.sendall(body)
            assert b" 401 " in connection.recv(100)
    assert not world.home.releases.joinpath("digits", "7").exists()


def test_the_client_sends_folders_tars_and_manifests(
    world: World, url: str, tmp_path: Path
) -> None:
    made = bundle(world, tmp_path / "b")
    one_file = tmp_path / "b.tar"
    one_file.write_bytes(tar(made))
    with Remote(url, "operator") as there:
        for sent in (made, made / "manifest.json", one_file):
            found = there.ask(calls.ADD, calls.Add(), sent)
            assert found.manifest["release"] == 7
        with pytest.raises(OperatorError, match=r"has no manifest\.json"):
            there.ask(calls.ADD, calls.Add(), tmp_path)
        file = next(path for path in made.iterdir() if path.name != "manifest.json")
        file.unlink()
        (world.home.files / file.name).unlink()
        with pytest.raises(OperatorError, match="cannot read"):
            there.ask(calls.ADD, calls.Add(), made)
        file.write_bytes(b"something else")
        with pytest.raises(TrustError, match=rf"here/{file.name} is not what was signed"):
            there.ask(calls.ADD, calls.Add(name="here"), made)


def test_a_client_whose_long_body_is_refused_is_told_why(
    world: World, url: str, tmp_path: Path
) -> None:
    made = bundle(world, tmp_path / "b", model=bytes(32 << 20), needs=NEEDS)
    with Remote(url, "viewer") as there, pytest.raises(ForbiddenError, match="may not operate"):
        there.ask(calls.ADD, calls.Add(), made)
