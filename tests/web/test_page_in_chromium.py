"""The page in a browser: for everybody to use, live, and with its forms."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelwave_controller import cli
from tests.controller.observing_fleet import ObservingFleet, judging
from tests.controller.rollout_world import World, newest
from tests.web.chromium import Chromium
from tests.web.served import served
from tests.web.shelved import shelve_keywords

PAGES = (
    *("/", "/rollouts", "/rollouts/1", "/start", "/devices", "/devices/d0", "/log"),
    *("/releases", "/releases/digits", "/releases/digits/2"),
)
SCREENS = ((1280, "light"), (390, "dark"))
LONG = os.environ.get("MODELWAVE_LONG") == "1"
PLAN = """\
[[stages]]
percent = 100
soak = "1h"
approval = true
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with Chromium() as made:
        yield made


def log_in(browser: Chromium, url: str, token: str) -> None:
    browser.call("Network.clearBrowserCookies")
    browser.go(f"{url}/login")
    browser.fill("#token", token)
    browser.press("main button")


@pytest.mark.slow
def test_everybody_can_use_each_page_and_no_page_scrolls_sideways(
    tmp_path: Path, browser: Chromium
) -> None:
    world = World(tmp_path / "world", devices=12)
    shelve_keywords(world, 2, 930_000)
    fleet = ObservingFleet(world)
    fleet.begin(judging("accuracy >= baseline - 0.05"))
    for _ in range(6):
        fleet.step()
    with served(world) as url:
        browser.screen(390)
        browser.go(f"{url}/login")
        assert browser.axe() == []
        log_in(browser, url, "admin")
        for path in PAGES:
            for width, scheme in SCREENS if LONG else SCREENS[len(path) % 2 :][:1]:
                browser.screen(width, scheme)
                browser.go(url + path)
                if path in ("/rollouts/1", "/devices/d0"):
                    browser.value("document.querySelector('details').open = true")
                assert browser.axe() == [], path
                assert browser.value("document.documentElement.scrollWidth") <= width, path
    world.store.close()


@pytest.mark.slow
def test_a_rollout_is_watched_approved_reverted_and_aborted_in_a_browser(
    tmp_path: Path,
    browser: Chromium,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    world = World(tmp_path / "world", devices=4)
    world.start(1)
    world.tick()
    world.answer("SUCCEEDED", world.devices.values())
    world.shelve(2)
    (tmp_path / "plan.toml").write_text(PLAN)
    monkeypatch.setattr("time.time", lambda: world.now)
    with served(world) as url:
        log_in(browser, url, "admin")
        browser.go(f"{url}/rollouts/1")
        browser.value("window.loaded_once = true")
        for _ in range(9):
            world.now += 30
            world.tick()
            world.answer("SUCCEEDED", world.devices.values())
        assert newest(world).status == "FINISHED"
        browser.becomes("document.querySelector('#state').innerText === 'FINISHED'")
        assert browser.value("window.loaded_once") is True
        assert "FINISHED" in browser.value("document.title")

        home = ("--home", str(world.home.path))
        start = ("rollout", "start", "digits", "2", "--plan", str(tmp_path / "plan.toml"))
        assert cli.run([*home, *start]) == 0, capsys.readouterr().err
        world.tick()
        browser.go(f"{url}/rollouts/2")
        browser.value("document.querySelector('#approve-act').open = true")
        browser.fill("#approve-act-reason", "looked at it")
        browser.press("#approve-act button")
        assert "looked at it" in browser.text("#events")
        world.tick()
        browser.becomes("document.querySelector('#ladder').innerText.includes('4 devices')")
        browser.value("document.querySelector('#pause-act').open = true")
        browser.fill("#pause-act-reason", "begun to ty")
        world.answer("SUCCEEDED", world.devices.values())
        world.tick()
        browser.becomes("document.querySelector('#ladder').innerText.includes('succeeded')")
        reason = "document.querySelector('#pause-act-reason').value"
        assert browser.value(reason) == "begun to ty", "what was typed stays"
        browser.press("#revert-act button")
        assert browser.text("#state") == "REVERTING"
        world.tick()
        world.answer("SUCCEEDED", world.devices.values())
        world.now += 60
        world.tick()
        browser.becomes("document.querySelector('#state').innerText === 'REVERTED'")

        assert cli.run([*home, *start]) == 0, capsys.readouterr().err
        world.tick()
        browser.go(f"{url}/rollouts/3")
        browser.press("#abort-act button")
        assert browser.text("#state") == "ABORTED"
        assert "Aborted." in browser.text("#done")
        problems = [one for one in browser.events if one["method"] == "Runtime.exceptionThrown"]
        assert not problems
    world.store.close()
