"""The fleet that all histories share: its keys, its signed releases, and an empty database."""

import atexit
import functools
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from modelwave_controller.rollout.plan import make_plan
from modelwave_shared import documents, dsse, words
from tests.controller import rollout_world

FLEET, TARGET, MODEL = rollout_world.FLEET, rollout_world.TARGET, "digits"

# What is wrong with a release: nothing, its golden set fails, its program says that it is unwell.
GOOD, WRONG, UNWELL = "good", "wrong", "unwell"

TRIAL_SECONDS = 60
DEADLINE_SECONDS = 2 * 3600
SOAK_SECONDS = 1800
SHADOW_SECONDS = 600
MODEL_BYTES = 1000


def planned(first, **settings):
    """A plan of the stages `first`, of a quarter and of all."""
    times = {"soak_seconds": SOAK_SECONDS, "deadline_seconds": DEADLINE_SECONDS}
    stages = [stage | times for stage in (*first, {"percent": 25}, {"percent": 100})]
    # The fleet is small, and a canary should be one of few.
    common = {"trial": {"seconds": TRIAL_SECONDS}, "judge": {"least_devices": 1}}
    return make_plan({"stages": stages} | common | settings)


PLAN = planned([])
# Devices run the release beside the live one first, and stages open in parts.
SHADOW_PLAN = planned(
    [{"percent": 50, "shadow": True, "gates": []}],
    shadow={"seconds": SHADOW_SECONDS},
    devices_per_minute=1,
)


def memory():
    """A folder in memory, if this machine has one: nothing here tests the medium."""
    shm = "/dev/shm"
    return shm if os.access(shm, os.W_OK) else None


class Fleet:
    """The home and the keys, which take long to make."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="modelwave-heal-", dir=memory()))
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        self.world = rollout_world.World(self.folder)
        self.world.close()
        self.home = self.world.home
        self.order_key = self.home.order_key()
        self.empty_database = self.home.path / "modelwave.db"
        envelope = dsse.read(self.home.root_envelope)
        self.root = documents.read(words.ROOT, envelope.payload)
        self.made = {}  # (number, quality): Release
        self.by_manifest = {}
        self.files = {}  # of all releases, by their sha256

    def release(self, number, quality=GOOD):
        if (number, quality) not in self.made:
            made = self.made[number, quality] = Release(self.world, number, quality)
            self.by_manifest[made.digest] = made
            self.files.update(made.files)
        return self.made[number, quality]


class Release:
    def __init__(self, world, number, quality):
        self.number = number
        self.quality = quality
        model = f"{quality} {number}".encode().ljust(MODEL_BYTES, b".")
        golden = f"golden {quality} {number}".encode()
        self.files = {hashlib.sha256(data).hexdigest(): data for data in (model, golden)}
        roles = zip(("model", "golden"), self.files.items(), strict=True)
        files = [{"role": r, "sha256": sha, "size": len(data)} for r, (sha, data) in roles]
        self.signed = world.release(number, files=files)
        self.digest = self.signed[TARGET].digest

    @property
    def is_good(self):
        return self.quality == GOOD


@functools.cache
def fleet():
    return Fleet()
