"""What we accept as a signature, OpenSSL accepts: 100,000 random mutations with MODELWAVE_LONG=1, a
part of them in an ordinary run. The pure Python is compared with OpenSSL and the strict rules, on
CPython and on MicroPython."""

import os
from collections import Counter
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from modelwave_shared import ed25519
from tests import micropython
from tests.trust.figures import tell
from tests.trust.mutations import KINDS, Case, mutations

pytestmark = pytest.mark.slow

LONG = os.environ.get("MODELWAVE_LONG") == "1"
SEED = 25519
MUTATIONS = 100_000 if LONG else 1500
ON_MICROPYTHON = 3000 if LONG else 60

# The kinds of which OpenSSL accepts some that strictness refuses.
FORGIVEN = {"small key", "small r", "small both"}


def openssl_accepts(case: Case) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(case.key).verify(case.signature, case.message)
    except (InvalidSignature, ValueError):
        return False
    return True


def test_what_we_accept_openssl_accepts() -> None:
    made: Counter[str] = Counter()
    accepted: Counter[str] = Counter()
    forgiven: Counter[str] = Counter()
    for number, (kind, case) in enumerate(mutations(SEED, MUTATIONS)):
        ours, theirs = ed25519.verify_pure(*case), openssl_accepts(case)
        assert ours is (theirs and ed25519.is_strict(*case)), (number, kind, case)
        assert ed25519.verify(*case) is ours, (number, kind, case)
        made[kind] += 1
        accepted[kind] += ours
        forgiven[kind] += theirs and not ours
    assert accepted["valid"] == made["valid"]
    assert made["mixed order"] // 16 < accepted["mixed order"] < made["mixed order"]
    assert {kind for kind, count in forgiven.items() if count} == FORGIVEN
    tell(
        f"{MUTATIONS:,} mutations of {len(KINDS)} kinds: {accepted.total():,} accepted, each by "
        f"OpenSSL, too; {forgiven.total():,} more that only OpenSSL accepts"
    )


def test_verdicts_on_micropython_are_the_same(tmp_path: Path) -> None:
    file = tmp_path / "cases"
    lines, accepted = [], 0
    for _, case in mutations(SEED + 1, ON_MICROPYTHON):
        good = openssl_accepts(case) and ed25519.is_strict(*case)
        lines.append(":".join([str(int(good)), *(part.hex() for part in case)]))
        accepted += good
    file.write_text("\n".join(lines))
    program = micropython.ROOT / "tests/board/programs/verdicts.py"
    done = micropython.run(tmp_path, program, file)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(ON_MICROPYTHON), str(accepted)]
    assert accepted
    tell(f"{ON_MICROPYTHON:,} of them on MicroPython: the same verdicts, {accepted:,} accepted")
