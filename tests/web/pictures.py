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
from tests.controller.observing_fleet import NEW, OLD, WINDOW, ObservingFleet, judging
from tests.controller.rollout_world import FLEET, TARGET, World
from tests.web.chromium import Chromium
from tests.web.served import served
from tests.web.shelved import BOARD, shelve_keywords

DEVICES = 200
WINDOWS = 14  # until the second stage has been looked at some times
AWAY, UNHEALTHY = "d29", "d104"  # of the second stage: does not answer; rolls back
SIZES = ((1280, 1200), (390, 1700))  # width, and at most so high
GATES = ("accuracy >= baseline - 0.05", "failures <= baseline + 0.02")
PAGES = {
    "fleet": "/",
    "rollouts": "/rollouts",
    "rollout": "/rollouts/2",
    "releases": "/releases",
    "release": "/releases/digits/2",
    "devices": "/devices",
    "device": "/devices/d0",
    "log": "/log",
}
FORM = {
    "#release": "2",
    "#targets": TARGET,
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
            drawn = f"{url}/api/v1/models/digits/releases/2/arenas/{BOARD}"
            browser.go(drawn)  # answers when the picture of the arena is there
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


def keywords(world: World) -> ObservingFleet:
    """Both releases are on the shelf, and all devices run the old one."""
    fleet = ObservingFleet(world)
    fleet.bring_old(**shelve_keywords(world, OLD, 951_000))
    fleet.signed = shelve_keywords(world, NEW, 968_000)
    return fleet


@contextmanager
def before(folder: Path) -> Iterator[World]:
    """All devices run the old release, and measure it."""
    with closing(World(folder, devices=DEVICES)) as world:
        fleet = keywords(world)
        for window in range(8, 0, -1):
            fleet.observe(age=(window - 1) * WINDOW + 1)
        yield world


@contextmanager
def under_way(folder: Path) -> Iterator[World]:
    with closing(World(folder, devices=DEVICES)) as world:
        shutil.rmtree(world.home.path / "offline")  # as they should be elsewhere
        for device in world.devices:
            world.inbox.put(topics.presence(FLEET, device), b"online")
        fleet = keywords(world)
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
