"""A new model is made from the live one by a delta; whatever goes wrong, the whole file serves."""

import asyncio
import os
import random

import pytest

from modelwave_agent import driver as drivers
from modelwave_agent.host import patcher
from modelwave_agent.ports import FetchError
from modelwave_controller.releases import delta_making
from modelwave_shared.deltas import BSDIFF, SUBTRACTED, Offer
from tests import signing
from tests.agent import fakes
from tests.agent.fakes import TOPIC, live, settled, world_with_live

RANDOM = random.Random(1)
OLD_BYTES = RANDOM.randbytes(6000)
NEW_BYTES = bytearray(OLD_BYTES)
for _place in RANDOM.sample(range(6000), 300):
    NEW_BYTES[_place] = (NEW_BYTES[_place] + RANDOM.choice((1, 255, 7))) % 256
ONE, TWO = signing.Release(1, OLD_BYTES), signing.Release(2, bytes(NEW_BYTES))
MADE = delta_making.deltas(OLD_BYTES, bytes(NEW_BYTES))
GOLDEN_BYTES = TWO.document["files"][1]["size"]
LONG = os.environ.get("MODELWAVE_LONG") == "1"


def offered(world, delta, kind=SUBTRACTED, base=ONE, seq=2, release=TWO, **order):
    """Puts the delta on the file server, and orders release 2 with it."""
    model = base.document["files"][0]["sha256"]
    world.files[signing.sha(delta)] = delta
    offer = Offer(kind, model, len(delta), signing.sha(delta)).text()
    extra = {"deltas": ["97 of a later kind", offer]}
    world.retained[TOPIC] = signing.order(release, seq, extra=extra, **order)


@pytest.fixture
def world(tmp_path):
    """A world in which release 1 is live."""
    made = world_with_live(tmp_path, ONE, TWO)
    made.fetched = 0
    return made


def updated(world):
    """Whether release 2 comes to serve, proven and confirmed; what the report says of it."""
    assert asyncio.run(live(world, settled(world, 2)))
    told = world.last_report()
    assert (told["outcome"], told["release"]) == ("SUCCEEDED", 2), told
    assert world.faults == []
    assert not os.path.exists(f"{world.folder}/a.delta")
    return told


@pytest.mark.parametrize("kind", [SUBTRACTED, BSDIFF])
def test_only_the_delta_and_the_golden_set_are_downloaded(world, kind):
    offered(world, MADE[kind], kind)
    assert updated(world)["saved"] == len(NEW_BYTES) - len(MADE[kind])
    assert world.fetched == len(MADE[kind]) + GOLDEN_BYTES


def test_the_report_says_after_a_reset_what_was_spared(world):
    offered(world, MADE[SUBTRACTED])
    saved = updated(world)["saved"]
    world.retained.clear()
    world.reports.clear()
    asyncio.run(live(world, lambda _: world.reports))
    assert world.last_report()["saved"] == saved


def test_a_device_says_which_kinds_it_applies(world):
    world.retained.clear()
    asyncio.run(live(world, lambda _: world.reports))
    assert world.reports[-1]["reads"]["delta"] == BSDIFF


def test_a_device_that_applies_none_says_nothing_and_downloads_the_whole_file(world):
    world.applies_deltas = False
    offered(world, MADE[SUBTRACTED])
    assert "saved" not in updated(world)
    assert "delta" not in world.reports[-1]["reads"]
    assert world.fetched == len(NEW_BYTES) + GOLDEN_BYTES


def whole_file_serves(world, more=0):
    """The whole file was downloaded; `more`: bytes of a delta before."""
    assert "saved" not in updated(world)
    assert world.fetched == len(NEW_BYTES) + GOLDEN_BYTES + more
    return world.reports[-1]["refused"]


def test_a_delta_of_another_base_is_not_downloaded(world):
    offered(world, MADE[SUBTRACTED], base=TWO)
    assert whole_file_serves(world) == ""


@pytest.mark.parametrize("kind", [0, 3, 99])
def test_a_delta_of_a_kind_that_is_not_known_is_not_downloaded(world, kind):
    offered(world, MADE[SUBTRACTED], kind)
    assert whole_file_serves(world) == ""


def test_a_delta_as_long_as_the_file_is_not_downloaded(world):
    offered(world, bytes(len(NEW_BYTES)))
    assert whole_file_serves(world) == ""


def test_a_delta_for_which_there_is_no_flash_is_not_downloaded(world, monkeypatch):
    offered(world, MADE[SUBTRACTED])
    flash = TWO.document["needs"]["flash"]
    monkeypatch.setattr(fakes.FakeBanks, "room", lambda _self, _bank: flash)
    assert whole_file_serves(world) == ""


def test_a_delta_that_makes_another_file_costs_its_download_alone(world):
    """Whoever signs orders can have a wrong delta downloaded, and no wrong model served."""
    wrong = delta_making.deltas(OLD_BYTES, b"BAD" + bytes(NEW_BYTES[3:]))[SUBTRACTED]
    offered(world, wrong)
    told = whole_file_serves(world, len(wrong))
    assert told.startswith("delta: Spoiled: model: its sha256")
    assert told.endswith("the whole file is downloaded")


@pytest.mark.parametrize("kind", [SUBTRACTED, BSDIFF])
@pytest.mark.parametrize("damage", ["cut", "zeros", "random", "empty steps"])
def test_garbage_in_place_of_a_delta_costs_its_download_alone(world, kind, damage):
    good = MADE[kind]
    garbage = {
        "cut": good[: len(good) // 2],
        "zeros": bytes(len(good)),
        "random": random.Random(2).randbytes(len(good)),
        "empty steps": good[:32] + bytes(len(good) - 32),
    }[damage]
    offered(world, garbage, kind)
    assert whole_file_serves(world, len(garbage)).startswith("delta: ")


def test_a_delta_that_the_server_does_not_have_delays_the_whole_file_by_few_tries(world):
    offered(world, MADE[SUBTRACTED])
    del world.files[signing.sha(MADE[SUBTRACTED])]
    assert "404" in whole_file_serves(world)


def test_a_delta_with_other_bytes_than_its_hash_is_not_applied(world, monkeypatch):
    offered(world, MADE[SUBTRACTED])
    world.files[signing.sha(MADE[SUBTRACTED])] = bytes(len(MADE[SUBTRACTED]))
    monkeypatch.setattr(patcher.HostPatcher, "patch", None)
    assert "delta: its sha256" in whole_file_serves(world, len(MADE[SUBTRACTED]))


@pytest.mark.parametrize("error", [MemoryError(), OSError(28, "no space"), KeyError("x")])
def test_whatever_fails_in_an_application_the_whole_file_serves(world, monkeypatch, error):
    async def fails(*_):
        raise error

    offered(world, MADE[SUBTRACTED])
    monkeypatch.setattr(patcher.HostPatcher, "patch", fails)
    assert type(error).__name__ in whole_file_serves(world, len(MADE[SUBTRACTED]))


def test_a_delta_whose_download_breaks_off_goes_on_where_it_was(world, monkeypatch):
    offered(world, MADE[SUBTRACTED])
    whole = fakes.FakeFetcher.fetch
    broken = []

    async def breaks(self, url, intake):
        if not broken:
            broken.append(url)
            intake.write(self.world.files[url.split("/")[-1]][:100])
            self.world.fetched += 100
            raise FetchError("the connection ended")
        await whole(self, url, intake)

    monkeypatch.setattr(fakes.FakeFetcher, "fetch", breaks)
    assert updated(world)["saved"]
    assert world.fetched == len(MADE[SUBTRACTED]) + GOLDEN_BYTES


def test_a_live_model_that_was_not_hashed_since_the_reset_is_no_base(world, monkeypatch):
    offered(world, MADE[SUBTRACTED])
    whole = drivers.Driver._made_by_delta

    async def unread(self, download, order):
        self.progress.whole.clear()
        return await whole(self, download, order)

    monkeypatch.setattr(drivers.Driver, "_made_by_delta", unread)
    whole_file_serves(world)


def test_a_first_release_has_no_base(tmp_path):
    world = fakes.World(tmp_path)
    world.files.update(TWO.files)
    offered(world, MADE[SUBTRACTED])
    updated(world)


def test_a_reset_in_an_application_is_followed_by_the_rest_of_the_whole_file(world):
    offered(world, MADE[SUBTRACTED])
    size = len(NEW_BYTES)

    def under_way(_):
        path = f"{world.folder}/a.model"
        return os.path.exists(path) and 0 < os.path.getsize(path) < size

    assert asyncio.run(live(world, under_way)) or os.path.getsize(f"{world.folder}/a.model") == size
    asyncio.run(live(world, settled(world, 2)))
    assert world.last_report()["outcome"] == "SUCCEEDED"
    assert world.faults == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", [SUBTRACTED, BSDIFF])
def test_power_cut_at_every_call_of_an_update_by_delta(tmp_path, kind):
    cases = 0
    for when in ("before", "torn", "after"):
        for call in range(1, 300, 1 if LONG else 25):
            folder = tmp_path / f"{when}-{call}"
            folder.mkdir()
            world = world_with_live(folder, ONE, TWO)
            offered(world, MADE[kind], kind)
            met = not asyncio.run(live(world, settled(world, 2), (call, when)))
            world.reports.clear()
            updated(world)
            if not met:
                break
            cases += 1
    print(f"kind {kind}: {cases} power cuts")
    assert cases > (90 if LONG else 5)
