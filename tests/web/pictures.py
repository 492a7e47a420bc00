"""Pictures of the page for the docs: python -m tests.web.pictures docs/page

A world of 200 devices that observe, with a rollout under way; and the form that has started it.
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from modelwave_shared import topics
from tests.controller.observing_fleet import WINDOW, ObservingFleet, judging
from tests.controller.rollout_world import FLEET, World
from tests.web.chromium import Chromium
from tests.web.served import served

DEVICES = 200
WINDOWS = 14  # until the second stage has been looked at some times
AWAY, UNHEALTHY = "d29", "d104"  # of the second stage: does not answer; rolls back
SIZES = ((1280, 1200), (390, 1700))  # width, and at most so high
GATES = ("accuracy >= baseline - 0.05", "failures <= baseline + 0.02")
PAGES = {
    "fleet": "/",
    "rollouts": "/rollouts",
    "rollout": "/rollouts/2",
    "devices": "/devices",
    "device": "/devices/d0",
    "log": "/log",
}
FORM = {
    "#release": "2",
    "#stages": "6, 20, 50, 100",
    "#soak": "4h",
    "#approval": "3",
    "#gates": "\n".join(GATES),
}


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work, Chromium() as browser:
        with under_way(Path(work, "under-way")) as world, served(world) as url:
            log_in(browser, url)
            for name, path in PAGES.items():
                for width, most in SIZES:
                    browser.screen(width)
                    browser.go(url + path)
                    browser.picture(folder / f"{name}-{width}.webp", width, most)
        with before(Path(work, "before")) as world, served(world) as url:
            log_in(browser, url)
            for width, most in SIZES:
                browser.screen(width)
                browser.go(f"{url}/start?model=digits")
                for field, text in FORM.items():
                    browser.fill(field, text)
                browser.press(".buttons button")
                browser.picture(folder / f"start-{width}.webp", width, most)


def log_in(browser: Chromium, url: str) -> None:
    browser.go(f"{url}/login")
    browser.fill("#token", "operator")
    browser.press("main button")


@contextmanager
def before(folder: Path) -> Iterator[World]:
    """All devices run the old release, and measure it."""
    with closing(World(folder, devices=DEVICES)) as world:
        fleet = ObservingFleet(world)
        fleet.bring_old()
        for window in range(8, 0, -1):
            fleet.observe(age=(window - 1) * WINDOW + 1)
        world.shelve(2)
        yield world


@contextmanager
def under_way(folder: Path) -> Iterator[World]:
    with closing(World(folder, devices=DEVICES)) as world:
        shutil.rmtree(world.home.path / "offline")  # as they should be elsewhere
        for device in world.devices:
            world.inbox.put(topics.presence(FLEET, device), b"online")
        fleet = ObservingFleet(world)
        fleet.bring_old()
        fleet.idle = {AWAY, UNHEALTHY}
        fleet.begin(judging(*GATES))
        for _ in range(WINDOWS):
            fleet.step()
        world.answer("ROLLED_BACK", [world.devices[UNHEALTHY]], "golden set: 3 of 10 wrong")
        for device in world.devices.values():
            device.models["digits"]["release"] = fleet.release_of(device)
        world.inbox.put(topics.presence(FLEET, AWAY), b"offline")
        world.now += WINDOW / 2
        world.hear([one for one in world.devices.values() if one.name != AWAY])
        world.tick()
        yield world


if __name__ == "__main__":
    main(Path(sys.argv[1]))
