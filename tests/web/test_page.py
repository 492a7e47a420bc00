"""The page: who is let in, what each role sees and may do, and what comes from elsewhere."""

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urljoin

import pytest

from modelwave_controller.operations import history
from modelwave_controller.people import tokens
from modelwave_controller.people.roles import ROLES
from modelwave_controller.results.rollouts import StageRow
from modelwave_controller.rollout.plan import make_plan
from modelwave_controller.rollout.state import HELD
from modelwave_controller.web.page import sessions, tiles
from tests.controller.observing_fleet import ObservingFleet, judging
from tests.controller.rollout_world import World, newest, quick
from tests.controller.shown_status import STATUS
from tests.web.page_reader import PageReader
from tests.web.served import served, served_to_tokens
from tests.web.shelved import shelve_keywords

PAGES = (
    *("/", "/rollouts", "/rollouts/1", "/start", "/devices", "/devices/d0", "/log"),
    *("/releases", "/releases/digits", "/releases/digits/2"),
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A judged rollout of which the first stage has been looked at."""
    made = World(tmp_path_factory.mktemp("page"), devices=50)
    made.shelve(1)
    shelve_keywords(made, 2, 930_000)
    fleet = ObservingFleet(made)
    fleet.begin(judging("accuracy >= baseline - 0.05"))
    for _ in range(6):
        fleet.step()
    yield made
    made.store.close()


@pytest.fixture
def reader(world: World) -> Iterator[PageReader]:
    with served(world) as url:
        yield PageReader(url)


def test_who_is_not_logged_in_is_sent_to_the_form(reader: PageReader) -> None:
    for path in PAGES:
        answer = reader.get(path)
        assert answer.status == 303
        assert answer.headers["Location"].endswith("login")
        assert "d0" not in answer.text
    assert 'type="password"' in reader.get("/login").text


def test_a_wrong_token_is_refused_and_not_repeated(reader: PageReader) -> None:
    answer = reader.post("/login", {"token": "mw_secret"})
    assert answer.status == 401
    assert "mw_secret" not in answer.text
    assert not reader.cookies


@pytest.mark.parametrize("origin", ["null", "http://[", "https://elsewhere.example"])
def test_a_form_of_another_origin_or_of_none_that_can_be_is_refused(
    reader: PageReader, origin: str
) -> None:
    assert reader.post("/login", {"token": "viewer"}, Origin=origin).status == 403


def test_who_logs_in_often_logs_out_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 5)
    monkeypatch.setattr(sessions, "MAX_OF_ONE", 3)
    held = sessions.Sessions()
    other = held.begin("other", 0.0)
    mine = [held.begin("mine", float(at)) for at in range(9)]
    assert held.find(other.id, 9.0)
    assert [bool(held.find(one.id, 9.0)) for one in mine] == [False] * 6 + [True] * 3


def test_the_cookie_is_no_token_and_scripts_and_other_sites_do_not_get_it(
    reader: PageReader,
) -> None:
    answer = reader.post("/login", {"token": "viewer"})
    cookie = answer.headers["Set-Cookie"]
    assert "viewer" not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Path" not in cookie, "it is for the folder of the page, behind a proxy too"
    assert "Secure" not in cookie
    behind = reader.post("/login", {"token": "viewer"}, X_Forwarded_Proto="https")
    assert "Secure" in behind.headers["Set-Cookie"]


@pytest.mark.parametrize("role", ROLES)
def test_each_role_sees_every_page(reader: PageReader, role: str) -> None:
    reader.log_in(role)
    for path in PAGES:
        answer = reader.get(path)
        assert answer.status == 200, path
        assert role in answer.text


def test_a_page_weighs_little_and_runs_nothing_but_its_own_files(reader: PageReader) -> None:
    reader.log_in("admin")
    for path in PAGES:
        answer = reader.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"] == "no-store"
        assert not re.search(r"<script(?![^>]* src=)|<style| style=| on[a-z]+=", answer.text)
        up = "../" * (path.count("/") - 1)
        links = re.findall(r'(?:src|href)="(?:\.\./)*(static/[^"]+)"', answer.text)
        parts = {link: reader.get(f"/{link}") for link in links}
        assert all(part.status == 200 for part in parts.values()), up
        weight = len(answer.text.encode()) + sum(len(p.text.encode()) for p in parts.values())
        assert weight <= 150_000, f"{path}: {weight} bytes"


def test_the_rollout_says_what_it_waits_for_and_what_its_gates_found(reader: PageReader) -> None:
    reader.log_in("viewer")
    page = reader.get("/rollouts/1").text
    assert "stage 2 (20 %) opens in" in page
    assert "look 3 of 4" in page
    assert "<strong>0.00532</strong> <small>−0.0156 to 0.0262, margin 0.15</small>" in page
    assert 'aria-current="step"' in page
    assert page.count('class="spark"') == 2
    assert 'class="interval"' in page


@pytest.mark.parametrize(("final", "word"), [(False, "open"), (True, "over")])
def test_a_way_back_that_has_ended_is_not_open(final: bool, word: str) -> None:
    back = StageRow("way back", 2, 0, 2, 0, 0, 0, 0, 0, "", "")
    shown = replace(STATUS, final=final, rows=[*STATUS.rows, back])
    assert [rung.word for rung in tiles.ladder(shown)] == ["pending", "not opened", word]


def test_a_name_from_outside_is_escaped(reader: PageReader) -> None:
    reader.log_in("viewer")
    answer = reader.get("/devices?target=%3Cscript%3E")
    assert answer.status == 422
    assert "<script>" not in answer.text.replace("<script defer", "")


def test_what_is_not_there_is_a_page_too(reader: PageReader) -> None:
    reader.log_in("viewer")
    answer = reader.get("/rollouts/77")
    assert answer.status in (404, 422)
    assert "modelwave rollout list" in answer.text
    assert "Content-Security-Policy" in answer.headers


def test_devices_come_in_pages_and_by_filters(tmp_path: Path) -> None:
    world = World(tmp_path / "world", devices=120)
    with served(world) as url:
        reader = PageReader(url)
        reader.log_in("viewer")
        first = reader.get("/devices").text
        assert first.count('data-label="device"') == 100
        following = re.search(r'href="devices(\?[^"]+)" rel="next"', first)
        assert following
        assert reader.get(f"/devices{following[1]}").text.count('data-label="device"') == 20
        assert "No device" in reader.get("/devices?target=rp2040").text
        assert "checked" in reader.get("/devices?trouble=true").text
    world.store.close()


# Acts.


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[World]:
    """A rollout whose first stage waits for the approval of another than who started it."""
    made = World(tmp_path / "world", devices=4)
    stages = [{"percent": 50, "soak_seconds": 10, "approval": True}, {"percent": 100}]
    stages[0]["approval_by"] = "another"
    made.start(1, make_plan({"stages": stages}), actor="some-admin")
    made.tick()
    yield made
    made.store.close()


def test_another_approves_and_who_started_it_is_told_to_wait(waiting: World) -> None:
    with served(waiting) as url:
        starter, other = PageReader(url), PageReader(url)
        starter.log_in("admin")
        other.log_in("approver")
        assert "Another than you has to approve" in starter.get("/rollouts/1").text
        refused = starter.act("/rollouts/1/approve")
        assert refused.status == 422
        assert "asks for the approval of another" in refused.text
        assert "Approve rollout 1" in other.get("/rollouts/1").text
        done = other.act("/rollouts/1/approve", stage="1", reason="looked at it")
        assert "Approved." in done.text
        assert "looked at it" in done.text
        assert "some-approver" in done.text
    waiting.tick()
    assert newest(waiting).status == "RUNNING"


@pytest.mark.parametrize("role", ["viewer", "approver"])
def test_who_may_not_operate_is_offered_nothing_and_refused(tmp_path: Path, role: str) -> None:
    world = World(tmp_path / "world", devices=4)
    world.start(1, quick(50, 100))
    world.tick()
    with served(world) as url:
        reader = PageReader(url)
        reader.log_in(role)
        assert "<details" not in reader.get("/rollouts/1").text
        for act in ("promote", "pause", "resume", "retry", "abort", "revert"):
            answer = reader.act(f"/rollouts/1/{act}")
            assert answer.status == 422, act
            assert "may not operate" in answer.text
    assert newest(world).status == "RUNNING"
    world.store.close()


def test_an_operator_aborts(tmp_path: Path) -> None:
    world = World(tmp_path / "world", devices=4)
    world.start(1, quick(50, 100))
    world.tick()
    with served(world) as url:
        reader = PageReader(url)
        reader.log_in("operator")
        page = reader.act("/rollouts/1/abort", reason="wrong model").text
    assert "ABORTED" in page
    assert "wrong model" in page
    assert "some-operator" in page
    world.store.close()


def test_an_operator_pauses_resumes_and_reverts(tmp_path: Path) -> None:
    world = World(tmp_path / "world", devices=4)
    world.start(1, quick(50, 100))
    world.tick()
    with served(world) as url:
        reader = PageReader(url)
        reader.log_in("operator")
        page = reader.act("/rollouts/1/pause", reason="lunch").text
        assert "PAUSED" in page
        assert "lunch" in page
        assert "Resume rollout 1" in page
        assert "Pause rollout 1" not in page
        assert "RUNNING" in reader.act("/rollouts/1/resume").text
        refused = reader.act("/rollouts/1/promote")
        assert refused.status == 422
        assert "has not passed" in refused.text
        assert "REVERTING" in reader.act("/rollouts/1/revert").text
        assert reader.act("/rollouts/1/frobnicate").status == 404
    world.store.close()


@pytest.mark.parametrize("outcome", ["FAILED", "ROLLED_BACK"])
def test_a_hold_that_cannot_be_resumed_does_not_offer_it(tmp_path: Path, outcome: str) -> None:
    world = World(tmp_path, devices=10)
    world.start(1, quick(50, 100, on_fail="hold"))
    world.tick()
    world.answer(outcome, world.devices.values())
    world.tick()
    assert newest(world).status == HELD
    with served(world) as url:
        reader = PageReader(url)
        reader.log_in("operator")
        page = reader.get("/rollouts/1").text
    assert "Revert rollout 1" in page
    assert ("Resume rollout 1" in page) == (outcome == "FAILED")
    world.store.close()


# From elsewhere.


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({"csrf": "right"}, {"Origin": "https://elsewhere.example"}),
        ({"csrf": "right"}, {"Origin": "null"}),
        ({"csrf": "right"}, {"Origin": ""}),
        ({"csrf": "right"}, {"Sec-Fetch-Site": "cross-site"}),
        ({"csrf": "right"}, {"Sec-Fetch-Site": "same-site"}),
        ({"csrf": "wrong"}, {}),
        ({}, {}),
    ],
)
def test_a_page_of_another_origin_cannot_act(
    tmp_path: Path, fields: dict[str, str], headers: dict[str, str]
) -> None:
    """Even with the cookie, as from a browser that knows no SameSite."""
    world = World(tmp_path / "world", devices=4)
    world.start(1, quick(50, 100))
    world.tick()
    with served(world) as url:
        reader = PageReader(url)
        reader.log_in("admin")
        fields = {n: reader.csrf() if text == "right" else text for n, text in fields.items()}
        answer = reader.post("/rollouts/1/abort", fields, **headers)
        assert answer.status == 403
        assert newest(world).status == "RUNNING"
        assert reader.post("/logout", fields, **headers).status == 403
        assert reader.get("/").status == 200
    world.store.close()


def test_no_form_of_any_page_acts_for_another_origin_or_without_its_token(
    world: World, reader: PageReader
) -> None:
    reader.log_in("admin")
    csrf = reader.csrf()
    found = {
        urljoin(path, action)
        for path in PAGES
        for action in re.findall(r'method="post" action="([^"]+)"', reader.get(path).text)
    }
    assert {"/logout", "/start", "/devices/d0/forget", "/rollouts/1/abort"} <= found
    before = history.newest_id(world.store)
    for path in found:
        assert reader.post(path, {"csrf": csrf}, Origin="https://elsewhere.example").status == 403
        assert reader.post(path, {"csrf": csrf[:-1]}).status == 403
    assert history.newest_id(world.store) == before
    assert reader.get("/").status == 200


def test_a_login_from_another_origin_is_refused(reader: PageReader) -> None:
    answer = reader.post("/login", {"token": "admin"}, Origin="https://elsewhere.example")
    assert answer.status == 403
    assert not reader.cookies


def test_the_cookie_alone_reads_the_api_and_changes_nothing_there(reader: PageReader) -> None:
    reader.log_in("admin")
    assert reader.get("/api/v1/rollouts").status == 200
    body = {"Content-Type": "application/json", "Origin": reader.url}
    assert reader.send("POST", "/api/v1/rollouts/1/abort", "{}", body).status == 401
    assert reader.get("/api/v1/rollouts", Sec_Fetch_Site="cross-site").status == 401


def test_a_session_ends_with_its_log_out(reader: PageReader) -> None:
    reader.log_in("viewer")
    before = dict(reader.cookies)
    assert reader.post("/logout", {"csrf": reader.csrf()}).status == 303
    reader.cookies = before
    assert reader.get("/").status == 303


@pytest.mark.parametrize("path", ["/static/page.css", "/login", "/", "/rollouts/77", "/nothing"])
def test_every_answer_has_the_headers_that_keep_browsers_from_more(
    reader: PageReader, path: str
) -> None:
    for _ in ("before", "after"):
        headers = reader.get(path).headers
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] in ("same-origin", "no-referrer")
        assert headers["Server"] == "modelwave"
        reader.log_in("viewer")


def test_the_token_of_who_logs_in_is_in_no_url_page_event_or_log(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("a bug")

    with world.store.write() as connection:
        made = tokens.make(connection, "ada", "viewer", 3600, world.now, "eve@desk")
    text = made.secret.text
    caplog.set_level(logging.DEBUG)
    with served_to_tokens(world) as url:
        reader = PageReader(url)
        answers = [
            reader.post("/login", {"token": f"{text[:-8]}00000000"}),
            reader.post("/login", {"token": text, "more": text}),
        ]
        reader.log_in(text)
        answers += [reader.get(path) for path in (*PAGES, f"/{text}")]
        reader.get(f"/devices?tag={text}")  # a page says what was typed there
        answers.append(reader.act("/rollouts/1/pause", reason="lunch"))
        with monkeypatch.context() as patched:
            patched.setattr("modelwave_controller.web.page.page.render", fails)
            answers.append(reader.get("/"))
        said = caplog.text + repr([(one.headers.items(), one.text) for one in answers])
    assert "a bug" in caplog.text
    secret = text.split("_")[-1]
    assert secret not in said
    assert secret[:-8] not in said
    assert text not in json.dumps(sorted(reader.cookies.items()))
