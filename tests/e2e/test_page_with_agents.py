"""A person steers rollouts of real agents on the page, in Debian's Chromium: what the page says is
what the agents do. All processes are real: a broker, the service, agents."""

import json
import time
from collections.abc import Iterator

import pytest

from modelwave_agent.host import status
from modelwave_agent.host.config import read_config
from modelwave_agent.record import serving
from modelwave_controller.demo import service
from modelwave_controller.demo.fleet import HOST, Device, Parts
from tests.e2e.conftest import DIGITS, House
from tests.web.chromium import Chromium

FLEET = [Device(f"pi-{n}", HOST, daemon=False) for n in range(1, 5)]
PLAN = """\
trial = { time = "0s" }
judge = { least_devices = 1 }
stages = [
    { percent = 25, soak = "%s" },
    { percent = 100, soak = "0s", approval = true },
]
"""


@pytest.fixture
def browser() -> Iterator[Chromium]:
    with Chromium() as made:
        yield made


class Visitor:
    """Who looks at the page, and at the agents' own folders."""

    def __init__(self, browser: Chromium, parts: Parts) -> None:
        self.browser = browser
        self.parts = parts
        self.url = ""

    def log_in(self, url: str, token: str) -> None:
        self.url = url
        self.browser.go(f"{url}/")  # which leads to the form
        self.browser.fill("#token", token)
        self.browser.press("main button")

    def fills_the_form(self, version: str, soak: str) -> None:
        self.browser.go(f"{self.url}/rollouts")
        self.browser.press("main a.button")
        self.browser.fill("#model", "digits")
        self.browser.fill("#release", version)
        self.browser.value("document.querySelector('#plan').closest('details').open = true")
        self.browser.fill("#plan", PLAN % soak)

    def starts(self, version: str, soak: str) -> None:
        self.fills_the_form(version, soak)
        self.browser.press("#start")
        assert "Started." in self.browser.text("#done")
        self.browser.value("window.loaded_once = true")

    def acts(self, name: str, reason: str) -> None:
        self.browser.value(f"document.querySelector('#{name}-act').open = true")
        self.browser.fill(f"#{name}-act-reason", reason)
        self.browser.press(f"#{name}-act button")
        assert reason in self.browser.text("#events")
        self.browser.value("window.loaded_once = true")

    def sees(self, part: str, words: str) -> None:
        """Waits until the words are in a part of the page, which is not loaded anew."""
        quoted = json.dumps(words)
        self.browser.becomes(f"document.querySelector('{part}').innerText.includes({quoted})")
        assert self.browser.value("window.loaded_once") is True

    def releases(self) -> list[int]:
        """What the agents serve, by their own journals, sorted."""
        found = []
        for device in FLEET:
            record = status.read(read_config(self.parts.config(device)), None, time.time()).models
            live = record["digits"]["banks"][serving(record["digits"])]
            found.append(live["release"] if live else 0)
        return sorted(found)


@pytest.mark.e2e
def test_a_person_starts_watches_approves_reverts_and_aborts_rollouts_of_real_agents(
    house: House, browser: Chromium
) -> None:
    house.init()
    house.start_broker("embedded")
    urls = service.start_serve(house.operator, house.running)
    for version in ("v1", "v2"):
        house.release(version)
    root = house.operator.home / "root.json"
    parts = Parts(house.folder, root, house.broker_url, house.files, DIGITS / "heldout.npz")
    parts.start(house.running, FLEET)
    found = house.operator.waits(["device", "list"], lambda found: len(found) == len(FLEET))
    assert len(found) == len(FLEET)
    made = house.operator.asks("token", "create", "eve", "--role", "admin")
    eve = Visitor(browser, parts)
    eve.log_in(urls.page, made["token"])

    # A wrong release is told beside its field; a preview starts nothing.
    eve.fills_the_form("v7", "0s")
    browser.press("#start")
    assert "no release v7" in browser.text("#release-problem")
    eve.fills_the_form("v1", "0s")
    browser.press(".buttons button")
    assert "after approval" in browser.text("#previewed")
    browser.go(f"{urls.page}/rollouts")
    assert "There is none yet" in browser.text("main")

    # It is started, watched and approved.
    eve.starts("v1", "0s")
    eve.sees("#why", "approval before stage 2")
    assert eve.releases() == [0, 0, 0, 1]
    eve.acts("approve", "looks well")
    eve.sees("#state", "FINISHED")
    eve.sees("#ladder", "3 succeeded")
    assert eve.releases() == [1, 1, 1, 1]

    # The next one is reverted at its first stage.
    eve.starts("v2", "1h")
    eve.sees("#ladder", "soaking")
    eve.sees("#ladder", "1 succeeded")
    assert eve.releases() == [1, 1, 1, 2]
    eve.acts("revert", "seen enough")
    eve.sees("#state", "REVERTED")
    assert eve.releases() == [1, 1, 1, 1]

    # The one after it is aborted, which leaves everything as it is.
    eve.starts("v2", "1h")
    eve.sees("#ladder", "1 succeeded")
    eve.acts("abort", "for good")
    eve.sees("#state", "ABORTED")
    assert eve.releases() == [1, 1, 1, 2]
    browser.go(f"{urls.page}/devices")
    assert browser.text("#list").count("digits 1") == 3
    assert browser.text("#list").count("digits 2") == 1
    assert house.running.dead() == []
