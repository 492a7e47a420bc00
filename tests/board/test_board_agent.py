"""BoardAgent and its parts on real MicroPython; the cases are in programs/."""

import hashlib
from pathlib import Path

import pytest

from modelwave_controller.releases import delta_making
from modelwave_shared import words
from modelwave_shared.deltas import SUBTRACTED, Offer
from modelwave_shared.slots import slot
from tests import micropython, signing
from tests.board.releases import release, write_files

pytestmark = pytest.mark.slow

PROGRAMS = Path(__file__).parent / "programs"


def provide(folder):
    """What agent_cases.py needs."""
    at_once = {"trial": {"seconds": 0, "inferences": 0}}
    good = release(1, b"the first model" * 50)
    bad = release(2, b"the second model" * 50, healthy=False)
    other = release(1, b"another model" * 50, name="words")
    write_files(folder / "files", good, bad, other)
    (folder / "root.json").write_bytes(signing.root_envelope())
    one = signing.envelope(words.ROOT, signing.root(), signing.ROOT_KEYS[0])
    (folder / "one-signature.json").write_bytes(one)
    (folder / "garbage.json").write_bytes(b"\0" * 100)
    (folder / "long.json").write_bytes(b"\0" * 10_000)
    (folder / "v1").write_bytes(signing.order(good, 1, **at_once))
    (folder / "v1.sha256").write_bytes(hashlib.sha256(b"the first model" * 50).digest())
    (folder / "v2-bad").write_bytes(signing.order(bad, 2, **at_once))
    own = slot("demo", "pico-1")
    bitmap = signing.bitmap(range(own % 2, 1000, 2))
    heartbeat = signing.heartbeat(signing.NONCE, device="pico-1")
    (folder / "heartbeat").write_bytes(heartbeat)
    (folder / "bitmap").write_bytes(signing.order(good, 1, **at_once, **bitmap))
    others = signing.bitmap(range(1 - own % 2, 1000, 2))
    (folder / "bitmap-of-others").write_bytes(signing.order(good, 1, **at_once, **others))
    (folder / "shadow").write_bytes(signing.order(good, 1, **at_once, **signing.SHADOW))
    budget = {**signing.SHADOW["extra"]["shadow"], "else_trial": True}
    or_trial = {"shadow": True, "extra": {"shadow": budget}}
    (folder / "shadow-or-trial").write_bytes(signing.order(good, 1, **at_once, **or_trial))
    # Of a controller of next year.
    extra = signing.order(good, 1, **at_once, extra={"site": "north"})
    (folder / "extra").write_bytes(extra)
    (folder / "newer").write_bytes(signing.order(good, 1, **at_once, v=3, condition="at night"))
    (folder / "condition").write_bytes(signing.order(good, 1, **at_once, condition="at night"))
    newer = release(3, b"the third model" * 50, v=3)
    (folder / "newer-manifest").write_bytes(signing.order(newer, 1, **at_once))
    (folder / "newer-root.json").write_bytes(signing.root_envelope(signing.root(v=3)))
    old, new = b"the first model" * 50, b"the First model" * 40 + b"another end" * 9
    made = delta_making.deltas(old, new)[SUBTRACTED]
    tuned = release(2, new)
    write_files(folder / "files", tuned)
    for name, delta in (("v2", made), ("v2-bad-delta", made[::-1])):
        sha256 = signing.sha(delta)
        (folder / "files" / sha256).write_bytes(delta)
        offer = Offer(SUBTRACTED, signing.sha(old), len(delta), sha256).text()
        order = signing.order(tuned, 2, **at_once, extra={"deltas": [offer]})
        (folder / name).write_bytes(order)
    (folder / "words-v1").write_bytes(signing.order(other, 1, model="words", **at_once))


def passed(folder, program, heap):
    """What it printed last, once all its cases have passed."""
    done = micropython.run(folder, PROGRAMS / program, folder, heap=heap)
    print(done.stdout + done.stderr)
    assert done.returncode == 0
    return done.stdout.splitlines()[-1]


def test_agent(tmp_path):
    provide(tmp_path)
    assert passed(tmp_path, "agent_cases.py", "512k") == "32 passed, 0 failed"


def test_parts(tmp_path):
    assert passed(tmp_path, "agent_parts.py", "256k") == "15 passed, 0 failed"
