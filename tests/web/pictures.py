"""Pictures of the page for the docs: python -m tests.web.pictures docs/page

A world of 200 devices that observe, with a rollout under way.
"""

import sys
import tempfile
from pathlib import Path

from tests.controller.observing_fleet import NEW, OLD, WINDOW, ObservingFleet, judging
from tests.controller.rollout_world import World
from tests.web.chromium import Chromium
from tests.web.served import served
from tests.web.shelved import BOARD, shelve_keywords

WINDOWS = 11  # until the second stage has been looked at
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


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        world = World(Path(work), devices=200)
        fleet = ObservingFleet(world)
        fleet.bring_old(**shelve_keywords(world, OLD, 951_000))
        fleet.signed = shelve_keywords(world, NEW, 968_000)
        fleet.begin(judging("accuracy >= baseline - 0.05", "failures <= baseline + 0.02"))
        for _ in range(WINDOWS):
            fleet.step()
        answering = [d for d in world.devices.values() if d.name not in ("d7", "d31")]
        world.answer("SUCCEEDED", answering)
        world.now += WINDOW / 2
        world.tick()
        with served(world) as url, Chromium() as browser:
            browser.go(f"{url}/login")
            browser.fill("#token", "operator")
            browser.press("main button")
            drawn = f"{url}/api/v1/models/digits/releases/2/arenas/{BOARD}"
            browser.go(drawn)  # answers when the picture of the arena is there
            for name, path in PAGES.items():
                for width, most in ((1280, 1200), (390, 1700)):
                    browser.screen(width)
                    browser.go(url + path)
                    browser.picture(folder / f"{name}-{width}.webp", width, most)
        world.store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
