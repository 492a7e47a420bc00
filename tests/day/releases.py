"""The day's releases, and the truth about each: what the devices will see of it, and what is right.

    kind         what it does to devices                        its rollout has to be
    -----------  ---------------------------------------------  ------------------------------------
    good         as accurate as the one before                  FINISHED
    within       0.5 points worse, which the margin allows      FINISHED
    worse        5 points worse; the margin is 3                REVERTED, by a gate about accuracy
    much worse   20 points worse                                REVERTED, by a gate about accuracy
    wrong        its golden set fails on each device            REVERTED or held by roll-backs
    unwell       it passes, and the program fails with it       REVERTED or held by roll-backs

Each release has three targets: that of the simulated devices, whose model's file is a few words by
which they know it; one of hosts with a real agent, and one of boards. These run the digits example,
and see of "worse" nothing, as they send no windows."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from tests.heal.fleet import GOOD, UNWELL, WRONG

MODEL = "digits"
HOST, BOARD = "raspberry-pi-4", "pico-w"
MODELS = Path(__file__).parents[2] / "examples/digits/models"
ACCURACY = 0.90
MODEL_BYTES = 1000


class Kind(NamedTuple):
    """`worse`: by so much less often it is right; `quality`: what devices find."""

    name: str
    worse: float
    quality: str
    is_right: bool  # to finish it

    @property
    def rolls_back(self) -> bool:
        return self.quality != GOOD


KINDS = {
    kind.name: kind
    for kind in (
        Kind("good", 0.0, GOOD, True),
        Kind("within", 0.005, GOOD, True),
        Kind("worse", 0.05, GOOD, False),
        Kind("much worse", 0.20, GOOD, False),
        Kind("wrong", 0.0, WRONG, False),
        Kind("unwell", 0.0, UNWELL, False),
    )
}
# Of ten rollouts; each ten are in an order of their own.
TEN = ("good",) * 4 + ("within", "worse", "worse", "much worse", "wrong", "unwell")


def drawn(random, number):
    """Returns the kinds of so many rollouts, by chance, in these shares."""
    found = []
    while len(found) < number:
        found += random.sample(TEN, len(TEN))
    return [KINDS[name] for name in found[:number]]


class Release:
    """Named as tests/heal/fleet.py's, whose devices look at it. `digests`: of the manifests."""

    def __init__(self, world, number, kind):
        self.number = number
        self.kind = kind
        self.quality = kind.quality
        self.accuracy = ACCURACY - kind.worse
        model = f"{kind.name} {number}".encode().ljust(MODEL_BYTES, b".")
        golden = f"golden {kind.name} {number}".encode()
        self.files = _by_hash(model, golden)
        self.signed = world.release(number, files=_listed(self.files))
        self.digest = self.signed[next(iter(self.signed))].digest
        # v3 is a model that fails v2's golden set. What differs is behind the end of the model.
        version = "v3" if kind.quality == WRONG else "v2"
        real = (MODELS / f"digits-{version}.tflite").read_bytes() + b"%16d" % number
        proof = (MODELS / "digits-v2.golden").read_bytes()
        self.real_files = _by_hash(real, proof)
        for target in (HOST, BOARD):
            its = {"files": _listed(self.real_files), **_described()}
            self.signed |= world.release(number, [target], **its)

    @property
    def digests(self):
        return {target: one.digest for target, one in self.signed.items()}

    @property
    def is_good(self):
        return self.quality == GOOD


def _by_hash(*files):
    return {hashlib.sha256(data).hexdigest(): data for data in files}


def _listed(files):
    roles = zip(("model", "golden"), files.items(), strict=True)
    return [{"role": role, "sha256": sha, "size": len(data)} for role, (sha, data) in roles]


def _described():
    """Returns what the manifest of the example's v2 says."""
    versions = json.loads((MODELS / "models.json").read_text())["versions"]
    entry = next(one for one in versions if one["version"] == "v2")
    needs = {"flash": 8192, "ram": entry["ram_bytes"], "kernels": entry["kernels"]}
    needs |= {"runtime": "tflite", "accelerator": ""}
    return {"needs": needs, "tolerance": entry["tolerance"]}
